"""MUT1 by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mut1": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MUT1Cell`` of torchrecurrent.

    Its equations are those of theanets' ``MUT1`` (theanets/layers/recurrent.py), quoted from the paper. The
    bias of the candidate stands outside the tanh of the input, and so on the hidden side.
    """
    bz, br, bn = p["b"].chunk(3)
    cell = torchrecurrent.MUT1Cell(x.shape[-1], p["Wn"].shape[0], dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": torch.cat([p["Wh"].T, p["Wn"].T]),
        "bias_ih": torch.cat([bz, br, torch.zeros_like(bn)]),
        "bias_hh": torch.cat([torch.zeros_like(br), bn]),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
