"""The Euler state network, with its diffusion inside the matrix."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"eusn": {"eps": 0.3, "gamma": 0.2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``EulerReservoirCell`` of github.com/gallicch/EulerStateNetworks at 309e2a06, euler.py.

    No licence is stated. Run in float64 on the inputs of the case, with PyTorch in place of TensorFlow, the
    class itself gives the same outputs, states and gradients to 2e-15. The output is the new state and the
    part of the input that ``Wo`` adds.
    """
    kernel = p["Wh"] - options["gamma"] * torch.eye(len(p["Wh"]), dtype=torch.float64)
    h, out = state["h"], []
    for each in x:
        h = h + options["eps"] * torch.tanh(torch.matmul(each, p["Wx"]) + p["b"] + torch.matmul(h, kernel))
        out.append(h + each @ p["Wo"])
    return torch.stack(out), {"h": h}
