"""The minLSTM: step by step, or in the space of logarithms where numbers are positive."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"min_lstm": {"positive": False}, "min_lstm_positive": {"positive": True}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """An average of positive candidates is positive."""
    if options["positive"]:
        state["h"][:] = abs(state["h"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow Feng et al. 2024: the sequential minLSTM with the quotients of its gates as they stand.

    If positive, the parallel one in logarithms, as in github.com/lucidrains/minGRU-pytorch, minLSTM.py.
    """
    f, i, candidate = linear(x, p["Wx"].T, p["b"]).chunk(3, dim=-1)
    way = by_logarithms if options["positive"] else by_steps
    y = way(f, i, candidate, state["h"])
    return y, {"h": y[-1]}


def by_steps(f: torch.Tensor, i: torch.Tensor, candidate: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The recurrence as it is."""
    out = []
    for ft, it, each in zip(torch.sigmoid(f), torch.sigmoid(i), candidate, strict=True):
        h = ft / (ft + it) * h + it / (ft + it) * each
        out.append(h)
    return torch.stack(out)


def by_logarithms(f: torch.Tensor, i: torch.Tensor, candidate: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Heinsen's scan: sums of logarithms, and the logarithm of sums."""
    diff = softplus(-f) - softplus(-i)
    log_candidate = torch.where(candidate >= 0, torch.log(torch.relu(candidate) + 0.5), -softplus(-candidate))
    kept = torch.cumsum(-softplus(diff), dim=0)
    values = torch.cat([torch.log(h)[None], log_candidate - softplus(-diff) - kept])
    return torch.exp(kept + torch.logcumsumexp(values, dim=0)[1:])
