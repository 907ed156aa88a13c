"""The diagonal Kalman delta network by its authors' code."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references.kda import unit
from torch.nn.functional import linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "kalman_delta": {"heads": 2},
    "kalman_delta_one_head": {},
    "kalman_delta_empty": {"heads": 3},
}
# MIT licence: the authors' fork of flash-linear-attention.
AUTHORS = (
    "ngocbh/flash-linear-attention",
    "fd70c5badd3221cea77f561b34a80e50c74a7b57",
    "fla/ops/diag_kdn/naive.py",
)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_diag_kdn``, called as by the layer ``DiagKDN``.

    The authors store the precision itself, and the cell its logarithm over the first one.
    """
    names = "naive_diag_kdn_gain", "naive_recurrent_diag_kdn"
    recurrence = official(*AUTHORS, *names, torch=torch)[-1]
    u, heads = x.transpose(0, 1), options["heads"]
    q, k, v = (silu(part).unflatten(-1, (heads, -1)) for part in linear(u, p["Wx"].T).chunk(3, dim=-1))
    speed = softplus(linear(linear(u, p["Wa"].T), p["Wr"].T) + p["b"]).unflatten(-1, (heads, -1))
    g = -torch.exp(p["A"])[:, None] * speed
    omega = softplus(linear(linear(u, p["Wn"].T), p["Ws"].T, p["bn"])).unflatten(-1, (heads, -1))
    r = softplus(linear(u, p["Wo"].T, p["bo"])) + 0.01
    first = softplus(p["prior"])[:, None] + 0.1
    initial = state["S"], first * torch.exp(state["m"])
    y, (memory, precision) = recurrence(unit(q), unit(k), v, g, omega, r, None, initial, True)
    return y.flatten(2).transpose(0, 1), {"S": memory, "m": torch.log(precision / first)}
