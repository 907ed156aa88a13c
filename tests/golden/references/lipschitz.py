"""The Lipschitz RNN, its mixtures of matrices multiplied out."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lipschitz": {"eps": 0.3, "beta": 0.6, "gamma": 0.2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LipschitzRNN`` of github.com/erichson/LipschitzRNN, models.py, where states are rows.

    ``beta (M - M.T) + (1 - beta) (M + M.T) - gamma I`` is ``M + (1 - 2 beta) M.T - gamma I``.
    """
    eps, back, gamma = options["eps"], 1 - 2 * options["beta"], options["gamma"]

    def mixed(h: torch.Tensor, M: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bi,ij->bj", h, M) + back * torch.einsum("bj,ij->bi", h, M) - gamma * h

    h, outputs = state["h"], []
    for xt in x:
        h = h + eps * (mixed(h, p["Ma"]) + torch.tanh(mixed(h, p["Mw"]) + xt @ p["Wx"] + p["b"]))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
