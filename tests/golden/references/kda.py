"""Kimi delta attention by the code of its authors' library."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch.nn import functional
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"kda": {"heads": 2}, "kda_negative": {"negative_eigenvalues": True}}
# MIT licence.
LIBRARY = ("fla-org/flash-linear-attention", "bc3b101dcb713ddc5bd8924b66754eb68b5ccf89")


def unit(a: torch.Tensor) -> torch.Tensor:
    """Follow fla/modules/l2norm.py, with its 1e-6 under the root."""
    return a / torch.sqrt((a * a).sum(-1, keepdim=True) + 1e-6)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_kda`` and ``naive_kda_gate``, called as by ``KimiDeltaAttention``."""
    recurrence = official(*LIBRARY, "fla/ops/kda/naive.py", "naive_recurrent_kda", torch=torch)
    gate = official(*LIBRARY, "fla/ops/kda/gate.py", "naive_kda_gate", torch=torch, F=functional)
    heads = options["heads"]
    u = x.transpose(0, 1)
    q, k, v = (silu(part).unflatten(-1, (heads, -1)) for part in linear(u, p["Wx"].T).chunk(3, dim=-1))
    low = linear(linear(u, p["Wa"].T), p["Wr"].T).unflatten(-1, (heads, -1))
    beta = torch.sigmoid(linear(u, p["Wb"].T)) * (2 if options["negative_eigenvalues"] else 1)
    g = gate(low, p["A"], p["b"], torch.float64)
    y, last = recurrence(unit(q), unit(k), v, g, beta, None, state["S"], True)
    return y.flatten(2).transpose(0, 1), {"S": last}
