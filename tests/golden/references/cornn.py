"""The coRNN, with one matrix for input, velocities and displacements."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"cornn": {"dt": 0.3, "gamma": 1.7, "epsilon": 2.3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``coRNNCell`` of github.com/tk-rusch/coRNN, sMNIST/network.py, whose layer reads (x, z, y)."""
    dt, gamma, epsilon = options["dt"], options["gamma"], options["epsilon"]
    i2h = torch.cat([p["Wx"], p["Wz"], p["Wy"]]).T
    y, z, outputs = state["y"], state["z"], []
    for xt in x:
        force = torch.tanh(torch.nn.functional.linear(torch.cat([xt, z, y], dim=1), i2h, p["b"]))
        z = z + dt * (force - gamma * y - epsilon * z)
        y = y + dt * z
        outputs.append(y)
    return torch.stack(outputs), {"y": y, "z": z}
