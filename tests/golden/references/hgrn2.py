"""HGRN2 by the code of flash-linear-attention."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references.kda import LIBRARY
from torch.nn.functional import linear, logsigmoid, rms_norm, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"hgrn2": {"heads": 2, "lower_bound": 0.3}, "hgrn2_free": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_gla`` of fla/ops/gla/naive.py, called as by fla/layers/hgrn2.py."""
    recurrence = official(*LIBRARY, "fla/ops/gla/naive.py", "naive_recurrent_gla", torch=torch)
    q, f, i = linear(x.transpose(0, 1), p["Wx"].T).chunk(3, dim=-1)
    floor = torch.tensor(options["lower_bound"], dtype=x.dtype)
    g = torch.logaddexp(torch.log(floor), torch.log1p(-floor) + logsigmoid(f))
    q, k, i, g = (part.unflatten(-1, (options["heads"], -1)) for part in (silu(q), 1 - g.exp(), i, g))
    o, last = recurrence(q, k, i, g, initial_state=state["S"], output_final_state=True)
    y = rms_norm(o.flatten(2), p["gain"].shape, p["gain"], eps=1e-5)
    return linear(y, p["Wo"].T).transpose(0, 1), {"S": last}
