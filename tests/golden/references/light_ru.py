"""The light recurrent unit, by interpolation."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"light_ru": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LightRecurrentUnitCell`` of github.com/lucidrains/light-recurrent-unit-pytorch.

    Its file is light_recurrent_unit_pytorch/light_recurrent_unit.py. Only the hidden projection has a bias;
    the state goes towards the candidate by the gate's share. There, the candidate stands before the gate.
    """
    to_gate, to_candidate = p["Wx"].T.chunk(2)
    h, outputs = state["h"], []
    for xt in x:
        forget = torch.sigmoid(linear(h, p["Wh"].T, p["b"]) + linear(xt, to_gate))
        h = h.lerp(torch.tanh(linear(xt, to_candidate)), forget)
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
