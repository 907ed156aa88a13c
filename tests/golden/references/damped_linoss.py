"""D-LinOSS in PyTorch's complex numbers, compared with the authors' code in JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"damped_linoss": {}, "damped_linoss_empty": {}}
# The repository has no licence file.
AUTHORS = (
    "jaredbmit/damped-linoss",
    "450b546f693918fe7cfe44082e88538fb29fbd64",
    "src/damped_linoss/models/LinOSS.py",
)


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Some units inside the bounds of the stiffness, and some with damping."""
    p["oscillators"][1:] = 2 * abs(p["oscillators"][1:])
    p["oscillators"][1, :2] -= 3
    p["oscillators"][2, 2] *= -1


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """State the matrix of ``DampedIMEX1Layer``.

    From states of zero, outputs are compared with those of the layer. D is a matrix here, and a diagonal
    there.
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
    out = out + torch.einsum("tbi,ih->tbh", x, p["D"])
    if not any(value.any() for value in state.values()):
        agree(p, x, out)
    last = {name: torch.stack([value.real, value.imag], dim=1) for name, value in (("z", z), ("y", y))}
    return out, last


def agree(p: Tensors, x: torch.Tensor, out: torch.Tensor) -> None:
    """Run the authors' layer on every sequence, and compare."""
    import jax

    jax.config.update("jax_enable_x64", True)
    base = {"_AbstractLinOSSLayer": object, "jax": jax, "jnp": jax.numpy, "nn": jax.nn}
    edits = {"self.D * u": "u @ self.D"}
    Layer, operator = official(*AUTHORS, "DampedIMEX1Layer", "binary_operator", edits=edits, **base)
    Layer._recurrence.__globals__["binary_operator"] = jax.vmap(operator)
    layer = Layer.__new__(Layer)
    layer.dt, layer.A_diag, layer.G_diag = (np.array(row.detach()) for row in p["oscillators"])
    layer.B, layer.C = (np.array(p[name].detach()).transpose(2, 1, 0) for name in "BC")
    layer.D, layer.state_dim = np.array(p["D"].detach()), len(layer.dt)
    for row in range(x.shape[1]):
        expected = layer(np.array(x[:, row].detach()))
        np.testing.assert_allclose(out[:, row].detach(), expected, rtol=0, atol=1e-12)
