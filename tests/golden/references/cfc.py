"""The closed-form continuous-time cell by the modules of ncps."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"cfc": {"units": 7}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``CfCCell`` of github.com/mlech26l/ncps, ncps/torch/cfc_cell.py, in its mode "default".

    The backbone is one linear layer over input and state side by side; ``ff1``, ``ff2``, ``time_a`` and
    ``time_b`` are the four heads.
    """
    h = state["h"]
    backbone = torch.cat([p["Wx"], p["Wh"]]).T
    weights, biases = p["Wv"].T.chunk(4), p["bv"].chunk(4)
    out = []
    for each, ts in zip(x, p["dt"], strict=True):
        v = 1.7159 * torch.tanh(0.666 * linear(torch.cat([each, h], 1), backbone, p["b"]))
        ff1, ff2, t_a, t_b = (linear(v, w, b) for w, b in zip(weights, biases, strict=True))
        t_interp = torch.sigmoid(t_a * ts[:, None] + t_b)
        h = torch.tanh(ff1) * (1.0 - t_interp) + t_interp * torch.tanh(ff2)
        out.append(h)
    return torch.stack(out), {"h": h}
