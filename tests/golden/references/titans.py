"""The linear memory of Titans, by automatic differentiation of its loss."""

from __future__ import annotations

from typing import Any

import torch
from references.kda import unit
from torch.nn.functional import linear, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"titans": {"heads": 2}, "titans_one_head": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow sections 3.1 and 3.2 of https://arxiv.org/abs/2501.00663, in particular equations 8 to 14."""
    q, k, v = (
        silu(part).unflatten(-1, (options["heads"], -1)) for part in linear(x, p["Wx"].T).chunk(3, dim=-1)
    )
    theta, alpha, eta = torch.sigmoid(linear(x, p["Wg"].T, p["b"]))[..., None, None].chunk(3, dim=2)
    memory, surprise, out = state["M"], state["P"], []
    for t in range(len(x)):
        loss = ((torch.einsum("bhd,bhde->bhe", unit(k[t]), memory) - v[t]) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, memory, create_graph=True)
        surprise = eta[t] * surprise - theta[t] * gradient
        memory = (1 - alpha[t]) * memory + surprise
        out.append(torch.einsum("bhd,bhde->bhe", unit(q[t]), memory).flatten(1))
    return torch.stack(out), {"M": memory, "P": surprise}
