"""The GRU that resets before the product, as Keras has it."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"gru_reset_before": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``GRUCell.call`` of github.com/keras-team/keras with ``reset_after=False``.

    The file is keras/src/layers/rnn/gru.py. Keras' kernels hold the gates in the order z, r, h.
    """
    units = p["Wn"].shape[0]
    r, z, n = p["Wx"].split(units, dim=1)
    kernel = torch.cat([z, r, n], dim=1)
    recurrent_r, recurrent_z = p["Wh"].split(units, dim=1)
    recurrent_kernel = torch.cat([recurrent_z, recurrent_r, p["Wn"]], dim=1)
    r, z, n = p["b"].split(units)
    bias = torch.cat([z, r, n])
    h, outputs = state["h"], []
    for inputs in x:
        matrix_x = torch.matmul(inputs, kernel) + bias
        x_z, x_r, x_h = matrix_x.split(units, dim=1)
        matrix_inner = torch.matmul(h, recurrent_kernel[:, : 2 * units])
        z = torch.sigmoid(x_z + matrix_inner[:, :units])
        r = torch.sigmoid(x_r + matrix_inner[:, units:])
        candidate = torch.tanh(x_h + torch.matmul(r * h, recurrent_kernel[:, 2 * units :]))
        h = z * h + (1 - z) * candidate
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
