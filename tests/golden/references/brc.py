"""The bistable recurrent cell, unit by unit."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"brc": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``BRC`` of github.com/nvecoven/BRC, cells/cells.py, where r is zoo's a and z is zoo's c.

    A unit reads the inputs and its own state, and nothing else, so each runs on its own.
    """
    hidden, outputs = p["w"].shape[1], []
    for unit in range(hidden):
        kernelr, kernelz, kernelh = (p["Wx"][:, part * hidden + unit] for part in range(3))
        (memoryr, memoryz), (br, bz) = p["w"][:, unit], p["b"][unit::hidden]
        h, shown = state["h"][:, unit], []
        for xt in x:
            r = torch.tanh(xt @ kernelr + h * memoryr + br) + 1
            z = torch.sigmoid(xt @ kernelz + h * memoryz + bz)
            h = z * h + (1.0 - z) * torch.tanh(xt @ kernelh + r * h)
            shown.append(h)
        outputs.append(torch.stack(shown))
    y = torch.stack(outputs, dim=-1)
    return y, {"h": y[-1]}
