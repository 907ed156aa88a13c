"""The minGRU without a loop: as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"min_gru": {"positive": False}, "min_gru_positive": {"positive": True}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``minGRU`` of github.com/lucidrains/minGRU-pytorch: gates by softplus, g by where.

    Its parallel form takes logarithms, which needs positive numbers; here the same sum is taken of the
    numbers themselves: ``h_t = exp(A_t) h_0 + sum_s exp(A_t - A_s) z_s n_s`` with ``A`` the running sum of
    ``log(1 - z) = -softplus(gate)``.
    """
    gate, hidden = linear(x, p["Wx"].T, p["b"]).chunk(2, dim=-1)
    if options["positive"]:
        hidden = torch.where(hidden >= 0, hidden + 0.5, hidden.sigmoid())
    decay = torch.cumsum(-softplus(gate), dim=0)
    values = torch.exp(-softplus(-gate)) * hidden
    y = torch.stack(
        [
            torch.exp(decay[t]) * state["h"] + (torch.exp(decay[t] - decay[: t + 1]) * values[: t + 1]).sum(0)
            for t in range(len(x))
        ]
    )
    return y, {"h": y[-1]}
