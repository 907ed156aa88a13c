"""RWKV-7 by its author's demonstration of inference."""

from __future__ import annotations

import math
from typing import Any

import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "rwkv7": {"heads": 2, "rank": 2},
    "rwkv7_one_head": {"heads": 1, "rank": 3},
}

# Apache licence 2.0.
AUTHOR = ("BlinkDL/RWKV-LM", "524481d5099b38d9bc8ef1e89209161b86c8011b")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``time_mixing__`` of RWKV-v7/rwkv_v7_demo_rnn.py, one sequence at a time.

    Its 0.606531 is ``exp(-0.5)`` rounded, as its comment says. Here it is not rounded.
    """
    step = official(
        *AUTHOR,
        "RWKV-v7/rwkv_v7_demo_rnn.py",
        "time_mixing__",
        edits={"0.606531": repr(math.exp(-0.5))},
        torch=torch,
    )
    heads, width = options["heads"], p["w0"].shape[0] // options["heads"]
    rw, kw, vw = p["Wx"].mT
    rest = (*p["mix"], p["w0"], p["W1"], p["W2"], p["a0"], p["A1"], p["A2"], None, None, None)
    rest += (p["G1"], p["G2"], p["kappa"], p["ka"], p["rho"], kw, vw, rw, p["Wo"].T, p["gain"], p["bias"])
    out, last = [], []
    for sequence, past, memory in zip(x.unbind(1), state["past"], state["S"], strict=True):
        before, now, each = memory, past, []
        for inputs in sequence:
            y, now, before, _ = step(0, heads, width, inputs, now, None, before, *rest)
            each.append(y)
        out.append(torch.stack(each))
        last.append((before, now))
    memories, pasts = zip(*last, strict=True)
    return torch.stack(out, dim=1), {"S": torch.stack(memories), "past": torch.stack(pasts)}
