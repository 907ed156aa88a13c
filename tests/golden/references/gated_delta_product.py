"""Gated DeltaProduct by the code of flash-linear-attention."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references.kda import LIBRARY, unit
from torch.nn.functional import linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "gated_delta_product": {"heads": 2, "corrections": 3},
    "gated_delta_product_positive": {"negative_eigenvalues": False},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_gated_delta_product``, called as by fla/layers/gated_deltaproduct.py.

    The library divides queries by the root of their width before it calls this function.
    """
    file, name = "fla/ops/gated_delta_product/naive.py", "naive_recurrent_gated_delta_product"
    recurrence = official(*LIBRARY, file, name, torch=torch)
    n, u = options["corrections"], x.transpose(0, 1)
    q = silu(linear(u, p["Wq"].T)).unflatten(-1, (options["heads"], -1))
    k, v = (
        silu(linear(u, p[name].T)).unflatten(-1, (n, options["heads"], -1)).flatten(1, 2)
        for name in ("Wk", "Wv")
    )
    beta = torch.sigmoid(linear(u, p["Wb"].T)) * (2 if options["negative_eigenvalues"] else 1)
    beta = beta.unflatten(-1, (n, -1)).flatten(1, 2)
    g = -torch.exp(p["A"]) * softplus(linear(u, p["Wa"].T) + p["ba"])
    q = unit(q) * q.shape[-1] ** -0.5
    y, last = recurrence(q, unit(k), v, g, beta, None, None, state["S"], True, n)
    return y.flatten(2).transpose(0, 1), {"S": last}
