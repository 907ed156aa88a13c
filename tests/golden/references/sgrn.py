"""The simple gated recurrent network by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"sgrn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SGRNCell`` of torchrecurrent, with the bias on its hidden side, so that only the gate has it.

    So MartinuzziFrancesco/RecurrentLayers.jl#109 quotes Zu and Wei 2020:
    ``f = s(W x + U h + b)``, ``h = tanh((1 - f) (W x) + f h)``.
    """
    cell = torchrecurrent.SGRNCell(x.shape[-1], p["Wh"].shape[0], dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": torch.zeros_like(p["b"]),
        "bias_hh": p["b"],
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
