"""ParaGRU by its authors' step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"para_gru": {}}
# Copyright (C) 2025 Apple Inc. The copy has no licence file, which its headers name. The commit is its first.
COPY = ("xaviergonzalez/ml-pararnn", "dc2647baa2a61a8e453e726790d91853a1b00ebd")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``GRUDiagMHImpl.recurrence_step`` with one head."""
    step = official(*COPY, "pararnn/rnn_cell/gru_diag_mh.py", "recurrence_step", torch=torch)
    units = p["a"].shape[1]
    system = SimpleNamespace(
        A=p["a"],
        B=p["Wx"].reshape(1, -1, 3, units),
        b=p["b"].reshape(3, units),
        nonlin_update=torch.sigmoid,
        nonlin_reset=torch.sigmoid,
        nonlin_state=torch.tanh,
    )
    h, out = state["h"], []
    for each in x:
        h = step(each, h, system)
        out.append(h)
    return torch.stack(out), {"h": h}
