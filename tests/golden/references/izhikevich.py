"""Izhikevich's neurons as in Norse, with their states in millivolts."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"izhikevich": {"b": 0.25, "reset": -60.0}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers, and some potentials are about to reach the threshold."""
    state["s"][:] = state["s"] > 0
    state["v"][:] = 60 + 20 * state["v"]


def spike(x: torch.Tensor) -> torch.Tensor:
    """One above zero, with the derivative of norse/torch/functional/superspike.py."""
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * ((1 + x.abs()) ** -2).detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``izhikevich_recurrent_step`` of Norse 1.1.0 (LGPL-3.0), norse/torch/functional/izhikevich.py.

    No unit reaches itself. Run in float64 on the inputs of the case, the function itself gives the same
    outputs, states and gradients to 5e-15.
    """
    rest, step = -70.0, options["dt"]
    z, v, u, out = state["s"], state["v"] + rest, state["w"] + rest * options["b"], []
    recurrent = (p["Wh"] - torch.diag(torch.diag(p["Wh"]))).T
    for each in x:
        current = linear(each, p["Wx"].T) + linear(z, recurrent)
        rise = v + step * (0.04 * v**2 + 5 * v + 140 - u + current)
        recovery = torch.lerp(u, options["b"] * v, step * options["a"])
        z = spike(rise - 30.0)
        v, u = torch.lerp(rise, torch.full_like(rise, options["reset"]), z), recovery + z * options["d"]
        out.append(z)
    return torch.stack(out), {"s": z, "v": v - rest, "w": u - rest * options["b"]}
