"""The block of S5 and the LRU around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import gelu, linear, sigmoid

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"glu": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``SequenceLayer`` of github.com/lindermanlab/S5, s5/layers.py, with prenorm and "full_glu".

    The cell takes the place of the S5. Flax's GELU is the tanh form.
    """
    x = parts.project(p, x)
    n = parts.norm_layer(x, p["block_gain"], p["block_shift"], options["glu_eps"])
    h, last = parts.vanilla(p, n, state["h"])
    v = gelu(h, approximate="tanh")
    gate = sigmoid(linear(v, p["block_Wg"].T, p["block_bg"]))
    return x + linear(v, p["block_Wv"].T, p["block_bv"]) * gate, {"h": last}
