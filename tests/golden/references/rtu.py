"""Recurrent trace units, with the rotations of their authors' code."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "rtu": {},
    "rtu_linear": {"nonlinear": False},
    "rtu_tanh": {"activation": "tanh"},
}
# MIT licence.
AUTHORS = ("esraaelelimy/rtus", "b10d4feae8380b1ba6478ebb10b82a2e853e6ec3")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``g_phi_params`` with PyTorch in place of JAX, and follow the layers in src/nets/rtus/rtus.py."""
    rotation = official(*AUTHORS, "src/nets/rtus/rtus_utils.py", "g_phi_params", jnp=torch)
    g, phi, norm = rotation(p["nu"], p["theta"])
    f = torch.relu if options["activation"] == "relu" else torch.tanh
    h, out = torch.complex(state["a"], state["c"]), []
    for each in torch.complex(*(linear(x, p["Wx"].T) * norm.repeat(2)).chunk(2, dim=-1)):
        h = torch.complex(g, phi) * h + each
        parts = torch.cat([h.real, h.imag], dim=-1)
        out.append(f(parts))
        if options["nonlinear"]:
            h = torch.complex(*f(parts).chunk(2, dim=-1))
    return torch.stack(out), {"a": h.real, "c": h.imag}
