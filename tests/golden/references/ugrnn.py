"""The update gate RNN, with one matrix for input and state."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ugrnn": {"forget_bias": 0.3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``UGRNNCell`` of TensorFlow 1, tensorflow/contrib/rnn/python/ops/rnn_cell.py.

    One product of input and state gives gate and candidate in this order; the gate has the forget bias.
    """
    matrix = torch.cat([p["Wx"], p["Wh"]])
    h, outputs = state["h"], []
    for xt in x:
        g_act, c_act = torch.chunk(torch.cat([xt, h], dim=1) @ matrix + p["b"], 2, dim=1)
        g = torch.sigmoid(g_act + options["forget_bias"])
        h = g * h + (1.0 - g) * torch.tanh(c_act)
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
