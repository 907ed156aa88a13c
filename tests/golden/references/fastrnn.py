"""FastRNN by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"fastrnn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``FastRNNCell`` of torchrecurrent, which computes the same as the class of the authors.

    That is ``FastRNNCell`` of github.com/microsoft/EdgeML, pytorch/edgeml_pytorch/graph/rnn.py. Only its
    initial values differ.
    """
    cell = torchrecurrent.FastRNNCell(
        x.shape[-1], p["Wh"].shape[0], recurrent_bias=False, dtype=torch.float64
    )
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": p["b"],
        "alpha": p["alpha"].reshape(1),
        "beta": p["beta"].reshape(1),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
