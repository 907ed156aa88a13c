"""RWKV-4 as attention: for every step an average over all steps before."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"rwkv4": {}, "rwkv4_empty": {}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """The largest weight is one, and ``n`` is the sum of all."""
    state["n"][:] = 1 + abs(state["n"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``SA`` of github.com/BlinkDL/RWKV-LM, RWKV-v4neo/src/model_run.py, as sums over the past.

    Logarithms of weights: the memory has ``m - (t - 1) e^w`` and an earlier step s ``k_s - (t - 1 - s) e^w``
    at step t, counted from one, the step itself ``u + k_t``. The memory stands for values c and weights n;
    where n is zero it is empty, and the original starts with m at -1e30.
    """
    steps = len(x)
    before = torch.cat([state["past"][None], x[:-1]])
    r, k, v = (
        linear(x * share + before * (1 - share), W.T) for share, W in zip(p["mix"], p["Wx"], strict=True)
    )
    rate = torch.exp(p["w"])
    values, counts = torch.cat([state["c"][None], v]), torch.cat([state["n"][None], torch.ones_like(v)])
    keys = torch.cat([torch.where(state["n"] == 0, -1e30, state["m"])[None], k])
    age = torch.arange(steps + 1, dtype=x.dtype)[:, None, None]
    out = []
    for t in range(1, steps + 1):
        logs = torch.cat([keys[:t] - (t - 1 - age[:t]) * rate, (p["u"] + keys[t])[None]])
        weights = torch.exp(logs - logs.detach().amax(0))
        out.append((weights * values[: t + 1]).sum(0) / (weights * counts[: t + 1]).sum(0))
    logs = keys - (steps - age) * rate
    m = logs.amax(0)
    weights = torch.exp(logs - m)
    last = {"c": (weights * values).sum(0), "n": (weights * counts).sum(0), "m": m, "past": x[-1]}
    return linear(torch.sigmoid(r) * torch.stack(out), p["Wo"].T), last
