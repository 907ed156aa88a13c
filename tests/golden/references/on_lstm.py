"""The LSTM with ordered neurons by its authors' code."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch import nn
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"on_lstm": {}, "on_lstm_chunks": {"chunk": 2}}
# BSD licence with 3 clauses.
AUTHORS = ("yikangshen/Ordered-Neurons", "46d63cde024802eaf1eb7cc896431329014dd869", "ON_LSTM.py")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ONLSTMStack`` of one ``ONLSTMCell``. The bias of its recurrent layer is zero."""
    names = "LinearDropConnect", "cumsoftmax", "ONLSTMCell", "ONLSTMStack"
    tools = {"torch": torch, "nn": nn, "F": functional, "LockedDropout": nn.Identity}
    units, chunk = p["Wh"].shape[0], options["chunk"]
    stack = official(*AUTHORS, *names, **tools)[-1]([x.shape[-1], units], chunk)
    weights = {
        "cells.0.ih.0.weight": p["Wx"].T,
        "cells.0.ih.0.bias": p["b"],
        "cells.0.hh.weight": p["Wh"].T,
        "cells.0.hh.bias": torch.zeros_like(p["b"]),
    }
    first = state["h"], state["c"].unflatten(-1, (-1, chunk))
    y, [(h, c)], *_ = torch.func.functional_call(stack, weights, (x, [first]))
    return y, {"h": h, "c": c.flatten(1)}
