"""D-LinOSS in PyTorch's complex numbers, by its matrix."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"damped_linoss": {}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Some units inside the bounds of the stiffness, and some with damping."""
    p["oscillators"][1:] = 2 * abs(p["oscillators"][1:])
    p["oscillators"][1, :2] -= 3
    p["oscillators"][2, 2] *= -1


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``DampedIMEX1Layer`` of github.com/jaredbmit/damped-linoss, src/damped_linoss/models/LinOSS.py.

    Commit 450b546f. D is a matrix here, and a diagonal there.
    """
    s, free, damping = p["oscillators"]
    dt, G = torch.sigmoid(s), torch.relu(damping)
    low = (2 + dt * G - 2 * torch.sqrt(1 + dt * G)) / torch.clamp(dt**2, min=1e-6)
    high = (2 + dt * G + 2 * torch.sqrt(1 + dt * G)) / torch.clamp(dt**2, min=1e-6)
    A = low + torch.relu(free - low) - torch.relu(free - high)
    S = 1 + dt * G
    matrix = ((1 / S, -dt / S * A), (dt / S, 1 - dt**2 / S * A))
    forces = dt / S, dt**2 / S
    drive = torch.einsum("tbi,ih->tbh", x.to(torch.complex128), torch.complex(*p["B"]))
    z, y = (torch.complex(*state[name].unbind(1)) for name in ("z", "y"))
    places = []
    for each in drive:
        z, y = (row[0] * z + row[1] * y + force * each for row, force in zip(matrix, forces, strict=True))
        places.append(y)
    out = torch.einsum("tbh,hk->tbk", torch.stack(places), torch.complex(*p["C"])).real
    last = {name: torch.stack([value.real, value.imag], dim=1) for name, value in (("z", z), ("y", y))}
    return out + torch.einsum("tbi,ih->tbh", x, p["D"]), last
