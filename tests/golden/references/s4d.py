"""S4D as a long convolution, by Fourier transforms, in PyTorch's complex numbers."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"s4d": {"order": 4, "start": "inv", "dt_min": 0.01, "dt_max": 0.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``S4DKernel`` and ``S4D`` of github.com/state-spaces/s4, models/s4/s4d.py, up to ``u * D``.

    What the first states add, and the last states, are powers of the same poles; as in the class
    ``SSMKernelDiag`` beside it, inputs enter a state times ``(exp(dt A) - 1) / A``.
    """
    steps, u = len(x), torch.einsum("tbi,ih->bht", x, p["Wx"])
    A = torch.complex(-torch.exp(p["log_rate"]), p["freq"])
    dtA = A * torch.exp(p["log_dt"])[:, None]
    C, held = torch.complex(*p["C"]), (torch.exp(dtA) - 1) / A
    powers = torch.exp(dtA[..., None] * torch.arange(steps + 1))
    K = 2 * torch.einsum("hn,hnl->hl", C * held, powers[..., :-1]).real
    y = torch.fft.irfft(torch.fft.rfft(u, n=2 * steps) * torch.fft.rfft(K, n=2 * steps), n=2 * steps)
    first = torch.complex(*state["s"].unbind(1))
    y = y[..., :steps] + 2 * torch.einsum("hn,hnl,bhn->bhl", C, powers[..., 1:], first).real
    s = powers[..., -1] * first
    s = s + held * torch.einsum("hnl,bhl->bhn", powers[..., :-1].flip(-1), u.to(powers.dtype))
    y = y + p["D"][:, None] * u
    return y.permute(2, 0, 1), {"s": torch.stack([s.real, s.imag], dim=1)}
