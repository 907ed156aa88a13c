"""Recurrent second-order integrate-and-fire by the code of snnTorch."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch.func import functional_call
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"synaptic": {"alpha": 0.7, "beta": 0.8, "threshold": 0.6}}
# MIT licence. The files are those of version 1.0.0.
SNNTORCH = ("jeshraghian/snntorch", "634fc22385ec5581998e62787bbe39b53662140f")


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """A spike is where the potential is above the threshold."""
    state["s"][:] = state["v"] > options["threshold"]


def neuron(name: str) -> Any:
    """Load a class of neurons with ``LIF``, ``SpikingNeuron`` and the surrogate ``ATan``."""
    tools = {"torch": torch, "nn": torch.nn}
    _, atan = official(*SNNTORCH, "snntorch/surrogate.py", "ATan", "atan", **tools)
    file = "snntorch/_neurons/neurons.py"
    _, lif = official(*SNNTORCH, file, "SpikingNeuron", "LIF", atan=atan, **tools)
    return official(*SNNTORCH, f"snntorch/_neurons/{name.lower()}.py", name, LIF=lif, **tools)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``RSynaptic`` after a linear layer, whose bias is the only one."""
    decays, units = (options["alpha"], options["beta"]), len(p["b"])
    layer = neuron("RSynaptic")(*decays, linear_features=units, threshold=options["threshold"])
    weights = {"recurrent.weight": p["Wh"].T, "recurrent.bias": torch.zeros(units)}
    states, out = (state["s"], state["i"], state["v"]), []
    for each in linear(x, p["Wx"].T, p["b"]):
        states = functional_call(layer, weights, (each, *states))
        out.append(states[0])
    return torch.stack(out), dict(zip("siv", states, strict=True))
