"""Units with an alpha function by the code of snnTorch, with recurrent weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from references.synaptic import neuron
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"alpha": {"alpha": 0.9, "beta": 0.6, "threshold": 0.4}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """A spike is where the potential, which follows from the currents, is above the threshold."""
    state["s"][:] = tau_of(options) * (state["e"] + state["n"]) > options["threshold"]


def tau_of(options: dict[str, Any]) -> float:
    """The factor of the potential."""
    return math.log(options["alpha"]) / (math.log(options["beta"]) - math.log(options["alpha"])) + 1


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``Alpha`` with its reset to zero.

    Its input is here the sum of the projected input and the projected spikes, as in ``RSynaptic``. The first
    potential follows from the currents.
    """
    layer = neuron("Alpha")(options["alpha"], options["beta"], options["threshold"])
    spk, exc, inh, out = state["s"], state["e"], state["n"], []
    mem = tau_of(options) * (exc + inh)
    for each in linear(x, p["Wx"].T, p["b"]):
        spk, exc, inh, mem = layer(each + linear(spk, p["Wh"].T), exc, inh, mem)
        out.append(spk)
    return torch.stack(out), {"s": spk, "e": exc, "n": inh}
