"""TTT-Linear by its authors' code for the norm in the model and its gradient."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch.nn.functional import layer_norm, linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ttt_linear": {"heads": 2, "rate": 0.7}, "ttt_linear_one_head": {}}
# MIT licence.
AUTHORS = ("test-time-training/ttt-lm-pytorch", "cd831db10c8c9a0f6340f02da5613316a8a92b67", "ttt.py")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ln_fused_l2_bwd`` and ``ln_fwd`` as ``TTTLinear.ttt`` does for mini batches of one."""
    gradient, norm = official(*AUTHORS, "ln_fused_l2_bwd", "ln_fwd", torch=torch)
    heads = options["heads"]
    q, k, v = (part.unflatten(-1, (heads, 1, -1)) for part in linear(x, p["Wx"].T).chunk(3, dim=-1))
    width = q.shape[-1]
    eta = options["rate"] * torch.sigmoid(linear(x, p["We"].T, p["be"]))[..., None, None] / width
    weight, bias, c0 = (p[name].unflatten(-1, (heads, 1, -1)) for name in ("w", "b", "c0"))
    W1, b1 = p["M0"] + state["M"], c0 + state["c"].unflatten(-1, (heads, 1, -1))
    out = []
    for XQ, XK, XV, rate in zip(q, k, v, eta, strict=True):
        grad = gradient(XK @ W1 + b1, XV - XK, weight, bias)
        attention = XQ @ XK.mT
        b1 = b1 - rate * grad
        Z1 = XQ @ W1 - (rate * attention) @ grad + b1
        W1 = W1 - (rate * XK).mT @ grad
        out.append((XQ + norm(Z1, weight, bias)).flatten(1))
    y = layer_norm(torch.stack(out), p["gain"].shape, p["gain"], p["bias"], eps=1e-6)
    return linear(y, p["Wo"].T), {"M": W1 - p["M0"], "c": (b1 - c0).flatten(1)}
