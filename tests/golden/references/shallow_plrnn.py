"""The shallow piecewise-linear network, on columns."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "shallow_plrnn": {"units": 7},
    "shallow_plrnn_clipped": {"units": 5, "clipped": True},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``step`` of github.com/DurstewitzLab/GTF-shPLRNN at b6172ce8 (GPL-3.0), which is in Julia.

    It is written here from src/models/shallow_plrnn.jl, and not run.
    """
    column = lambda name: p[name][:, None]  # noqa: E731
    W1, W2, C = p["W1"].T, p["W2"].T, p["Wx"].T
    z, out = state["h"].T, []
    for each in x:
        hidden = torch.relu(W2 @ z + column("h2"))
        if options["clipped"]:
            hidden = hidden - torch.relu(W2 @ z)
        z = column("A") * z + W1 @ hidden + column("h1") + C @ each.T
        out.append(z.T)
    return torch.stack(out), {"h": z.T}
