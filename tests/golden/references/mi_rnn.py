"""The multiplicative integration RNN, on columns."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mi_rnn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute ``tanh(alpha * Wx * Uz + beta1 * Uz + beta2 * Wx + b)`` of Wu et al. 2016.

    It is the general form, and z is the old state. With ``W = Wx.T`` and ``U = Wh.T``. In ports to Keras,
    too, beta1 goes with Uz.
    """
    alpha, beta1, beta2, b = (p[name][:, None] for name in ("alpha", "beta1", "beta2", "b"))
    z, outputs = state["h"].T, []
    for xt in x:
        Wx, Uz = p["Wx"].T @ xt.T, p["Wh"].T @ z
        z = torch.tanh(alpha * Wx * Uz + beta1 * Uz + beta2 * Wx + b)
        outputs.append(z.T)
    return torch.stack(outputs), {"h": z.T}
