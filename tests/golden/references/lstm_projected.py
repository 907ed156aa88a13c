"""The LSTM with a recurrent projection by PyTorch's own module."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lstm_projected": {"proj": 3, "forget_bias": 0.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``torch.nn.LSTM`` with ``proj_size``, and with the forget bias in the bias of the input."""
    hidden, proj = p["Wp"].shape
    lstm = torch.nn.LSTM(x.shape[-1], hidden, proj_size=proj, dtype=torch.float64)
    forget = torch.zeros(4, hidden, dtype=torch.float64)
    forget[1] = options["forget_bias"]
    weights = {
        "weight_ih_l0": p["Wx"].T,
        "weight_hh_l0": p["Wh"].T,
        "weight_hr_l0": p["Wp"].T,
        "bias_ih_l0": p["b"] + forget.reshape(-1),
        "bias_hh_l0": torch.zeros(4 * hidden, dtype=torch.float64),
    }
    y, (h, c) = torch.func.functional_call(lstm, weights, (x, (state["h"][None], state["c"][None])))
    return y, {"h": h[0], "c": c[0]}
