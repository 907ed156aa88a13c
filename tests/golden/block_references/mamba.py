"""The block of Mamba around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mamba": {"mamba_width": 3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``Block`` and ``Mamba`` of github.com/state-spaces/mamba, mamba_ssm/modules.

    The cell takes the place of the selective scan and its projections.
    """
    eps = options["mamba_eps"]
    x = parts.project(p, x)
    n = parts.norm_rms(x, p["block_gain"], eps)
    u, past = parts.convolve(linear(n, p["block_Wu"].T), state["block_past"], p["block_taps"], p["block_b"])
    h, last = parts.vanilla(p, silu(u), state["h"])
    y = x + linear(h * silu(linear(n, p["block_Wz"].T)), p["block_Wo"].T)
    return parts.norm_rms(y, p["block_final_gain"], eps), {"h": last, "block_past": past}
