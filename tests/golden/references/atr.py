"""The addition-subtraction twin-gated unit, as its authors' modules."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"atr": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``ATR`` of github.com/bzhangGo/ATR, lm/pytorch-lm/rnn/atr.py, without its dropout.

    Two linear modules, i2h and h2h, with a bias each; the forget gate is that of ``p - q``.
    """
    b_input, b_hidden = p["b"].chunk(2)
    h, outputs = state["h"], []
    for xt in x:
        i2h, h2h = linear(xt, p["Wx"].T, b_input), linear(h, p["Wh"].T, b_hidden)
        h = (i2h + h2h).sigmoid() * i2h + (i2h - h2h).sigmoid() * h
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
