"""Adaptive leaky integrate-and-fire units in symplectic Euler steps."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "se_adlif": {"q": 20.0, "threshold": 0.3, "tau_u_max": 10.0, "scale": 0.7, "slope": 3.0}
}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers; most parameters are within their limits."""
    for name in ("t", "r", "a", "b"):
        p[name][:] = 0.5 + 0.6 * p[name]
    state["s"][:] = state["s"] > 0


def spike(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """One above zero, with a given derivative."""
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * slope.detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``SEAdLIF`` of github.com/IGITUGraz/SE-adlif at e9803972 (CC BY-SA 4.0), models/alif.py.

    Parameters are clamped here and not after an update. Run in float64 on the inputs of the case, the class
    itself, with its parameters clamped before, gives the same values to 2e-15, and gradients wherever a
    parameter is within its limits.
    """
    u, z, w, out = state["u"], state["s"], state["w"], []
    decays = []
    for name, kind in (("t", "tau_u"), ("r", "tau_w")):
        part = torch.clamp(p[name], 0.0, 1.0)
        low, high = options[f"{kind}_min"], options[f"{kind}_max"]
        decays.append(torch.exp(-1.0 / (part * high + (1.0 - part) * low)))
    decay_u, decay_w = decays
    a, b = torch.clamp(p["a"], 0.0, 1.0), torch.clamp(p["b"], 0.0, 2.0)
    for each in x:
        current = linear(each, p["Wx"].T, p["bias"]) + linear(z, p["Wh"].T)
        u = torch.lerp(current - w, u, decay_u)
        above = u - options["threshold"]
        slope = options["scale"] * options["slope"] / (2 * torch.exp(above.abs() * options["slope"]))
        z = spike(above, slope)
        u = u * (1 - z.detach())
        w = torch.lerp((a * u + b * z) * options["q"], w, decay_w)
        out.append(z)
    return torch.stack(out), {"s": z, "u": u, "w": w}
