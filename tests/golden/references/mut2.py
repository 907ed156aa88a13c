"""MUT2 by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mut2": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MUT2Cell`` of torchrecurrent.

    It has the paper's equations, with a matrix before the input of the reset gate, and the order z, r, n.
    """
    hidden = p["Wn"].shape[0]
    cell = torchrecurrent.MUT2Cell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": torch.cat([p["Wh"].T, p["Wn"].T]),
        "bias_ih": p["b"],
        "bias_hh": torch.zeros(3 * hidden, dtype=torch.float64),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
