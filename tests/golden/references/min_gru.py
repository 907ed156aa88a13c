"""The minGRU by other people's code, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from official import official
from torch import nn
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"min_gru": {"positive": False}, "min_gru_positive": {"positive": True}}
# MIT licence.
LIBRARY = ("lucidrains/minGRU-pytorch", "38b26e119a2e85e70ea53825dc09b91b021afa06")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``minGRU`` for one step at a time, its sequential form."""
    return by_steps("minGRU", options, p, x, state)


def by_steps(
    name: str, options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors
) -> tuple[torch.Tensor, Tensors]:
    """Run a layer of the library, whose product has the candidate first, and has a bias here.

    It has the positive candidates alone. For others its function ``g`` is the identity.
    """
    exists, default, g = official(*LIBRARY, "minGRU_pytorch/minGRU.py", "exists", "default", "g", torch=torch)
    units = state["h"].shape[-1]

    def product(*sizes: int, bias: bool) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda u: linear(u, p["Wx"].T.roll(units, 0), p["b"].roll(units, 0))

    tools = {"torch": torch, "Module": nn.Module, "Linear": product, "Identity": nn.Identity}
    tools |= {"exists": exists, "default": default, "g": g if options["positive"] else nn.Identity()}
    layer = official(*LIBRARY, f"minGRU_pytorch/{name}.py", name, **tools)(x.shape[-1])
    h, out = state["h"][:, None], []
    for each in x:
        y, h = layer(each[:, None], h, return_next_prev_hidden=True)
        out.append(y[:, 0])
    return torch.stack(out), {"h": h[:, 0]}
