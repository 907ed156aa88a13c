"""Layers of flash-linear-attention and of its forks, without the parts around the recurrence."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from einops import rearrange, repeat
from torch import nn
from torch.func import functional_call
from torch.nn import functional

Tensors = dict[str, torch.Tensor]


class First(nn.Module):
    """Stand in for a norm with a gate: return the first argument."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, x: torch.Tensor, *_: Any) -> torch.Tensor:
        """Return the first argument."""
        return x


# The names that the files of layers import. A cache is a dictionary, or a `Cache`.
TOOLS: dict[str, Any] = {
    "torch": torch,
    "nn": nn,
    "F": functional,
    "math": math,
    "rearrange": rearrange,
    "repeat": repeat,
    "warnings": SimpleNamespace(warn=lambda *_: None),
    "RMSNorm": First,
    "FusedRMSNormGated": First,
    "get_layer_cache": lambda layer, cache: cache,
    "update_layer_cache": lambda layer, cache, offset, **state: cache.update(state),
}


def unit(a: torch.Tensor) -> torch.Tensor:
    """Follow fla/modules/l2norm.py, with its 1e-6 under the root."""
    return a / torch.sqrt((a * a).sum(-1, keepdim=True) + 1e-6)


def run_layer(layer: nn.Module, weights: Tensors, x: torch.Tensor, cache: Any) -> torch.Tensor:
    """Run a layer on sequences, except for its last projection, with other weights; the cache changes."""
    layer.o_proj = nn.Identity()
    more = {"past_key_values": cache, "use_cache": True}
    return functional_call(layer.eval(), weights, x.transpose(0, 1), more)[0].transpose(0, 1)
