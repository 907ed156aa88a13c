"""The edge of stability echo state network by the code of ReservoirPy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"es2n": {"proximity": 0.4, "density": 0.7}}
# MIT licence, as of version 0.4.2.
LIBRARY = ("reservoirpy/reservoirpy", "6a0a7b1d7311a9a98eb429d4fccb6f243b9315d0")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ES2N._step`` on each sequence, with PyTorch's arrays and without a bias.

    The output is the new state and the part of the input that ``Wo`` adds.
    """
    step = official(*LIBRARY, "reservoirpy/nodes/es2n.py", "_step")
    weights = {"W": p["Wh"].T, "O": p["Q"].T, "Win": p["Wx"].T, "bias": 0.0}
    node = SimpleNamespace(**weights, activation=torch.tanh, proximity=options["proximity"])
    rows = []
    for sequence, h in zip(x.unbind(1), state["h"], strict=True):
        history = [{"out": h}]
        for each in sequence:
            history.append(step(node, history[-1], each))
        rows.append(torch.stack([each["out"] for each in history[1:]]))
    hidden = torch.stack(rows, dim=1)
    return hidden + x @ p["Wo"], {"h": hidden[-1]}
