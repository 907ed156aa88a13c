"""The strongly typed LSTM without a loop: as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"t_lstm": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``TLSTMCell`` of torchrecurrent, cells/trnn_cell.py, after Balduzzi and Ghifary 2016.

    z, f and o read this input and the one before: ``c = f c + (1 - f) z``, ``y = c o``, o a tanh. No
    weight sees the state, so it is a sum over the past, divided by running products of f.
    """
    before = torch.cat([state["past"][None], x[:-1]])
    z, f, o = (x @ p["Wx"] + before @ p["Wp"] + p["b"]).chunk(3, dim=-1)
    f, o = torch.sigmoid(f), torch.tanh(o)
    kept = torch.cumprod(f, dim=0)
    c = kept * (state["c"] + torch.cumsum((1 - f) * z / kept, dim=0))
    return c * o, {"c": c[-1], "past": x[-1]}
