"""The block of DeltaNet with its convolutions of queries, keys and values."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from references import delta_net
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CELL = "deltanet(delta_net+short_convolution)"
CASES: dict[str, dict[str, Any]] = {
    "short_convolution": {
        "heads": 2,
        "short_convolution_width": 3,
        "deltanet_convolution": False,
        "deltanet_heads": 2,
        "deltanet_mlp": 2,
    }
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``DeltaNetBlock``, ``DeltaNet`` and ``GatedMLP`` of github.com/fla-org/flash-linear-attention.

    ``q_conv1d``, ``k_conv1d`` and ``v_conv1d`` of fla/layers/delta_net.py convolve the projections, before
    their activations. The delta rule comes from the reference of the cell.
    """
    eps, heads = options["deltanet_eps"], options["heads"]
    x = parts.project(p, x)
    n = parts.norm_rms(x, p["block_gain"], eps)
    weights, taps, pasts = (a.chunk(3, dim=-1) for a in (p["Wx"], p["Wx_taps"], state["Wx_past"]))
    convolved = [
        parts.convolve(linear(n, W.T), past, tap) for W, tap, past in zip(weights, taps, pasts, strict=True)
    ]
    q, k, v = (silu(part).unflatten(-1, (heads, -1)) for part, _ in convolved)
    q, k = (part * torch.rsqrt((part * part).sum(-1, keepdim=True) + 1e-6) for part in (q, k))
    h, memory = delta_net.rule(q, k, v, torch.sigmoid(linear(n, p["Wb"].T)), state["S"])
    normed = parts.norm_rms(h, p["block_head_gain"], eps).flatten(2)
    x = x + linear(normed, p["block_Wo"].T)
    m = parts.norm_rms(x, p["block_mlp_gain"], eps)
    y = x + linear(silu(linear(m, p["block_Wg"].T)) * linear(m, p["block_Wv"].T), p["block_Wd"].T)
    past = torch.cat([last for _, last in convolved], dim=-1)
    return parts.norm_rms(y, p["block_final_gain"], eps), {"S": memory, "Wx_past": past}
