"""The simple gated unit by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"sgu": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SGUCell`` of torchrecurrent, without its bias after the product with the state.

    So MartinuzziFrancesco/torchrecurrent#39 quotes Gao and Glowacka 2016. The hard sigmoid is that of Theano,
    ``x / 5 + 1 / 2`` held between 0 and 1; the line stands in the weights. (PyTorch's own has another slope,
    and a gradient rounded to float32.)
    """
    hidden = p["Wg"].shape[0]
    ones, zeros = torch.ones(hidden, dtype=torch.float64), torch.zeros(hidden, dtype=torch.float64)
    slope = torch.cat([ones, ones / 5])
    clip = torch.nn.Hardtanh(0.0, 1.0)
    cell = torchrecurrent.SGUCell(x.shape[-1], hidden, gate_nonlinearity=clip, dtype=torch.float64)
    weights = {
        "weight_ih": (p["Wx"] * slope).T,
        "weight_hh": torch.cat([p["Wg"].T, p["Wh"].T / 5]),
        "bias_ih": p["b"] * slope,
        "bias_hh": torch.cat([zeros, ones / 2]),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
