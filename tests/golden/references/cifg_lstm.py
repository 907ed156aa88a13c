"""The coupled LSTM by PyTorch's LSTM, whose forget gate gets the input gate's weights negated."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"cifg_lstm": {"forget_bias": 1.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``torch.nn.LSTM`` with ``f = 1 - i`` (Greff et al. 2015), by negated weights of the input gate.

    ``forget_bias`` is added to the forget gate, as in ``CoupledInputForgetGateLSTMCell`` of TensorFlow
    (tensorflow/contrib/rnn/python/ops/rnn_cell.py), which is so without peepholes by default.
    """
    features, hidden = x.shape[-1], p["Wh"].shape[0]
    lstm = torch.nn.LSTM(features, hidden, dtype=torch.float64)

    def coupled(stacked: torch.Tensor) -> torch.Tensor:
        i, g, o = stacked.chunk(3)
        return torch.cat([i, -i, g, o])

    taken = options["forget_bias"] * torch.ones(hidden, dtype=torch.float64)
    weights = {
        "weight_ih_l0": coupled(p["Wx"].T),
        "weight_hh_l0": coupled(p["Wh"].T),
        "bias_ih_l0": coupled(p["b"]),
        "bias_hh_l0": torch.cat([-taken, taken, torch.zeros(2 * hidden, dtype=torch.float64)]),
    }
    y, (h, c) = torch.func.functional_call(lstm, weights, (x, (state["h"][None], state["c"][None])))
    return y, {"h": h[0], "c": c[0]}
