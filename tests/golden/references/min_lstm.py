"""The minLSTM by other people's code, step by step."""

from __future__ import annotations

from typing import Any

import torch
from references.min_gru import by_steps

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"min_lstm": {"positive": False}, "min_lstm_positive": {"positive": True}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """An average of positive candidates is positive."""
    if options["positive"]:
        state["h"][:] = abs(state["h"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``minLSTM`` of minGRU-pytorch for one step at a time, its sequential form.

    Its parallel form applies ``g`` to the first state, too.
    """
    return by_steps("minLSTM", options, p, x, state)
