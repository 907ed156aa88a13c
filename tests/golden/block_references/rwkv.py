"""The block of RWKV-4 around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear, relu, sigmoid

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"rwkv": {"rwkv_mlp": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``Block`` and ``RWKV_ChannelMix`` of github.com/BlinkDL/RWKV-LM, RWKV-v4neo/src/model.py.

    The cell and its projection take the place of the time mixing.
    """
    x = parts.norm_layer(parts.project(p, x), p["block_in_gain"], p["block_in_shift"])
    n = parts.norm_layer(x, p["block_gain"], p["block_shift"])
    h, last = parts.vanilla(p, n, state["h"])
    x = x + linear(h, p["block_Wo"].T)
    m = parts.norm_layer(x, p["block_mlp_gain"], p["block_mlp_shift"])
    before = torch.cat([state["block_past"][None], m[:-1]])
    k, r = (torch.lerp(before, m, p[name]) for name in ("block_mix_k", "block_mix_r"))
    mixed = linear(relu(linear(k, p["block_Wk"].T)) ** 2, p["block_Wv"].T)
    y = x + sigmoid(linear(r, p["block_Wr"].T)) * mixed
    return parts.norm_layer(y, p["block_final_gain"], p["block_final_shift"]), {
        "h": last,
        "block_past": m[-1],
    }
