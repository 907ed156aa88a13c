"""The piecewise-linear RNN, on columns and with A and W apart."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"plrnn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``SimPLRNN.m`` of github.com/DurstewitzLab/PLRNNstsp without noise, ``B`` the identity.

    One matrix has A on its diagonal and W beside it, as ``get_latent_parameters`` of
    github.com/DurstewitzLab/dendPLRNN takes them apart, BPTT_TF/bptt/PLRNN_model.py.
    """
    joint, theta = p["Wh"].T, p["theta"][:, None]
    A = torch.diag(torch.diag(joint))
    W = joint - A
    z, outputs = state["h"].T, []
    for xt in x:
        z = A @ z + W @ torch.relu(z - theta) + p["Wx"].T @ xt.T
        outputs.append(torch.relu(z - theta).T)
    return torch.stack(outputs), {"h": z.T}
