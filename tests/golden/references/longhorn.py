"""Longhorn by the reference of its authors' kernel."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from official import official
from torch.nn import functional
from torch.nn.functional import conv1d, linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "longhorn": {"expand": 1, "order": 2, "rank": 3, "width": 3},
    "longhorn_empty": {"expand": 2, "order": 3, "rank": 1, "width": 2},
}
# The repository has no licence file.
AUTHORS = ("Cranial-XIX/longhorn_cuda", "1be52220873ccc44fe84f052c150db578fcb5c33")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``selective_scan_online7_ref``, put together as in ``longhorn_ref`` of the same file.

    The function starts at zero, where this reference puts the first state. Outputs are those of the
    function, and the last state is a statement of ours.
    """
    scan = official(
        *AUTHORS,
        "mamba_ssm/ops/selective_scan_interface.py",
        "selective_scan_online7_ref",
        edits={"q.new_zeros((batch, dim, dstate))": "FIRST"},
        torch=torch,
        F=functional,
        rearrange=rearrange,
        FIRST=state["h"],
    )
    before, gate = linear(x, p["Wx"].T).chunk(2, dim=-1)
    seen = torch.cat([state["past"].transpose(0, 1), before])
    taps = p["taps"].T[:, None, :]
    u = silu(conv1d(seen.permute(1, 2, 0), taps, p["b"], groups=len(taps)))
    chosen = linear(u.transpose(1, 2), p["Wu"].T)
    low, k, q = chosen.split([options["rank"], options["order"], options["order"]], dim=-1)
    dt = linear(low, p["Wd"].T).transpose(1, 2)
    # It keeps the last state only where the number of steps is the number of channels.
    y = scan(u, q.mT, k.mT, dt, p["D"], p["bd"], gate.permute(1, 2, 0))
    rate = torch.sigmoid(dt + p["bd"][:, None])
    rate = rate / (1 + rate * (k * k).sum(-1)[:, None])
    h = state["h"]
    for t in range(len(x)):
        h = h - rate[:, :, t, None] * (k[:, t, None] ** 2 * h - u[:, :, t, None] * k[:, t, None])
    return linear(y.permute(2, 0, 1), p["Wo"].T), {"h": h, "past": seen[len(x) :].transpose(0, 1)}
