"""The block of the delta networks around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"deltanet": {"deltanet_heads": 2, "deltanet_width": 3, "deltanet_mlp": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``DeltaNetBlock``, ``DeltaNet`` and ``GatedMLP`` of github.com/fla-org/flash-linear-attention.

    The cell takes the place of the projections and the delta rule, so that the convolution acts on its input.
    """
    eps = options["deltanet_eps"]
    x = parts.project(p, x)
    n = parts.norm_rms(x, p["block_gain"], eps)
    u, past = parts.convolve(n, state["block_past"], p["block_taps"])
    h, last = parts.vanilla(p, silu(u), state["h"])
    heads = h.reshape(*h.shape[:2], options["deltanet_heads"], -1)
    x = x + linear(parts.norm_rms(heads, p["block_head_gain"], eps).reshape(h.shape), p["block_Wo"].T)
    m = parts.norm_rms(x, p["block_mlp_gain"], eps)
    y = x + linear(silu(linear(m, p["block_Wg"].T)) * linear(m, p["block_Wv"].T), p["block_Wd"].T)
    return parts.norm_rms(y, p["block_final_gain"], eps), {"h": last, "block_past": past}
