"""Gated DeltaNet 2 by the code of flash-linear-attention."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references.kda import LIBRARY, unit
from torch.nn.functional import linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "gated_delta_net2": {"heads": 2},
    "gated_delta_net2_negative": {"negative_eigenvalues": True},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_gdn2`` of fla/ops/gdn2/naive.py, called as by fla/layers/gdn2.py."""
    recurrence = official(*LIBRARY, "fla/ops/gdn2/naive.py", "naive_recurrent_gdn2", torch=torch)
    u = x.transpose(0, 1)
    parts = [*(silu(part) for part in linear(u, p["Wx"].T).chunk(3, dim=-1))]
    parts.append(softplus(linear(linear(u, p["Wa"].T), p["Wr"].T) + p["b"]))
    parts.append(torch.sigmoid(linear(u, p["We"].T)) * (2 if options["negative_eigenvalues"] else 1))
    parts.append(torch.sigmoid(linear(u, p["Ww"].T)))
    q, k, v, speeds, e, w = (part.unflatten(-1, (options["heads"], -1)) for part in parts)
    g = -torch.exp(p["A"])[:, None] * speeds
    y, last = recurrence(unit(q), unit(k), v, g, e, w, None, state["S"], True)
    return y.flatten(2).transpose(0, 1), {"S": last}
