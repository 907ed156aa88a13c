"""The unitary evolution RNN by PyTorch's Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"urnn": {}}


def buffers(options: dict[str, Any]) -> dict[str, np.ndarray]:
    """``F``, its real and imaginary part, and some permutation that is not its own inverse."""
    F = np.fft.fft(np.eye(6), norm="ortho")
    return {"F": np.stack([F.real, F.imag]), "P": np.eye(6)[[2, 4, 0, 5, 3, 1]]}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute ``W = D3 R2 F^-1 D2 P R1 F D1`` and modReLU of Arjovsky et al. 2015.

    The transforms are functions and the permutation is an index, as in ``complex_RNN`` of
    github.com/amarshah/complex_RNN, models.py. Reflections are the paper's, ``a - 2 v (v* a) / |v|^2``; the
    official code takes the conjugate of v. A modulus is ``sqrt(|z|^2 + 1e-10)``, as the card says.
    """
    D1, D2, D3 = torch.polar(torch.ones_like(p["w"]), p["w"])
    v1, v2 = torch.complex(*p["v"])
    Wx, index = torch.complex(*p["Wx"]), p["P"].argmax(dim=0)

    def reflected(a: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return a - 2 * torch.outer(a @ v.conj(), v) / torch.vdot(v, v)

    h, outputs = torch.complex(state["h"][:, 0], state["h"][:, 1]), []
    for xt in x:
        a = reflected(torch.fft.fft(h * D1, norm="ortho"), v1)[:, index]
        a = reflected(torch.fft.ifft(a * D2, norm="ortho"), v2) * D3
        z = a + xt.to(torch.complex128) @ Wx
        modulus = torch.sqrt(torch.view_as_real(z).square().sum(dim=-1) + 1e-10)
        h = z * torch.relu(1 + p["b"] / modulus)
        outputs.append(torch.cat([h.real, h.imag], dim=1))
    return torch.stack(outputs), {"h": torch.stack([h.real, h.imag], dim=1)}
