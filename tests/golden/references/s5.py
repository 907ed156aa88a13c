"""S5 as a parallel scan of pairs, in PyTorch's complex numbers."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
SMALL: dict[str, Any] = {"order": 8, "blocks": 2, "dt_min": 0.01, "dt_max": 0.5}
CASES: dict[str, dict[str, Any]] = {"s5": SMALL | {"clip": True}, "s5_free": SMALL | {"clip": False}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Shorter steps, in which poles that grow do not outgrow all else."""
    p["log_dt"] -= 1


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``S5SSM`` of github.com/lindermanlab/S5, s5/ssm.py: ``discretize_zoh``, ``conj_sym``.

    Pairs ``(a, b)``, the first of which holds the first state, are combined by ``binary_operator`` over
    spans of one, two, four steps and so on. D is a matrix here.
    """
    real, imaginary = p["A"]
    A = torch.complex(torch.clip(real, max=-1e-4) if options["clip"] else real, imaginary)
    a_bar = torch.exp(A * torch.exp(p["log_dt"]))
    B_bar = torch.complex(*p["B"]) * ((a_bar - 1) / A)
    first = torch.complex(*state["s"].unbind(1))
    b = torch.cat([first[None], torch.einsum("tbi,ip->tbp", x.to(B_bar.dtype), B_bar)])
    a = a_bar.expand_as(b)
    span = 1
    while span < len(b):
        b = torch.cat([b[:span], a[span:] * b[:-span] + b[span:]])
        a = torch.cat([a[:span], a[span:] * a[:-span]])
        span *= 2
    y = 2 * torch.einsum("tbp,ph->tbh", b[1:], torch.complex(*p["C"])).real
    last = torch.stack([b[-1].real, b[-1].imag], dim=1)
    return y + torch.einsum("tbi,ih->tbh", x, p["D"]), {"s": last}
