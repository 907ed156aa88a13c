"""Units with an alpha function as in snnTorch, with recurrent weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"alpha": {"alpha": 0.9, "beta": 0.6, "threshold": 0.4}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """A spike is where the potential, which follows from the currents, is above the threshold."""
    state["s"][:] = tau_of(options) * (state["e"] + state["n"]) > options["threshold"]


def tau_of(options: dict[str, Any]) -> float:
    """The factor of the potential."""
    return math.log(options["alpha"]) / (math.log(options["beta"]) - math.log(options["alpha"])) + 1


def spike(x: torch.Tensor) -> torch.Tensor:
    """One above zero, with the derivative of ``atan`` in snntorch/surrogate.py, alpha 2."""
    slope = 1 / (1 + (torch.pi * x) ** 2)
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * slope.detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``Alpha`` of snnTorch 1.0.0, snntorch/_neurons/alpha.py (MIT), with its reset to zero.

    Its input is here the sum of the projected input and the projected spikes, as in ``RSynaptic``. Run in
    float64 on the inputs of the case, the class itself gives the same outputs, states and gradients to 2e-15.
    """
    spk, exc, inh, tau = state["s"], state["e"], state["n"], tau_of(options)
    mem, out = tau * (exc + inh), []
    for each in x:
        reset = spike(mem - options["threshold"]).detach()
        current = linear(each, p["Wx"].T, p["b"]) + linear(spk, p["Wh"].T)
        exc, inh = options["alpha"] * exc + current, options["beta"] * inh - current
        mem = tau * (exc + inh)
        exc, inh, mem = exc - exc * reset, inh - inh * reset, mem - mem * reset
        spk = spike(mem - options["threshold"])
        out.append(spk)
    return torch.stack(out), {"s": spk, "e": exc, "n": inh}
