"""The LSTM with working memory connections by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"wmc_lstm": {"forget_bias": 1.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``WMCLSTMCell`` of torchrecurrent without its bias within tanh, as in Landi et al. 2021.

    Its gates stand in the order i, f, candidate, o; the output gate sees the new cell.
    """
    hidden = p["Wh"].shape[0]
    cell = torchrecurrent.WMCLSTMCell(x.shape[-1], hidden, dtype=torch.float64)
    forget = torch.zeros(4 * hidden, dtype=torch.float64)
    forget[hidden : 2 * hidden] = options["forget_bias"]
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "weight_mh": p["Wc"].T,
        "bias_ih": p["b"] + forget,
        "bias_hh": torch.zeros(4 * hidden, dtype=torch.float64),
        "bias_mh": torch.zeros(3 * hidden, dtype=torch.float64),
    }
    h, c, outputs = state["h"], state["c"], []
    for xt in x:
        h, c = torch.func.functional_call(cell, weights, (xt, (h, c)))
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}
