"""The tau-GRU with its whole history in a list."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"tau_gru": {"delay": 3}, "tau_gru_late": {"delay": 8}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``tauGRU`` and ``tauGRUCell`` of torchrecurrent, cells/taugru_cell.py.

    ``h_{n+1} = (1 - g) h_n + g (u + a z)``, where z sees ``h_{n-d}``. The history starts with the given past,
    the earliest state first, and ends with the present one.
    """
    delay = options["delay"]
    history = [*state["past"].flip(1).unbind(1), state["h"]]
    (u_x, z_x, g_x, a_x), biases = p["Wx"].T.chunk(4), p["b"].chunk(4)
    u_h, g_h, a_h = p["Wh"].T.chunk(3)
    for each in x:
        h, delayed = history[-1], history[-1 - delay]
        u = torch.tanh(linear(each, u_x, biases[0]) + linear(h, u_h))
        z = torch.tanh(linear(each, z_x, biases[1]) + linear(delayed, p["Wd"].T))
        g = torch.sigmoid(linear(each, g_x, biases[2]) + linear(h, g_h))
        a = torch.sigmoid(linear(each, a_x, biases[3]) + linear(h, a_h))
        history.append((1.0 - g) * h + g * (u + a * z))
    past = torch.stack(history[-1 - delay : -1], dim=1).flip(1)
    return torch.stack(history[1 + delay :]), {"h": history[-1], "past": past}
