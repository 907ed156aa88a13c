"""The eLSTM: the memory step by step, the output gate for all steps at once."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"elstm": {"forget_bias": 1.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``QuasiLSTMlayer`` of github.com/IDSIA/rtrl-elstm, reinforcement_learning/torchbeast/layer.py.

    There the output gate is one linear layer on input and new cells; the forget bias is put into the bias of
    the forget gate at the start.
    """
    for_f, for_z, for_o = p["Wx"].T.chunk(3)
    bias_f, bias_z, bias_o = p["b"].chunk(3)
    wv_f, wv_z = p["u"]
    cell, cells = state["c"], []
    pre_f, pre_z = linear(x, for_f, bias_f + options["forget_bias"]), linear(x, for_z, bias_z)
    for f, z in zip(pre_f, pre_z, strict=True):
        written = torch.tanh(z + wv_z * cell)
        cell = written + torch.sigmoid(f + wv_f * cell) * (cell - written)
        cells.append(cell)
    new = torch.stack(cells)
    gate = linear(torch.cat([x, new], dim=2), torch.cat([for_o, p["Wc"].T], dim=1), bias_o)
    return torch.sigmoid(gate) * new, {"c": cell}
