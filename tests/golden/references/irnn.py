"""The IRNN by PyTorch's own module."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"irnn": {"scale": 0.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``torch.nn.RNN`` with rectified units. The identity of Le et al. 2015 is only an initial value."""
    features, hidden = x.shape[-1], p["Wh"].shape[0]
    rnn = torch.nn.RNN(features, hidden, nonlinearity="relu", dtype=torch.float64)
    weights = {
        "weight_ih_l0": p["Wx"].T,
        "weight_hh_l0": p["Wh"].T,
        "bias_ih_l0": p["b"],
        "bias_hh_l0": torch.zeros_like(p["b"]),
    }
    y, h = torch.func.functional_call(rnn, weights, (x, state["h"][None]))
    return y, {"h": h[0]}
