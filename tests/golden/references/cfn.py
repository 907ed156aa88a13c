"""The chaos-free network by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"cfn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``CFNCell`` of torchrecurrent, which has equations (1) and (2) of Laurent and von Brecht 2016.

    Its parts stand in the order theta, eta, candidate; the candidate's bias, which the paper lacks, is zero.
    """
    hidden = p["Wh"].shape[0]
    cell = torchrecurrent.CFNCell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": torch.zeros(3 * hidden, dtype=torch.float64),
        "bias_hh": p["b"],
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
