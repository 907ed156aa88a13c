"""The strongly typed RNN without a loop: as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"t_rnn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute ``z = W x``, ``f = s(V x + b)`` and ``h = f h + (1 - f) z`` of Balduzzi and Ghifary 2016.

    z has no bias. No weight sees the state, so ``h_t = F_t h_0 + sum_s F_t / F_s (1 - f_s) z_s`` with F the
    running product of f.
    """
    W, V = p["Wx"].chunk(2, dim=1)
    z, f = x @ W, torch.sigmoid(x @ V + p["b"])
    kept = torch.cumprod(f, dim=0)
    y = kept * (state["h"] + torch.cumsum((1 - f) * z / kept, dim=0))
    return y, {"h": y[-1]}
