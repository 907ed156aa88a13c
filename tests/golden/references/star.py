"""The stackable recurrent cell by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"star": {"t_max": 20}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``STARCell`` of torchrecurrent, whose parts stand in the order candidate z, gate k.

    It has the equations of the paper as MartinuzziFrancesco/RecurrentLayers.jl#97 quotes them.
    """
    hidden = p["Wh"].shape[0]
    to_k, to_z = p["Wx"].T.chunk(2)
    b_k, b_z = p["b"].chunk(2)
    cell = torchrecurrent.STARCell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": torch.cat([to_z, to_k]),
        "weight_hh": p["Wh"].T,
        "bias_ih": torch.cat([b_z, b_k]),
        "bias_hh": torch.zeros(hidden, dtype=torch.float64),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
