"""The phased LSTM, with the phase of each unit as a share of its period."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"phased_lstm": {"open": 0.6, "leak": 0.1}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Periods are some steps long, and shifts are positive."""
    p["period"][:] = 4 + p["period"]
    p["shift"][:] = 10 + 5 * p["shift"]
    state["t"][:] = abs(state["t"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``PLSTMLayer`` of github.com/dannyneil/public_plstm at 1bf26279 (Apache-2.0), plstm.py.

    Run in float64 on the inputs of the case, with PyTorch in place of Theano, its functions ``step``,
    ``calc_time_gate`` and ``step_masked`` give the same outputs, states and gradients to 2e-15.
    """
    h, c, t, out = state["h"], state["c"], state["t"], []
    period = torch.abs(p["period"])
    for each, dt in zip(x, p["dt"], strict=True):
        t = t + dt[:, None]
        phase = torch.remainder(t + p["shift"], period) / period
        half = phase / (0.5 * options["open"])
        gate = torch.where(half <= 1, half, torch.where(half <= 2, 2 - half, options["leak"] * phase))
        i, f, g, o = (linear(each, p["Wx"].T, p["b"]) + linear(h, p["Wh"].T)).chunk(4, 1)
        kept = torch.sigmoid(f + c * p["p"][1]) * c
        cell = kept + torch.sigmoid(i + c * p["p"][0]) * torch.tanh(g)
        hidden = torch.sigmoid(o + cell * p["p"][2]) * torch.tanh(cell)
        h, c = torch.lerp(h, hidden, gate), torch.lerp(c, cell, gate)
        out.append(h)
    return torch.stack(out), {"h": h, "c": c, "t": t}
