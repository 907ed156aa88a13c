"""The self-referential weight matrix by the layer of its authors."""

from __future__ import annotations

import math
from typing import Any

import torch
from official import official
from torch import nn
from torch.func import functional_call
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"srwm": {"heads": 2}, "srwm_empty": {}}
# MIT licence.
CODE = ("IDSIA/modern-srwm", "01e6cfd04b4228605132748c4b95af17b43b6615", "supervised_learning/layer.py")


def kernel(x: torch.Tensor, *matrices: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """State the kernel once more, after the test of ``supervised_learning/self_ref_v0/__init__.py``."""
    outputs = []
    for at in x.unbind(2):
        y, q, k, beta = (torch.einsum("bhd,bhdn->bhn", at, matrix) for matrix in matrices)
        q, k = q.softmax(-1), k.softmax(-1)
        rates = beta.sigmoid().unbind(-1)
        outputs.append(y)
        matrices = tuple(
            matrix + torch.einsum("bhd,bh,bhe,bhen->bhdn", k, rate, q - k, matrix)
            for matrix, rate in zip(matrices, rates, strict=True)
        )
    return torch.stack(outputs, 2), *matrices


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SRWMlayer`` without norm and projection, with our own statement of its kernel."""
    heads, size = options["heads"], p["W"].shape[1]
    tools = {"torch": torch, "nn": nn, "F": functional, "math": math, "stateful_self_ref_v0": kernel}
    Layer = official(*CODE, "SRWMlayer", **tools)
    sizes = {"num_head": heads, "dim_head": size, "in_dim": heads * size, "dropout": 0.0}
    layer = Layer(**sizes, use_ln=False, use_input_softmax=True, stateful=True)
    layer.out_linear = nn.Identity()
    parts = [size, size, size, 4]
    names = ("W_y", "W_q", "W_k", "w_b")
    weights = {name: w[None] for name, w in zip(names, p["W"].split(parts, -1), strict=True)}
    h = x @ p["Wx"]
    before = state["M"].split(parts, -1)
    y, after = functional_call(layer, weights, (h,), {"state": before, "get_state": True})
    return y - h, {"M": torch.cat(after, -1)}
