"""The echo state network, row by row and on columns."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"esn": {"leak": 0.4, "radius": 0.8, "density": 0.6, "scale": 0.7}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow M. Lukoševičius's ``minimalESN.py``: ``x = (1-a) x + a tanh(Win (1, u) + W x)``.

    The output is the new state and what the trained ``Wo`` adds of the input.
    """
    a, W = options["leak"], p["Wh"].T
    Win = torch.cat([p["b"][:, None], p["Wx"].T], dim=1)
    one, rows = torch.ones(1, dtype=torch.float64), []
    for row in range(x.shape[1]):
        h, history = state["h"][row], []
        for u in x[:, row]:
            h = (1 - a) * h + a * torch.tanh(Win @ torch.cat([one, u]) + W @ h)
            history.append(h)
        rows.append(torch.stack(history))
    hidden = torch.stack(rows, dim=1)
    return hidden + torch.einsum("tbi,ih->tbh", x, p["Wo"]), {"h": hidden[-1]}
