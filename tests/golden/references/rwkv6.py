"""RWKV-6 by its author's demonstration of inference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "rwkv6": {"heads": 2, "rank": 2, "decay_rank": 3},
    "rwkv6_one_head": {"heads": 1, "rank": 3, "decay_rank": 1},
}
# Apache licence 2.0.
AUTHOR = ("BlinkDL/ChatRWKV", "965e40b85288a91c94c02bfa56adc3ce0fa20a82")


class Rows:
    """The states of one layer, which the official code stores as rows of one array."""

    def __init__(self, past: torch.Tensor, memory: torch.Tensor) -> None:
        self.past, self.memory = past, memory

    def __getitem__(self, index: Any) -> torch.Tensor:
        return self.past if isinstance(index, int) else self.memory

    def __setitem__(self, index: Any, value: torch.Tensor) -> None:
        if isinstance(index, int):
            self.past = value
        else:
            self.memory = value.reshape(self.memory.shape)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``time_mixing`` of RWKV_v6_demo.py, one sequence at a time."""
    step = official(*AUTHOR, "RWKV_v6_demo.py", "time_mixing", torch=torch, F=functional)
    heads, width = options["heads"], p["u"].shape[0] // options["heads"]
    model = SimpleNamespace(n_head=heads, head_size=width)
    rw, kw, vw, gw = p["Wx"].mT
    rest = (p["A1"], p["A2"], p["D1"], p["D2"], p["u"].reshape(heads, width, 1), p["w"])
    rest += (kw, vw, rw, gw, p["Wo"].T, p["gain"], p["bias"])
    out, last = [], []
    for sequence, past, memory in zip(x.unbind(1), state["past"], state["S"], strict=True):
        rows = Rows(past, memory)
        out.append(torch.stack([step(model, each, rows, 0, *p["mix"], *rest) for each in sequence]))
        last.append(rows)
    states = {"S": torch.stack([rows.memory for rows in last]), "past": torch.stack([r.past for r in last])}
    return torch.stack(out, dim=1), states
