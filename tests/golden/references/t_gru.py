"""The strongly typed GRU without a loop: as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"t_gru": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``TGRUCell`` of torchrecurrent, cells/trnn_cell.py, after Balduzzi and Ghifary 2016.

    z, f and o read this input and the one before: ``h = f h + z o``, o a tanh. No
    weight sees the state, so it is a sum over the past, divided by running products of f.
    """
    before = torch.cat([state["past"][None], x[:-1]])
    z, f, o = (x @ p["Wx"] + before @ p["Wp"] + p["b"]).chunk(3, dim=-1)
    f, o = torch.sigmoid(f), torch.tanh(o)
    kept = torch.cumprod(f, dim=0)
    h = kept * (state["h"] + torch.cumsum(z * o / kept, dim=0))
    return h, {"h": h[-1], "past": x[-1]}
