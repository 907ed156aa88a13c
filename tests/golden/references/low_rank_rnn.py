"""The low-rank network by the class of authors of the theory."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"low_rank_rnn": {"alpha": 0.3}, "low_rank_rnn_two": {"rank": 2}}
# No licence is stated.
AUTHORS = ("adrian-valente/lowrank_inference", "14bef71f733f66192944e074aeddbc41b132b7d0")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``LowRankRNN`` of low_rank_rnns/modules.py without noise.

    Its output is a readout of the rates, divided by their number. The readout here gives the rates.
    """
    network = official(*AUTHORS, "low_rank_rnns/modules.py", "LowRankRNN", torch=torch, nn=nn)
    inputs, size = p["Wx"].shape
    units = network(inputs, size, size, 0.0, options["alpha"], options["rank"])
    weights = {"wi": p["Wx"], "m": p["m"], "n": p["n"], "wo": size * torch.eye(size)}
    more = {"return_dynamics": True, "initial_states": state["h"]}
    y, h = torch.func.functional_call(units, weights, x.transpose(0, 1), more)
    return y.transpose(0, 1), {"h": h[:, -1]}
