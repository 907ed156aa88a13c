"""FastGRNN by the cell of torchrecurrent with a sigmoid gate."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"fastgrnn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``FastGRNNCell`` of torchrecurrent with a sigmoid gate, as in the authors' class.

    That is ``FastGRNNCell`` of github.com/microsoft/EdgeML, pytorch/edgeml_pytorch/graph/rnn.py: a sigmoid,
    first in the bias; ``z h + (s(zeta) (1 - z) + s(nu)) c``.
    """
    hidden = p["Wh"].shape[0]
    zeta, nu = p["scale"].chunk(2)
    cell = torchrecurrent.FastGRNNCell(x.shape[-1], hidden, nonlinearity="sigmoid", dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": p["b"],
        "bias_hh": torch.zeros(2 * hidden, dtype=torch.float64),
        "zeta": zeta,
        "nu": nu,
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
