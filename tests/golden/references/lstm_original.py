"""The LSTM of 1997 by that of torchrecurrent, at half its scale."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lstm_original": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``OriginalLSTMCell`` of torchrecurrent with half the weights of the candidate.

    In the appendix of Hochreiter and Schmidhuber 1997, g is ``4 sigmoid(x) - 2`` and h is ``2 sigmoid(x) -
    1``. These are ``2 tanh(x / 2)`` and ``tanh(x / 2)``. The class has plain tanh, so with half the weights
    its memory is half the memory of the paper.
    """
    hidden = p["Wh"].shape[0]
    half = torch.ones(3, hidden, dtype=torch.float64)
    half[1] = 0.5
    half = half.reshape(-1)
    cell = torchrecurrent.OriginalLSTMCell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": (p["Wx"] * half).T,
        "weight_hh": (p["Wh"] * half).T,
        "bias_ih": p["b"] * half,
        "bias_hh": torch.zeros(3 * hidden, dtype=torch.float64),
    }
    h, c, outputs = state["h"], state["c"] / 2, []
    for xt in x:
        h, c = torch.func.functional_call(cell, weights, (xt, (h, c)))
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": 2 * c}
