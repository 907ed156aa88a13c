"""The IndyLSTM by PyTorch's LSTM with diagonal matrices."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"indy_lstm": {"forget_bias": 0.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``torch.nn.LSTM``, whose gates are in the order i, f, g, o, on four diagonal recurrent matrices.

    So TensorFlow states its ``IndyLSTMCell`` (contrib/rnn/python/ops/rnn_cell.py), which adds the forget bias
    beside the bias of the forget gate.
    """
    features, hidden = x.shape[-1], p["u"].shape[0] // 4
    lstm = torch.nn.LSTM(features, hidden, dtype=torch.float64)
    forget = torch.zeros(4, hidden, dtype=torch.float64)
    forget[1] = options["forget_bias"]
    weights = {
        "weight_ih_l0": p["Wx"].T,
        "weight_hh_l0": torch.cat([torch.diag(u) for u in p["u"].chunk(4)]),
        "bias_ih_l0": p["b"],
        "bias_hh_l0": forget.reshape(-1),
    }
    y, (h, c) = torch.func.functional_call(lstm, weights, (x, (state["h"][None], state["c"][None])))
    return y, {"h": h[0], "c": c[0]}
