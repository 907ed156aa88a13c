"""Mamba 2 by the authors' listing of its scan."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange, repeat
from official import official
from torch.nn import functional
from torch.nn.functional import conv1d, linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "mamba2": {"expand": 2, "heads": 3, "order": 2, "width": 3},
    "mamba2_one_head": {"expand": 1, "heads": 1, "order": 4, "width": 2},
}
# Apache licence 2.0.
AUTHORS = ("state-spaces/mamba", "e9594ce1c732d97440f0332fdc43170a2294dbfa")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ssd_minimal_discrete`` and ``rms_norm_ref``, put together as in mamba_ssm/modules/mamba2.py.

    The convolution is PyTorch's, over what came before and all steps.
    """
    tools = {"torch": torch, "F": functional, "rearrange": rearrange, "repeat": repeat}
    scan, _ = official(
        *AUTHORS, "mamba_ssm/modules/ssd_minimal.py", "ssd_minimal_discrete", "segsum", **tools
    )
    norm = official(*AUTHORS, "mamba_ssm/ops/triton/layernorm_gated.py", "rms_norm_ref", **tools)
    heads, order, channels = options["heads"], options["order"], p["gain"].shape[0]
    z, entering, dt = linear(x, p["Wx"].T).split([channels, channels + 2 * order, heads], dim=-1)
    seen = torch.cat([state["past"].transpose(0, 1), entering])
    taps = p["taps"].T[:, None, :]
    after = silu(conv1d(seen.permute(1, 2, 0), taps, p["b"], groups=len(taps))).transpose(1, 2)
    u, B, C = after.split([channels, order, order], dim=-1)
    u = u.unflatten(-1, (heads, -1))
    B, C = (part[:, :, None].expand(-1, -1, heads, -1) for part in (B, C))
    dt = softplus(dt.transpose(0, 1) + p["bd"])
    y, last = scan(u * dt[..., None], -torch.exp(p["A"]) * dt, B, C, len(x), state["h"][:, None])
    y = (y + p["D"][:, None] * u).flatten(2).transpose(0, 1)
    y = norm(y, p["gain"], None, z=z, eps=1e-5, norm_before_gate=False)
    return linear(y, p["Wo"].T), {"h": last, "past": seen[len(x) :].transpose(0, 1)}
