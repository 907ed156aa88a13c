"""Balanced resonate-and-fire units, as complex numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"brf": {}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Frequencies are below ``1 / dt``, and some units are about to fire."""
    p["omega"][:] = 8 + 10 * p["omega"]
    state["u"][:] = 3 * state["u"]
    state["s"][:] = state["s"] > 0


def spike(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """One above zero, with a given derivative."""
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * slope.detach()


def density(x: torch.Tensor, deviation: float) -> torch.Tensor:
    """The normal density with mean zero."""
    return torch.exp(-torch.square(x / deviation) / 2) / (deviation * math.sqrt(2 * math.pi))


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``BRFCell`` and ``brf_update`` of github.com/AdaptiveAILab/brf-neurons at 5d45b0e7 (MIT).

    They are in snn/modules/rf.py, and the surrogate in snn/functional/autograd.py. Their one linear layer
    reads input and spikes. Run in float64 on the inputs of the case, they give the same values to 2e-15.
    """
    z, q, potential = state["s"], state["q"], torch.complex(state["u"], state["v"])
    dt, omega = options["dt"], p["omega"].abs()
    boundary = (-1 + torch.sqrt(1 - torch.square(dt * omega))) / dt
    weights = torch.cat([p["Wx"], p["Wh"]]).T
    out = []
    for each in x:
        pole = torch.complex(boundary - p["damping"].abs() - q, omega.expand_as(q))
        potential = potential + dt * (pole * potential + linear(torch.cat([each, z], dim=1), weights))
        above = potential.real - 1.0 - q
        slope = 0.5 * (1.15 * density(above, 0.5) - 0.3 * density(above, 3.0))
        z = spike(above, slope)
        q = 0.9 * q + z
        out.append(z)
    return torch.stack(out), {"s": z, "u": potential.real, "v": potential.imag, "q": q}
