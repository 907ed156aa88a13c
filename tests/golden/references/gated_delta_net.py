"""The gated delta rule, all corrections at once from a triangular system."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "gated_delta_net": {"heads": 2},
    "gated_delta_net_one_head": {"heads": 1},
    "gated_delta_net_negative": {"heads": 2, "negative_eigenvalues": True},
}


def unit(a: torch.Tensor) -> torch.Tensor:
    """A vector of length one: fla/modules/l2norm.py, with its 1e-6 under the root."""
    return a / torch.sqrt((a * a).sum(-1, keepdim=True) + 1e-6)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``GatedDeltaNet`` of github.com/fla-org/flash-linear-attention, fla/layers/gated_deltanet.py.

    Its gate is that of fla/ops/gated_delta_rule/gate.py. What is written at step t, ``w_t = beta_t (v_t -
    a_t S_0' k_t - sum_{s<t} a_t/a_s (k_s k_t) w_s)`` with ``a`` the running product of the gates, is a linear
    system; then ``S_t = a_t S_0 + sum_{s<=t} a_t/a_s k_s w_s'``.
    """
    steps, batch, _ = x.shape
    q, k, v = (
        silu(part).reshape(steps, batch, options["heads"], -1).permute(1, 2, 0, 3)
        for part in linear(x, p["Wx"].T).chunk(3, dim=-1)
    )
    q, k = unit(q) * q.shape[-1] ** -0.5, unit(k)
    beta = torch.sigmoid(linear(x, p["Wb"].T)).permute(1, 2, 0)
    beta = beta * (2 if options["negative_eigenvalues"] else 1)
    total = (-torch.exp(p["A"]) * softplus(linear(x, p["Wa"].T, p["ba"]))).cumsum(0).permute(1, 2, 0)
    decay = torch.exp((total[..., :, None] - total[..., None, :]).tril()).tril()
    system = torch.eye(steps, dtype=x.dtype) + (beta[..., None] * decay * (k @ k.mT)).tril(-1)
    first, whole = state["S"], torch.exp(total)[..., None]
    written = torch.linalg.solve_triangular(system, beta[..., None] * (v - whole * (k @ first)), upper=False)
    y = whole * (q @ first) + (decay * (q @ k.mT)) @ written
    last = whole[..., -1, :, None] * first + (k * decay[..., -1, :, None]).mT @ written
    return y.permute(2, 0, 1, 3).reshape(steps, batch, -1), {"S": last}
