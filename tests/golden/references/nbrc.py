"""The neuromodulated bistable recurrent cell, by columns."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"nbrc": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``NBRC`` of github.com/nvecoven/BRC, cells/cells.py, where r is zoo's a and z is zoo's c.

    States and inputs are columns here, and each gate has matrices of its own.
    """
    kernelr, kernelz, kernelh = p["Wx"].T.chunk(3)
    memoryr, memoryz = p["Wh"].T.chunk(2)
    br, bz = p["b"][:, None].chunk(2)
    h, outputs = state["h"].T, []
    for xt in x:
        z = torch.sigmoid(kernelz @ xt.T + memoryz @ h + bz)
        r = torch.tanh(kernelr @ xt.T + memoryr @ h + br) + 1
        h = (1.0 - z) * torch.tanh(kernelh @ xt.T + r * h) + z * h
        outputs.append(h.T)
    return torch.stack(outputs), {"h": h.T}
