"""Excitatory and inhibitory rate units by the class of an author."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "ei_rnn": {"alpha": 0.3, "excitatory": 0.7},
    "ei_rnn_whole": {"alpha": 1.0, "excitatory": 0.5},
}
# MIT licence.
AUTHORS = ("gyyang/nn-brain", "a675b15cd7f164f716a0f000877be131d31195e7")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``EIRNN`` of EI_RNN.ipynb without noise and with one bias.

    It has an argument for the excitatory part, but its recurrent layer is always given 0.8. This is edited.
    """
    edits = {"EIRecLinear(hidden_size, e_prop=0.8)": "EIRecLinear(hidden_size, e_prop)"}
    tools = {"torch": torch, "nn": nn, "init": nn.init, "F": nn.functional, "np": np, "math": math}
    network, _ = official(*AUTHORS, "EI_RNN.ipynb", "EIRNN", "EIRecLinear", edits=edits, **tools)
    # Its time constant is 100 ms.
    units = network(x.shape[-1], len(p["b"]), 100 * options["alpha"], options["excitatory"])
    weights = {"input2h.weight": p["Wx"].T, "input2h.bias": p["b"]}
    weights |= {"h2h.weight": p["Wh"].T, "h2h.bias": torch.zeros_like(p["b"])}
    first = state["h"], torch.relu(state["h"])
    y, (last, _) = torch.func.functional_call(units, weights, (x, first))
    return y, {"h": last}
