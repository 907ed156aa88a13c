"""The Mamba mixer without a loop: as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import conv1d, linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mamba": {"expand": 1, "order": 2, "rank": 3, "width": 3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``Mamba`` of github.com/state-spaces/mamba, mamba_ssm/modules/mamba_simple.py.

    The convolution is PyTorch's, over what came before and all steps. With ``T`` the running sum of ``dt``
    the scan is ``h_t = exp(A T_t) h_0 + sum_s exp(A (T_t - T_s)) dt_s B_s u_s``.
    """
    before, gate = linear(x, p["Wx"].T).chunk(2, dim=-1)
    seen = torch.cat([state["past"].transpose(0, 1), before])
    taps = p["taps"].T[:, None, :]
    u = silu(conv1d(seen.permute(1, 2, 0), taps, p["b"], groups=len(taps))).permute(2, 0, 1)
    low, B, C = linear(u, p["Wu"].T).split([options["rank"], options["order"], options["order"]], dim=-1)
    dt = softplus(linear(low, p["Wd"].T, p["bd"]))
    rates, clock = -torch.exp(p["A"]), dt.cumsum(0)
    written = torch.einsum("tbe,tbn,tbe->tben", dt, B, u)
    h = []
    for t in range(len(x)):
        kept = torch.exp((clock[t] - clock[: t + 1])[..., None] * rates)
        h.append(torch.exp(clock[t][..., None] * rates) * state["h"] + (kept * written[: t + 1]).sum(0))
    y = torch.einsum("tben,tbn->tbe", torch.stack(h), C) + p["D"] * u
    return linear(y * silu(gate), p["Wo"].T), {"h": h[-1], "past": seen[len(x) :].transpose(0, 1)}
