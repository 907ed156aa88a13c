"""The memory-controller LSTM by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mc_lstm": {"forget_bias": 1.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MCLSTMCell`` of torchrecurrent, whose parts stand in the order f, i, o, m, n.

    Its m reads the control vector (here k), its n is the candidate (here g). The same equations are in issue
    136 of RecurrentLayers.jl.
    """
    hidden = p["Wv"].shape[0]
    cell = torchrecurrent.MCLSTMCell(x.shape[-1], hidden, dtype=torch.float64)

    forget = torch.zeros(5 * hidden, dtype=torch.float64)
    forget[hidden : 2 * hidden] = options["forget_bias"]

    def reordered(stacked: torch.Tensor) -> torch.Tensor:
        i, f, g, o, k = stacked.chunk(5)
        return torch.cat([f, i, o, k, g])

    weights = {
        "weight_ih": reordered(p["Wx"].T),
        "weight_hh": reordered(p["Wv"].T),
        "bias_ih": reordered(p["b"] + forget),
        "bias_hh": torch.zeros(5 * hidden, dtype=torch.float64),
    }
    v, c, outputs = state["v"], state["c"], []
    for xt in x:
        y, (v, c) = torch.func.functional_call(cell, weights, (xt, (v, c)))
        outputs.append(y)
    return torch.stack(outputs), {"v": v, "c": c}
