"""Long expressive memory by the modules of its authors' code."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lem": {"dt": 0.7}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LEMCell`` of github.com/tk-rusch/LEM, src/sMNIST/network.py.

    Its three linear layers are ``inp2hid``, ``hid2hid`` and ``transform_z``; the biases of the last two are
    zero. Chunks of ``inp2hid`` come in the order dt_bar, dt, drive of y, drive of z.
    """
    y, z = state["y"], state["z"]
    out = []
    for each in x:
        i_dt1, i_dt2, i_z, i_y = linear(each, p["Wx"].T, p["b"]).chunk(4, 1)
        h_dt1, h_dt2, h_y = linear(y, p["Wy"].T).chunk(3, 1)
        dt_bar = options["dt"] * torch.sigmoid(i_dt1 + h_dt1)
        dt = options["dt"] * torch.sigmoid(i_dt2 + h_dt2)
        z = torch.lerp(z, torch.tanh(i_y + h_y), dt)
        y = torch.lerp(y, torch.tanh(linear(z, p["Wz"].T) + i_z), dt_bar)
        out.append(y)
    return torch.stack(out), {"y": y, "z": z}
