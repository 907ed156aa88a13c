"""The real HGRU without a loop, its gates as logarithms."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import linear, logsigmoid, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"hgrn": {"lower_bound": 0.3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``HGRNAttention`` of github.com/fla-org/flash-linear-attention, fla/layers/hgrn.py.

    Biases as in ``HgruRealV6`` of github.com/Doraemonzzz/hgru-pytorch. The recurrence is the sum
    ``h_t = exp(G_t) h_0 + sum_s exp(G_t - G_s) x_s`` with G the running sum of the logarithms.
    """
    gate, candidate = linear(x, p["Wx"].T, p["b"]).chunk(2, dim=-1)
    floor = torch.tensor(options["lower_bound"], dtype=x.dtype)
    g = torch.logaddexp(torch.log(floor), torch.log1p(-floor) + logsigmoid(gate))
    entering = silu(candidate) * (1 - torch.exp(g))
    total = torch.cumsum(g, dim=0)
    later = torch.ones(len(x), len(x)).tril().bool()[..., None, None]
    weights = torch.exp(torch.where(later, total[:, None] - total[None], -math.inf))
    y = torch.exp(total) * state["h"] + torch.einsum("tsbh,sbh->tbh", weights, entering)
    return y, {"h": y[-1]}
