"""RWKV-5 by its author's demonstration of inference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from references.rwkv6 import AUTHOR, Rows
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"rwkv5": {"heads": 2}, "rwkv5_one_head": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``time_mixing`` of RWKV_v5_demo.py, one sequence at a time."""
    step = official(*AUTHOR, "RWKV_v5_demo.py", "time_mixing", torch=torch, F=functional)
    heads, width = options["heads"], p["u"].shape[0] // options["heads"]
    model = SimpleNamespace(n_head=heads, head_size=width)
    r, k, v, g = p["mix"]
    rw, kw, vw, gw = p["Wx"].mT
    decay = torch.exp(-torch.exp(p["w"])).reshape(heads, width, 1)
    rest = (k, v, r, g, p["u"].reshape(heads, width, 1), decay, kw, vw, rw, gw)
    rest += (p["Wo"].T, p["gain"], p["bias"])
    out, last = [], []
    for sequence, past, memory in zip(x.unbind(1), state["past"], state["S"], strict=True):
        rows = Rows(past, memory)
        out.append(torch.stack([step(model, each, rows, 0, *rest) for each in sequence]))
        last.append(rows)
    states = {"S": torch.stack([rows.memory for rows in last]), "past": torch.stack([r.past for r in last])}
    return torch.stack(out, dim=1), states
