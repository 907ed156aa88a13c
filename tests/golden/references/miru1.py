"""The first minion recurrent unit by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"miru1": {"keep": 0.7}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MiRU1Cell`` of torchrecurrent, whose update coefficient is the paper's lambda.

    MartinuzziFrancesco/LuxRecurrentLayers.jl#26 quotes the same equations from the paper.
    """
    hidden = p["Wn"].shape[0]
    cell = torchrecurrent.MiRU1Cell(
        x.shape[-1], hidden, update_coefficient=options["keep"], dtype=torch.float64
    )
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": torch.cat([p["Wh"].T, p["Wn"].T]),
        "bias_ih": p["b"],
        "bias_hh": torch.zeros(2 * hidden, dtype=torch.float64),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
