"""Leaky integrate-and-fire units with an adaptive threshold."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"alif": {"tau": 10.0, "tau_b": 30.0, "threshold": 0.2}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers, and an adaptation is positive."""
    state["s"][:] = state["s"] > 0
    state["b"][:] = abs(state["b"])


def spike(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """One above zero, with a given derivative."""
    return (x > 0).to(x.dtype).detach() + (x - x.detach()) * slope.detach()


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``ALIF`` of github.com/IGITUGraz/LSNN-official at a9158a35 (Clear BSD), lsnn/spiking_models.py.

    Spikes come from the potential before its update, and the reset has a gradient, as there. Run in float64
    on the inputs of the case, with PyTorch in place of TensorFlow 1, ``ALIF.__call__`` gives the same values
    to 2e-15.
    """
    v, z, b, out = state["v"], state["s"], state["b"], []
    decay, decay_b = math.exp(-1 / options["tau"]), math.exp(-1 / options["tau_b"])
    recurrent = torch.where(torch.eye(len(p["Wh"]), dtype=torch.bool), torch.zeros_like(p["Wh"]), p["Wh"])
    for each in x:
        current = linear(each, p["Wx"].T) + linear(z, recurrent.T)
        b = decay_b * b + (1.0 - decay_b) * z
        threshold = options["threshold"] + options["beta"] * b
        scaled = (v - threshold) / threshold
        fired = spike(scaled, 0.3 * torch.clamp(1 - scaled.abs(), min=0))
        v = decay * v + (1 - decay) * current - z * threshold
        z = fired
        out.append(z)
    return torch.stack(out), {"s": z, "v": v, "b": b}
