"""The antisymmetric network, by the equations of the paper."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"antisymmetric": {"eps": 0.3, "gamma": 0.1}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute ``h + e tanh((W - W^T - g I) h + V x + b)`` of Chang et al. 2019 on columns, with W = U^T."""
    W, V, b = p["U"].T, p["Wx"].T, p["b"][:, None]
    M = W - W.T - options["gamma"] * torch.eye(len(W), dtype=torch.float64)
    h, outputs = state["h"].T, []
    for xt in x:
        h = h + options["eps"] * torch.tanh(M @ h + V @ xt.T + b)
        outputs.append(h.T)
    return torch.stack(outputs), {"h": h.T}
