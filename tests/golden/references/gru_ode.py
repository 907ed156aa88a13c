"""The full GRU-ODE: a velocity, and Euler steps of one row at a time."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"gru_ode": {"steps": 3}}


def velocity(p: Tensors, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """``FullGRUODECell`` of github.com/edebrouwer/gru_ode_bayes, gru_ode_bayes/models.py, on columns."""
    xr, xz, xh = (p["Wx"].T @ x + p["b"]).chunk(3)
    hr, hz = (weights.T @ h for weights in p["Wh"].chunk(2, dim=1))
    z = torch.sigmoid(xz + hz)
    u = torch.tanh(xh + p["Wn"].T @ (torch.sigmoid(xr + hr) * h))
    return (1 - z) * (u - h)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``ode_step`` of github.com/edebrouwer/gru_ode_bayes with the solver "euler".

    Its ``delta_t`` is ``dt / steps``.
    """
    rows, steps = [], options["steps"]
    for row in range(x.shape[1]):
        h, out = state["h"][row], []
        for xt, dt in zip(x[:, row], p["dt"][:, row], strict=True):
            for _ in range(steps):
                h = h + dt / steps * velocity(p, xt, h)
            out.append(h)
        rows.append(torch.stack(out))
    y = torch.stack(rows, dim=1)
    return y, {"h": y[-1]}
