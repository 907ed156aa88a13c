"""The LSTM by PyTorch's own module."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lstm": {"forget_bias": 1.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``torch.nn.LSTM``, whose gates are in the order i, f, g, o and are matrices on columns.

    The forget bias goes into the bias of the input, the bias of the hidden units is zero.
    """
    features, hidden = x.shape[-1], p["Wh"].shape[0]
    lstm = torch.nn.LSTM(features, hidden, dtype=torch.float64)
    forget = torch.zeros(4, hidden, dtype=torch.float64)
    forget[1] = options["forget_bias"]
    weights = {
        "weight_ih_l0": p["Wx"].T,
        "weight_hh_l0": p["Wh"].T,
        "bias_ih_l0": p["b"] + forget.reshape(-1),
        "bias_hh_l0": torch.zeros(4 * hidden, dtype=torch.float64),
    }
    y, (h, c) = torch.func.functional_call(lstm, weights, (x, (state["h"][None], state["c"][None])))
    return y, {"h": h[0], "c": c[0]}
