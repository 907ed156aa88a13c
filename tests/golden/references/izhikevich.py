"""Izhikevich's neurons by the code of Norse, with their states in millivolts."""

from __future__ import annotations

from typing import Any

import torch
from references.adex import functions, layer

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"izhikevich": {"b": 0.25, "reset": -60.0}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers, and some potentials are about to reach the threshold."""
    state["s"][:] = state["s"] > 0
    state["v"][:] = 60 + 20 * state["v"]


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SNNRecurrent`` with ``izhikevich_recurrent_step``, which is ``IzhikevichRecurrent``.

    Its states are in millivolts, and ours are above rest. Its time step is in seconds.
    """
    names = "IzhikevichParameters", "IzhikevichRecurrentState", "izhikevich_recurrent_step"
    parameters, states, step = functions("izhikevich", *names)
    constants = parameters(options["a"], options["b"], options["reset"], options["d"])
    rest, recovery = -70.0, -70.0 * options["b"]
    first = states(state["s"], state["v"] + rest, state["w"] + recovery)
    y, last = layer(step, p, constants, options["dt"] / constants.tau_inv)(x, first)
    return y, {"s": last.z, "v": last.v - rest, "w": last.u - recovery}
