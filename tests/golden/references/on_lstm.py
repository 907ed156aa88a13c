"""The LSTM with ordered neurons, on chunks."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, softmax

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"on_lstm": {}, "on_lstm_chunks": {"chunk": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``ONLSTMCell`` of github.com/yikangshen/Ordered-Neurons at 46d63cde (BSD-3-Clause), ON_LSTM.py.

    The bias of its recurrent layer is zero. Run in float64 on the inputs of the case, the class itself gives
    the same outputs, states and gradients to 2e-15.
    """
    units, size = p["Wh"].shape[0], options["chunk"]
    chunks = units // size
    h, c, out = state["h"], state["c"].view(-1, chunks, size), []
    for each in x:
        gates = linear(each, p["Wx"].T, p["b"]) + linear(h, p["Wh"].T)
        master_in, master_forget = gates[:, : 2 * chunks].chunk(2, 1)
        o, g, i, f = gates[:, 2 * chunks :].view(-1, 4, chunks, size).unbind(1)
        master_in = 1.0 - torch.cumsum(softmax(master_in, dim=-1), dim=-1)[:, :, None]
        master_forget = torch.cumsum(softmax(master_forget, dim=-1), dim=-1)[:, :, None]
        overlap = master_forget * master_in
        forget = torch.sigmoid(f) * overlap + (master_forget - overlap)
        write = torch.sigmoid(i) * overlap + (master_in - overlap)
        c = forget * c + write * torch.tanh(g)
        h = (torch.sigmoid(o) * torch.tanh(c)).reshape(-1, units)
        out.append(h)
    return torch.stack(out), {"h": h, "c": c.reshape(-1, units)}
