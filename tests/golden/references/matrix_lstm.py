"""The mLSTM in its parallel form, with a memory before the first step."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, logsigmoid

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "matrix_lstm": {"heads": 2},
    "matrix_lstm_one_head": {"heads": 1},
    "matrix_lstm_empty": {"heads": 2},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``parallel_stabilized_simple`` of github.com/NX-AI/xlstm, xlstm/blocks/mlstm/backends.py.

    The first memory is one more column of its matrix D, with the logarithm ``F_t + m_0`` where a step s has
    ``F_t - F_s + i_s``. The gate of the output is that of the paper (Beck et al. 2024).
    """
    steps, batch, _ = x.shape
    heads, eps = options["heads"], 1e-6
    q, k, v, o = linear(x, p["Wx"].T, p["b"]).chunk(4, dim=-1)
    q, k, v = (part.reshape(steps, batch, heads, -1).permute(1, 2, 0, 3) for part in (q, k, v))
    i, f = linear(x, p["Wg"].T, p["bg"]).permute(1, 2, 0).chunk(2, dim=1)
    k = k / q.shape[-1] ** 0.5
    total = logsigmoid(f).cumsum(-1)
    steps_before = torch.ones(steps, steps, dtype=torch.bool).tril()
    logs = torch.where(steps_before, total[..., None] - total[..., None, :] + i[..., None, :], -torch.inf)
    logs = torch.cat([(total + state["m"][..., None])[..., None], logs], dim=-1)
    m = logs.amax(-1, keepdim=True)
    D = torch.exp(logs - m)
    scores = D[..., 1:] * (q @ k.mT)
    count = D[..., :1] * (q @ state["n"][..., None]) + scores.sum(-1, keepdim=True)
    h = (D[..., :1] * (q @ state["C"]) + scores @ v) / (torch.maximum(count.abs(), torch.exp(-m)) + eps)
    kept, weights = D[..., -1, :1], D[..., -1, 1:, None] * k
    last = {
        "C": kept[..., None] * state["C"] + weights.mT @ v,
        "n": kept * state["n"] + weights.sum(-2),
        "m": m[..., -1, 0],
    }
    return torch.sigmoid(o) * h.permute(2, 0, 1, 3).reshape(steps, batch, -1), last
