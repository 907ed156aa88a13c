"""MesaNet by the code of its authors' library."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references.kda import LIBRARY, unit
from torch.nn.functional import linear, logsigmoid, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mesa_net": {"heads": 2, "iterations": 2}, "mesa_net_one_head": {}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """The products of keys with keys are symmetric and positive."""
    state["G"][:] = state["G"] @ state["G"].swapaxes(-1, -2)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``naive_mesa_net_decoding_one_step``, called as by fla/layers/mesa_net.py."""
    file, name = "fla/ops/mesa_net/naive.py", "naive_mesa_net_decoding_one_step"
    step = official(*LIBRARY, file, name, torch=torch)
    q, k, v = (part.unflatten(-1, (options["heads"], -1)) for part in linear(x, p["Wx"].T).chunk(3, dim=-1))
    b, a = linear(x, p["Wg"].T, p["b"]).chunk(2, dim=-1)
    beta, g = torch.sigmoid(b), logsigmoid(a)
    ridge = (softplus(p["ridge"]) + 0.25).unflatten(-1, (options["heads"], -1))
    kk, kv, out = state["G"], state["S"], []
    for t in range(len(x)):
        keys = unit(silu(q[t])), unit(silu(k[t]))
        o, kk, kv = step(*keys, v[t], g[t], ridge, beta[t], kk, kv, options["iterations"])
        out.append(o.flatten(1))
    return torch.stack(out), {"G": kk, "S": kv}
