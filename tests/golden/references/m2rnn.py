"""M2RNN by its authors' recurrence."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch.nn.functional import linear, rms_norm, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"m2rnn": {"heads": 2}, "m2rnn_one_head": {}}
# Apache licence 2.0.
AUTHORS = ("open-lm-engine/lm-engine", "36bad91e0f59e5cfafd692f71b6cbcf3e13ff7ed")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``m2rnn_torch``, called as by ``M2RNN.forward`` without its convolution.

    The function writes states into an array, which automatic differentiation allows because it starts empty.
    """
    file = "lm_engine/modeling_utils/sequence_mixer_blocks/m2rnn/op.py"
    tools = {
        "torch": torch,
        "tanh": torch.tanh,
        "divide_if_divisible": lambda a, b: a // b,
        "clip_gradients": lambda value, limit: value,
    }
    recurrence = official(*AUTHORS, file, "m2rnn_torch", **tools)
    heads, units = options["heads"], p["d"].shape[0]
    q, k, v, g, f = linear(x.transpose(0, 1), p["Wx"].T).split([units] * 4 + [heads], dim=-1)
    q, k, v = (silu(part).unflatten(-1, (heads, -1)) for part in (q, k, v))
    kept = torch.exp(-torch.exp(p["A"]) * softplus(f + p["ba"]))
    o, last = recurrence(q, k, v, kept, p["W"], state["S"], None)
    o = (o + v * p["d"].unflatten(-1, (heads, -1))).flatten(2) * silu(g)
    y = rms_norm(o, (units,), p["gain"], eps=1e-5)
    return linear(y, p["Wo"].T).transpose(0, 1), {"S": last}
