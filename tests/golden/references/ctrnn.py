"""The continuous-time RNN, neuron by neuron."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ctrnn": {"tau_min": 0.4}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``CTRNN::EulerStep`` of Randall Beer's C++ code, CTRNN.cpp, with all gains one.

    All potentials move by their old outputs, then all outputs are computed. A time constant is ``tau_min``
    and the softplus of s; the step is the input ``dt``.
    """
    size = p["Wh"].shape[0]
    rates = 1 / (options["tau_min"] + torch.nn.functional.softplus(p["s"]))
    states, history = list(state["h"].T), []
    outputs = [torch.sigmoid(states[i] + p["b"][i]) for i in range(size)]
    for xt, dt in zip(x, p["dt"], strict=True):
        external = xt @ p["Wx"]
        for i in range(size):
            drive = external[:, i] + sum(p["Wh"][j, i] * outputs[j] for j in range(size))
            states[i] = states[i] + dt * rates[i] * (drive - states[i])
        outputs = [torch.sigmoid(states[i] + p["b"][i]) for i in range(size)]
        history.append(torch.stack(outputs, dim=1))
    return torch.stack(history), {"h": torch.stack(states, dim=1)}
