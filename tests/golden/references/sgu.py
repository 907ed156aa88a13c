"""The simple gated unit by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"sgu": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SGUCell`` of torchrecurrent, without its bias after the product with the state.

    So MartinuzziFrancesco/torchrecurrent#39 quotes Gao and Glowacka 2016. PyTorch's hard sigmoid has a slope
    of 1/6; what goes into it is made 6/5 times as large, which is a slope of 1/5.
    """
    hidden = p["Wg"].shape[0]
    steeper = torch.ones(2 * hidden, dtype=torch.float64)
    steeper[hidden:] = 6 / 5
    cell = torchrecurrent.SGUCell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": (p["Wx"] * steeper).T,
        "weight_hh": torch.cat([p["Wg"].T, p["Wh"].T * 6 / 5]),
        "bias_ih": p["b"] * steeper,
        "bias_hh": torch.zeros(2 * hidden, dtype=torch.float64),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
