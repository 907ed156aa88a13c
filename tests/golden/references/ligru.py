"""The light GRU, with the products of all inputs first."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ligru": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``liGRU`` of github.com/mravanelli/pytorch-kaldi, neural_networks.py, without its batch norm.

    ``z = s(wz + Uz h)``, ``a = wh + Uh h``, ``h = z h + (1 - z) relu(a)``; wz and wh hold the biases.
    """
    Wz, Wh = p["Wx"].T.chunk(2)
    Uz, Uh = p["Wh"].T.chunk(2)
    bz, bh = p["b"].chunk(2)
    wz_out, wh_out = linear(x, Wz, bz), linear(x, Wh, bh)
    h, outputs = state["h"], []
    for k in range(len(x)):
        z = torch.sigmoid(wz_out[k] + linear(h, Uz))
        h = z * h + (1 - z) * torch.relu(wh_out[k] + linear(h, Uh))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
