"""The recurrent block of Griffin around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import gelu, linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"griffin": {"griffin_width": 3, "griffin_mlp": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``ResidualBlock`` and ``RecurrentBlock`` of github.com/google-deepmind/recurrentgemma, torch.

    The cell takes the place of the RG-LRU. The code stores gains minus one.
    """
    eps = options["griffin_eps"]
    x = parts.project(p, x)
    n = parts.norm_rms(x, p["block_gain"], eps)
    before = linear(n, p["block_Wu"].T, p["block_bu"])
    u, past = parts.convolve(before, state["block_past"], p["block_taps"], p["block_b"])
    h, last = parts.vanilla(p, u, state["h"])
    gate = gelu(linear(n, p["block_Wz"].T, p["block_bz"]), approximate="tanh")
    x = x + linear(h * gate, p["block_Wo"].T, p["block_bo"])
    m = parts.norm_rms(x, p["block_mlp_gain"], eps)
    gate = gelu(linear(m, p["block_Wg"].T, p["block_bg"]), approximate="tanh")
    y = x + linear(gate * linear(m, p["block_Wv"].T, p["block_bv"]), p["block_Wd"].T, p["block_bd"])
    return parts.norm_rms(y, p["block_final_gain"], eps), {"h": last, "block_past": past}
