"""The MomentumRNN, its velocities as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"momentum_rnn": {"mu": 0.7, "epsilon": 0.4}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``MomentumLSTMCell`` of github.com/minhtannguyen/MomentumRNN, up to its gates.

    Its file is mnist-timit/momentumnet.py: ``vy = mu v + epsilon x2h(x)``, to which ``h2h(hx)`` is added.
    Then tanh stands in place of an LSTM.
    """
    mu, steps = options["mu"], len(x)
    pushes = options["epsilon"] * torch.nn.functional.linear(x, p["Wx"].T, p["b"])
    v = [
        mu ** (t + 1) * state["v"] + sum(mu ** (t - k) * pushes[k] for k in range(t + 1))
        for t in range(steps)
    ]
    h, outputs = state["h"], []
    for vt in v:
        h = torch.tanh(vt + h @ p["Wh"])
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "v": v[-1]}
