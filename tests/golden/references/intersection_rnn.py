"""The intersection RNN, as TensorFlow has it."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"intersection_rnn": {"forget_bias": 1.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``IntersectionRNNCell`` of TensorFlow, contrib/rnn/python/ops/rnn_cell.py, with projections."""
    n_dim = p["Wh"].shape[0]
    kernel = torch.cat([p["Wx"], p["Wh"]])
    h, outputs = state["h"], []
    for xt in x:
        inputs = torch.matmul(xt, p["Wp"]) + p["bp"]
        rnn_matrix = torch.matmul(torch.cat([inputs, h], dim=1), kernel) + p["b"]
        gh = torch.sigmoid(rnn_matrix[:, :n_dim] + options["forget_bias"])
        gy = torch.sigmoid(rnn_matrix[:, 2 * n_dim : 3 * n_dim] + options["forget_bias"])
        h = gh * h + (1.0 - gh) * torch.tanh(rnn_matrix[:, n_dim : 2 * n_dim])
        outputs.append(gy * inputs + (1.0 - gy) * torch.relu(rnn_matrix[:, 3 * n_dim :]))
    return torch.stack(outputs), {"h": h}
