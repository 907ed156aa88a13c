"""Gated slot attention by the code of its authors' library."""

from __future__ import annotations

from typing import Any

import torch
from einops import repeat
from official import official
from references.kda import LIBRARY
from torch.nn.functional import linear, logsigmoid, rms_norm, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "gsa": {"heads": 2, "slots": 3, "tau": 3.0},
    "gsa_one_head": {"slots": 4},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_recurrent_gsa`` of fla/ops/gsa/naive.py, called as by fla/layers/gsa.py."""
    file = "fla/ops/gsa/naive.py"
    recurrence = official(*LIBRARY, file, "naive_recurrent_gsa", torch=torch, repeat=repeat)
    u = x.transpose(0, 1)
    q, k, v = (
        silu(part).unflatten(-1, (options["heads"], -1)) for part in linear(u, p["Wx"].T).chunk(3, dim=-1)
    )
    g = (logsigmoid(linear(u, p["Wf"].T)) / options["tau"]).unflatten(-1, (options["heads"], -1))
    first = (state["K"], state["V"])
    o, (K, V) = recurrence(q, k, v, 1 - g.exp(), g, 1.0, first, True)
    y = rms_norm(silu(o.flatten(2)), p["gain"].shape, p["gain"], eps=1e-5)
    return linear(y, p["Wo"].T).transpose(0, 1), {"K": K, "V": V}
