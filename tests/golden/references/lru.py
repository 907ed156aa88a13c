"""The linear recurrent unit in PyTorch's complex numbers."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lru": {"r_min": 0.2, "r_max": 0.9, "max_phase": 3.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LRU`` of github.com/NicolasZucchet/minimal-LRU, lru/model.py, except for its diagonal D.

    Complex arrays are given and returned as two planes, real and imaginary.
    """
    nu_log, theta_log, gamma_log = p["poles"]
    diagonal = torch.exp(torch.complex(-torch.exp(nu_log), torch.exp(theta_log)))
    normalised = torch.complex(*p["B"]) * torch.exp(gamma_log)
    drive = torch.einsum("tbi,in->tbn", x.to(torch.complex128), normalised)
    h = torch.complex(state["h"][:, 0], state["h"][:, 1])
    hidden = []
    for each in drive:
        h = diagonal * h + each
        hidden.append(h)
    y = torch.einsum("tbn,nh->tbh", torch.stack(hidden), torch.complex(*p["C"])).real
    return y + torch.einsum("tbi,ih->tbh", x, p["D"]), {"h": torch.stack([h.real, h.imag], dim=1)}
