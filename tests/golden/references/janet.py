"""JANET by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"janet": {"beta": 0.5, "t_max": 30.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``JANETCell`` of torchrecurrent, with beta as a constant.

    With beta 1 it is the authors' (github.com/JosvanderWesthuizen/janet, aux_code/rnn_cells.py,
    ``forget_only``), who write ``sigmoid(1 - f)`` for ``1 - sigmoid(f - 1)``, and have the gate second.
    """
    hidden = p["Wh"].shape[0]
    cell = torchrecurrent.JANETCell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": p["b"],
        "bias_hh": torch.zeros(2 * hidden, dtype=torch.float64),
        "beta": torch.tensor(options["beta"], dtype=torch.float64),
    }
    h = c = state["h"]
    outputs = []
    for xt in x:
        h, c = torch.func.functional_call(cell, weights, (xt, (h, c)))
        outputs.append(h)
    return torch.stack(outputs), {"h": c}
