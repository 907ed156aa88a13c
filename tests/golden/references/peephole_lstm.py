"""The LSTM with peepholes, as TensorFlow has it."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"peephole_lstm": {"forget_bias": 1.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LSTMCell`` of TensorFlow, python/ops/rnn_cell_impl.py, with ``use_peepholes=True``.

    Its kernel stands on input and output together and holds the gates in the order i, j, f, o, j being the
    candidate. As in Gers et al. 2002, the output gate sees the new cell.
    """
    units = p["Wh"].shape[0]
    i, f, j, o = torch.cat([p["Wx"], p["Wh"]]).split(units, dim=1)
    kernel = torch.cat([i, j, f, o], dim=1)
    i, f, j, o = p["b"].split(units)
    bias = torch.cat([i, j, f, o])
    w_i_diag, w_f_diag, w_o_diag = p["p"]
    m, c, outputs = state["h"], state["c"], []
    for inputs in x:
        lstm_matrix = torch.matmul(torch.cat([inputs, m], dim=1), kernel) + bias
        i, j, f, o = lstm_matrix.split(units, dim=1)
        kept = torch.sigmoid(f + options["forget_bias"] + w_f_diag * c) * c
        c = kept + torch.sigmoid(i + w_i_diag * c) * torch.tanh(j)
        m = torch.sigmoid(o + w_o_diag * c) * torch.tanh(c)
        outputs.append(m)
    return torch.stack(outputs), {"h": m, "c": c}
