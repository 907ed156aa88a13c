"""The sLSTM block around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import gelu, linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"slstm": {"slstm_heads": 2, "slstm_width": 3, "slstm_mlp": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``sLSTMLayer``, ``GatedFeedForward`` and ``xLSTMBlock`` of github.com/NX-AI/xlstm, xlstm/blocks.

    The cell takes the place of the gates and the sLSTM. The code stores gains minus one.
    """
    x = parts.project(p, x)
    n = parts.norm_layer(x, p["block_gain"])
    u, past = parts.convolve(n, state["block_past"], p["block_taps"], p["block_b"])
    h, last = parts.vanilla(p, silu(u), state["h"])
    x = x + parts.norm_heads(h, p["block_head_gain"])
    m = parts.norm_layer(x, p["block_mlp_gain"])
    y = x + linear(gelu(linear(m, p["block_Wg"].T)) * linear(m, p["block_Wv"].T), p["block_Wd"].T)
    return parts.norm_layer(y, p["block_final_gain"]), {"h": last, "block_past": past}
