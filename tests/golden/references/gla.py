"""Gated linear attention in its parallel form."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, logsigmoid, rms_norm, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "gla": {"heads": 3, "rank": 2, "tau": 3.0},
    "gla_one_head": {"heads": 1, "rank": 2, "tau": 5.0},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``GatedLinearAttention`` of github.com/fla-org/flash-linear-attention, fla/layers/gla.py.

    Its norm and gate are those of ``FusedRMSNormGated``, its recurrence that of fla/ops/gla/naive.py. Here
    row i of a key of step s weighs ``exp(G_t - G_s)`` at step t, with ``G`` the running sum of the logarithms
    of the forget gates.
    """
    steps, batch, _ = x.shape
    half = p["b"].shape[0]
    split = linear(x, p["Wx"].T).split([half, half, 2 * half, 2 * half], dim=-1)
    gates = logsigmoid(linear(linear(x, p["Wa"].T), p["Wr"].T, p["b"])) / options["tau"]
    q, k, v, g, logs = (part.reshape(steps, batch, options["heads"], -1) for part in (*split, gates))
    q, total = q * q.shape[-1] ** -0.5, logs.cumsum(0)
    memory = []
    for t in range(steps):
        weighed = k[: t + 1] * torch.exp(total[t] - total[: t + 1])
        written = torch.einsum("sbhk,sbhd->bhkd", weighed, v[: t + 1])
        memory.append(torch.exp(total[t])[..., None] * state["S"] + written)
    o = torch.einsum("tbhk,tbhkd->tbhd", q, torch.stack(memory))
    y = rms_norm(o, (o.shape[-1],), p["gain"], eps=1e-5) * silu(g)
    return linear(y.reshape(steps, batch, -1), p["Wo"].T), {"S": memory[-1]}
