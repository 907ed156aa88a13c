"""The GRU that resets after the product by PyTorch's own module."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"gru": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``torch.nn.GRU``, whose gates are in the order r, z, n. Its second bias is zero for r and z."""
    features, hidden = x.shape[-1], p["Wh"].shape[0]
    gru = torch.nn.GRU(features, hidden, dtype=torch.float64)
    weights = {
        "weight_ih_l0": p["Wx"].T,
        "weight_hh_l0": p["Wh"].T,
        "bias_ih_l0": p["b"],
        "bias_hh_l0": torch.cat([torch.zeros(2 * hidden, dtype=torch.float64), p["bn"]]),
    }
    y, h = torch.func.functional_call(gru, weights, (x, state["h"][None]))
    return y, {"h": h[0]}
