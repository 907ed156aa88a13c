"""DeltaNet by the recurrence that tests the official kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "delta_net": {"heads": 2},
    "delta_net_negative": {"negative_eigenvalues": True},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``delta_rule_recurrence`` of github.com/fla-org/flash-linear-attention.

    Its file is fla/ops/delta_rule/naive.py. What comes before it is ``DeltaNet`` of fla/layers/delta_net.py
    without short convolutions, with L2 norms as in fla/modules/l2norm.py.
    """
    steps, batch, _ = x.shape
    heads, memory = options["heads"], state["S"]
    parts = silu(linear(x, p["Wx"].T)).chunk(3, dim=-1)
    q, k, v = (part.reshape(steps, batch, heads, -1) for part in parts)
    q, k = (part * torch.rsqrt((part * part).sum(-1, keepdim=True) + 1e-6) for part in (q, k))
    beta = torch.sigmoid(linear(x, p["Wb"].T)) * (2 if options["negative_eigenvalues"] else 1)
    out, memory = rule(q, k, v, beta, memory)
    return out.flatten(2), {"S": memory}


def rule(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, beta: torch.Tensor, memory: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs ``(T, B, heads, D)`` of the delta rule, and the last memory."""
    q = q * q.shape[-1] ** -0.5
    out = []
    for t in range(len(q)):
        missing = v[t] - (memory * k[t][..., None]).sum(-2)
        memory = memory + k[t].unsqueeze(-1) * (missing * beta[t][..., None]).unsqueeze(-2)
        out.append(torch.einsum("bhd,bhdm->bhm", q[t], memory))
    return torch.stack(out), memory
