"""The pre-norm block, after the papers alone: no official code has it around a recurrent cell."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _parts as parts
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"prenorm(vanilla)": {}, "prenorm(gla)": {"rank": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow section 3 of Xiong et al. 2020, arXiv:2002.04745, with the norm of Zhang & Sennrich 2019."""
    eps = options["prenorm_eps"]
    x = parts.project(p, x)
    cell = parts.inner_cell(options, p, state)
    y = cell(parts.norm_rms(x, p["block_gain"], eps).transpose(0, 1)).transpose(0, 1)
    y = y if parts.is_mixer(p) else linear(y, p["block_Wo"].T)
    return parts.norm_rms(x + y, p["block_final_gain"], eps), cell.state
