"""The second minion recurrent unit by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"miru2": {"keep": 0.7, "reset": 0.3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MiRU2Cell`` of torchrecurrent: update coefficient ``keep``, reset coefficient ``reset``.

    MartinuzziFrancesco/LuxRecurrentLayers.jl#26 quotes the same equations from the paper.
    """
    coefficients = {"update_coefficient": options["keep"], "reset_coefficient": options["reset"]}
    cell = torchrecurrent.MiRU2Cell(x.shape[-1], p["Wh"].shape[0], **coefficients, dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": p["b"],
        "bias_hh": torch.zeros_like(p["b"]),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
