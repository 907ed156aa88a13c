"""The pre-norm block around the tanh network."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"prenorm": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow section 3 of Xiong et al. 2020, arXiv:2002.04745, with the norm of Zhang & Sennrich 2019."""
    eps = options["prenorm_eps"]
    x = parts.project(p, x)
    h, last = parts.vanilla(p, parts.norm_rms(x, p["block_gain"], eps), state["h"])
    return parts.norm_rms(x + linear(h, p["block_Wo"].T), p["block_final_gain"], eps), {"h": last}
