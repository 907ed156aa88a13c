"""The block of RetNet and GLA around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"retnet": {"retnet_mlp": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``DecoderLayer`` and ``GLU`` of github.com/microsoft/torchscale (architecture/retnet.py).

    The cell and its projection take the place of the retention.
    """
    eps = options["retnet_eps"]
    x = parts.project(p, x)
    h, last = parts.vanilla(p, parts.norm_rms(x, p["block_gain"], eps), state["h"])
    x = x + linear(h, p["block_Wo"].T)
    m = parts.norm_rms(x, p["block_mlp_gain"], eps)
    y = x + linear(silu(linear(m, p["block_Wg"].T)) * linear(m, p["block_Wv"].T), p["block_Wd"].T)
    return parts.norm_rms(y, p["block_final_gain"], eps), {"h": last}
