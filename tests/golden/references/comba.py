"""Comba by the code of flash-linear-attention."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references.kda import LIBRARY, unit
from torch.nn.functional import linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"comba": {"heads": 2}, "comba_one_head": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_comba`` of fla/ops/comba/naive.py, called as by fla/layers/comba.py.

    Except that the key p of the correction is not normalised after it was multiplied by its factor.
    """
    recurrence = official(*LIBRARY, "fla/ops/comba/naive.py", "naive_recurrent_comba", torch=torch)
    u = x.transpose(0, 1)
    q, k, v = (
        silu(part).unflatten(-1, (options["heads"], -1)) for part in linear(u, p["Wx"].T).chunk(3, dim=-1)
    )
    share = torch.sigmoid(p["s"])[:, None]
    q = unit(q - p["d"][:, None] * (share * k))
    beta = torch.sigmoid(linear(u, p["Wb"].T))
    g = -torch.exp(p["A"]) * softplus(linear(u, p["Wa"].T) + p["ba"])
    y, last = recurrence(q, unit(k), v, share * unit(k), beta, g, None, state["S"], True)
    return y.flatten(2).transpose(0, 1), {"S": last}
