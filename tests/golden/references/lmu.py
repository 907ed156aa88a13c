"""The Legendre memory unit, its window discretised by SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.signal import cont2discrete
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lmu": {"order": 8, "theta": 12.5}}


def buffers(options: dict[str, Any]) -> dict[str, np.ndarray]:
    """``A`` and ``B`` as rows are multiplied by them, from the matrices on columns of pytorch-lmu."""
    order, theta = options["order"], options["theta"]
    q = np.arange(order, dtype=np.float64).reshape(-1, 1)
    r = (2 * q + 1) / theta
    i, j = np.meshgrid(q, q, indexing="ij")
    a = r * np.where(i < j, -1, (-1.0) ** (i - j + 1))
    b = r * ((-1.0) ** q)
    c, d = np.ones((1, order)), np.zeros((1, 1))
    a, b, *_ = cont2discrete((a, b, c, d), dt=1.0, method="zoh")
    return {"A": np.ascontiguousarray(a.T), "B": b[:, 0].copy()}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LMUCell`` of github.com/hrshtv/pytorch-lmu, src/lmu.py: equations 7, 4 and 6 of the paper."""
    h, m = state["h"], state["m"]
    out = []
    for each in x:
        u = linear(each, p["ex"].T) + linear(h, p["eh"].T) + linear(m, p["em"].T)
        m = linear(m, p["A"].T) + linear(u, p["B"][:, None])
        h = torch.tanh(linear(each, p["Wx"].T) + linear(h, p["Wh"].T) + linear(m, p["Wm"].T))
        out.append(h)
    return torch.stack(out), {"h": h, "m": m}
