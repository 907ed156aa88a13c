"""The residual LSTM by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"res_lstm": {"forget_bias": 1.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ResLSTMCell`` of torchrecurrent, whose gates stand in the order i, f, candidate, o.

    The same equations are given for Kim et al. 2017 in issue 142 of RecurrentLayers.jl.
    """
    hidden = p["Wh"].shape[0]
    cell = torchrecurrent.ResLSTMCell(x.shape[-1], hidden, dtype=torch.float64)
    forget = torch.zeros(4 * hidden, dtype=torch.float64)
    forget[hidden : 2 * hidden] = options["forget_bias"]
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "weight_proj": p["Wp"].T,
        "weight_res": p["Wr"].T,
        "weight_ph": p["p"].reshape(-1),
        "bias_ih": p["b"] + forget,
        "bias_hh": torch.zeros(4 * hidden, dtype=torch.float64),
    }
    h, c, outputs = state["h"], state["c"], []
    for xt in x:
        h, c = torch.func.functional_call(cell, weights, (xt, (h, c)))
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}
