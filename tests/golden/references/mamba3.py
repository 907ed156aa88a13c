"""Mamba 3 by its authors' reference of one step."""

from __future__ import annotations

import math
from typing import Any, Optional

import torch
from official import official
from references.mamba2 import AUTHORS
from torch.nn import functional
from torch.nn.functional import linear, rms_norm, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "mamba3": {"expand": 2, "heads": 3, "order": 4},
    "mamba3_one_head": {"expand": 1, "heads": 1, "order": 8},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``mamba3_siso_step_ref`` and ``heavy_tail_activation``, put together as in ``Mamba3.forward``."""
    step = official(
        *AUTHORS,
        "tests/ops/triton/test_mamba3_siso.py",
        "mamba3_siso_step_ref",
        torch=torch,
        math=math,
        F=functional,
        Optional=Optional,
    )
    activation = official(*AUTHORS, "mamba_ssm/modules/mamba3.py", "heavy_tail_activation", torch=torch)
    heads, order, channels = options["heads"], options["order"], p["Wo"].shape[0]
    sizes = [channels, channels, order, order, heads, heads, heads, order // 4]
    z, u, B, C, dt, a, lam, r = linear(x.transpose(0, 1), p["Wx"].T).split(sizes, dim=-1)
    z, u = z.unflatten(-1, (heads, -1)), u.unflatten(-1, (heads, -1))
    rate = torch.clamp(-activation(a), max=-1e-4)
    dt = softplus(dt + p["bd"])
    B, C = (
        rms_norm(part, (order,), gain, eps=1e-5)[:, :, None].expand(-1, -1, heads, -1)
        for part, gain in ((B, p["gainB"]), (C, p["gainC"]))
    )
    first = tuple(state[name] for name in ("angle", "h", "key", "v"))
    flat = (part.transpose(1, 2) for part in (rate * dt, dt, lam))
    angles = r[:, :, None].expand(-1, -1, heads, -1)
    y, last = step(C, B, u, *flat, p["biasC"], p["biasB"], angles, p["D"], z, first)
    return linear(y.flatten(2).transpose(0, 1), p["Wo"].T), dict(
        zip(("angle", "h", "key", "v"), last, strict=True)
    )
