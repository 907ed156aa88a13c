"""ParaLSTM by its authors' step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from references.para_gru import COPY

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"para_lstm": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``LSTMCIFGDiagMHImpl.recurrence_step`` with one head. Its hidden state is c and h side by side."""
    step = official(*COPY, "pararnn/rnn_cell/lstm_cifg_diag_mh.py", "recurrence_step", torch=torch)
    units = p["a"].shape[1]
    system = SimpleNamespace(
        A=p["a"],
        B=p["Wx"].reshape(1, -1, 3, units),
        C=p["p"],
        b=p["b"].reshape(3, units),
        nonlin_f=torch.sigmoid,
        nonlin_o=torch.sigmoid,
        nonlin_c=torch.tanh,
        nonlin_state=torch.tanh,
    )
    halves = SimpleNamespace(
        _split_hidden_state=lambda both: both.chunk(2, dim=-1),
        _recombine_hidden_state=lambda c, h: torch.cat([c, h], dim=-1),
    )
    both, out = torch.cat([state["c"], state["h"]], dim=-1), []
    for each in x:
        both = step(halves, each, both, system)
        out.append(both[:, units:])
    return torch.stack(out), {"h": both[:, units:], "c": both[:, :units]}
