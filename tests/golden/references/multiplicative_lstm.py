"""The multiplicative LSTM by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"multiplicative_lstm": {"forget_bias": 1.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MultiplicativeLSTMCell`` of torchrecurrent, which is the ``mLSTM`` of github.com/benkrause/mLSTM.

    There, in chainer/mLSTMWN.py, neither factor of the intermediate state has a bias; the gates' b starts
    with the forget bias in it.
    """
    hidden = p["Wmh"].shape[0]
    cell = torchrecurrent.MultiplicativeLSTMCell(x.shape[-1], hidden, dtype=torch.float64)
    zero = torch.zeros(hidden, dtype=torch.float64)
    i, f, g, o = p["b"].chunk(4)
    weights = {
        "weight_ih": torch.cat([p["Wmx"], p["Wx"]], dim=1).T,
        "weight_hh": p["Wmh"].T,
        "weight_mh": p["Wm"].T,
        "bias_ih": torch.cat([zero, i, f + options["forget_bias"], g, o]),
        "bias_hh": zero,
        "bias_mh": torch.zeros(4 * hidden, dtype=torch.float64),
    }
    h, c, outputs = state["h"], state["c"], []
    for xt in x:
        h, c = torch.func.functional_call(cell, weights, (xt, (h, c)))
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}
