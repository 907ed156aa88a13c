"""Adaptive leaky integrate-and-fire units, one feature at a time after another."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"adlif": {"threshold": 0.05}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Most decays are within their limits; spikes are whole numbers."""
    p["alpha"][:] = 0.9 + 0.06 * p["alpha"]
    p["beta"][:] = 0.98 + 0.01 * p["beta"]
    state["s"][:] = state["s"] > 0


def spike(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """One above zero, with a given derivative."""
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * slope.detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``_radlif_cell`` of github.com/idiap/sparch at f8756254 (BSD-3-Clause), sparch/models/snns.py.

    The diagonal of the recurrent matrix is zero, parameters are clamped, and the surrogate is a box of width
    one. Run in float64 on the inputs of the case, ``RadLIFLayer`` gives the same values to 2e-15.
    """
    u, w, s = state["u"], state["w"], state["s"]
    alpha = torch.clamp(p["alpha"], math.exp(-1 / 5), math.exp(-1 / 25))
    beta = torch.clamp(p["beta"], math.exp(-1 / 30), math.exp(-1 / 120))
    a, b = torch.clamp(p["a"], -1.0, 1.0), torch.clamp(p["b"], 0.0, 2.0)
    off_diagonal = p["Wh"] - torch.diag(torch.diag(p["Wh"]))
    out = []
    for each in x:
        w = beta * w + a * u + b * s
        u = torch.lerp(linear(each, p["Wx"].T) + torch.matmul(s, off_diagonal) - w, u - s, alpha)
        above = u - options["threshold"]
        s = spike(above, ((above > -0.5) & (above <= 0.5)).to(u.dtype))
        out.append(s)
    return torch.stack(out), {"s": s, "u": u, "w": w}
