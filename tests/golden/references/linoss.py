"""LinOSS in PyTorch's complex numbers, compared with the authors' code in JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "linoss": {"scheme": "im"},
    "linoss_imex": {"scheme": "imex"},
    "linoss_im_empty": {"scheme": "im"},
    "linoss_imex_empty": {"scheme": "imex"},
}
# MIT licence.
AUTHORS = ("tk-rusch/linoss", "83e6318469cf9e5f78290ed5f5fe8db7cfb6e667", "models/LinOSS.py")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """State the matrices ``M_IM`` and ``M_IMEX`` of the paper's equations.

    From states of zero, outputs are compared with ``apply_linoss_im`` and ``apply_linoss_imex``.
    """
    A, dt = torch.relu(p["A"]), torch.sigmoid(p["s"])
    schur = 1 / (1 + dt**2 * A) if options["scheme"] == "im" else torch.ones_like(A)
    if options["scheme"] == "im":
        matrix = ((1 - dt**2 * A * schur, -dt * A * schur), (dt * schur, schur))
        forces = dt * (1 - dt**2 * A * schur), dt**2 * schur
    else:
        matrix = ((torch.ones_like(A), -dt * A), (dt, 1 - dt**2 * A))
        forces = dt, dt**2
    drive = torch.einsum("tbi,ih->tbh", x.to(torch.complex128), torch.complex(*p["B"]))
    z, y = (torch.complex(*state[name].unbind(1)) for name in ("z", "y"))
    places = []
    for each in drive:
        z, y = (row[0] * z + row[1] * y + force * each for row, force in zip(matrix, forces, strict=True))
        places.append(y)
    out = torch.einsum("tbh,hk->tbk", torch.stack(places), torch.complex(*p["C"])).real
    if not any(value.any() for value in state.values()):
        agree(options["scheme"], p, x, out)
    last = {name: torch.stack([value.real, value.imag], dim=1) for name, value in (("z", z), ("y", y))}
    return out + torch.einsum("tbi,ih->tbh", x, p["D"]), last


def agree(scheme: str, p: Tensors, x: torch.Tensor, out: torch.Tensor) -> None:
    """Run the authors' function on every sequence, and compare."""
    import jax

    jax.config.update("jax_enable_x64", True)
    operator, apply = official(*AUTHORS, "binary_operator", f"apply_linoss_{scheme}", jax=jax, jnp=jax.numpy)
    apply.__globals__["binary_operator"] = jax.vmap(operator)
    B, C = (np.array(p[name][0].detach()) + 1j * np.array(p[name][1].detach()) for name in "BC")
    A, dt = (np.array(f(p[name]).detach()) for f, name in ((torch.relu, "A"), (torch.sigmoid, "s")))
    for row in range(x.shape[1]):
        expected = apply(A, B.T, C.T, np.array(x[:, row].detach()), dt)
        np.testing.assert_allclose(out[:, row].detach(), expected, rtol=0, atol=1e-12)
