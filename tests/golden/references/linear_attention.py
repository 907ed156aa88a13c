"""Linear attention by the code of its authors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"linear_attention": {"heads": 2}, "linear_attention_empty": {}}
# MIT licence.
CODE = ("idiap/fast-transformers", "2ad36b97e64cb93862937bd21fcc9568d989561f")
FOLDER = "fast_transformers/recurrent/attention/self_attention"


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Sums of keys are positive."""
    state["Z"][:] = abs(state["Z"])


def phi(x: torch.Tensor) -> torch.Tensor:
    """Follow ``elu_feature_map`` of fast_transformers/feature_maps/base.py."""
    return functional.elu(x) + 1


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``RecurrentLinearAttention`` for one step at a time."""
    tools = {"Module": torch.nn.Module, "EventDispatcher": SimpleNamespace(get=lambda name: None)}
    file, name = f"{FOLDER}/linear_attention.py", "RecurrentLinearAttention"
    Attention = official(*CODE, file, name, torch=torch, check_state=lambda state, _: state, **tools)
    maps = SimpleNamespace(forward_queries=phi, forward_keys=phi)
    attention = Attention(None, feature_map=lambda size: maps)
    parts = (x @ p["Wx"] + p["b"]).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (options["heads"], -1)) for part in parts)
    memory, out = [state["S"], state["Z"]], []
    for t in range(len(x)):
        y, memory = attention(q[t], k[t], v[t], memory)
        out.append(y.flatten(1))
    return torch.stack(out), dict(zip("SZ", memory, strict=True))
