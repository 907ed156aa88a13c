"""Multi-scale retention in its parallel form, turned by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear, rms_norm, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"retnet": {"heads": 1}, "retnet_heads": {"heads": 3}}
HIDDEN = 6


def buffers(options: dict[str, Any]) -> dict[str, Any]:
    """Decay and angles of ``RetNetRelPos``, torchscale/architecture/retnet.py, an angle once a pair."""
    heads = options["heads"]
    angle = 1 / 10000 ** np.linspace(0, 1, HIDDEN // heads // 2)
    return {"gamma": 1 - 2.0 ** (-5 - np.arange(heads)), "theta": angle}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``MultiScaleRetention.parallel_forward`` of github.com/microsoft/torchscale, without its scales.

    Queries and keys are turned by their place, counted from one, and the first memory stands at place zero.
    The last memory is seen from the last place. The norm's 1e-6 is that of its ``RetNetConfig``. Complex
    arrays are given and returned as two planes.
    """
    steps, batch, _ = x.shape
    q, k, v, g = (
        part.reshape(steps, batch, options["heads"], -1) for part in linear(x, p["Wx"].T).chunk(4, dim=-1)
    )
    size = q.shape[-1]
    place = torch.arange(1, steps + 1, dtype=torch.float64)
    turn = torch.polar(torch.ones(steps, size // 2, dtype=torch.float64), place[:, None] * p["theta"])
    qr, kr = (
        torch.view_as_complex(part.reshape(*part.shape[:-1], -1, 2)) * turn[:, None, None]
        for part in (q, k * size**-0.5)
    )
    apart = place[:, None] - place
    decay = torch.where(apart >= 0, p["gamma"][:, None, None] ** apart.clamp(min=0), 0.0)
    scores = torch.einsum("tbhd,sbhd->bhts", qr, kr.conj()).real * decay
    first = torch.complex(state["S"][:, 0], state["S"][:, 1])
    whole = torch.einsum("bhts,sbhe->tbhe", scores, v)
    faded = p["gamma"] ** place[:, None]
    whole = whole + torch.einsum("tbhd,bhde,th->tbhe", qr, first, faded.to(first.dtype)).real
    kept = (decay[:, -1, :, None] * torch.ones(size // 2)).to(first.dtype)
    last = torch.einsum("sbhd,sbhe,hsd->bhde", kr.conj(), v.to(first.dtype), kept)
    last = turn[-1][:, None] * (last + (faded[-1][:, None, None] * first))
    y = silu(g) * rms_norm(whole, (size,), eps=1e-6)
    return linear(y.reshape(steps, batch, -1), p["Wo"].T), {"S": torch.stack([last.real, last.imag], dim=1)}
