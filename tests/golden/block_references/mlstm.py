"""The mLSTM block around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mlstm": {"mlstm_heads": 2, "mlstm_width": 3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``mLSTMLayer`` and ``xLSTMBlock`` of github.com/NX-AI/xlstm, xlstm/blocks.

    The cell takes the place of q, k, v and the mLSTM. The code stores gains minus one.
    """
    x = parts.project(p, x)
    n = parts.norm_layer(x, p["block_gain"])
    u, past = parts.convolve(linear(n, p["block_Wu"].T), state["block_past"], p["block_taps"], p["block_b"])
    u = silu(u)
    h, last = parts.vanilla(p, u, state["h"])
    h = parts.norm_heads(h, p["block_head_gain"]) + p["block_skip"] * u
    y = x + linear(h * silu(linear(n, p["block_Wz"].T)), p["block_Wo"].T)
    return parts.norm_layer(y, p["block_final_gain"]), {"h": last, "block_past": past}
