"""The diagonal Kalman delta network after its authors' plain recurrence, one sequence at a time."""

from __future__ import annotations

from typing import Any

import torch
from references.kda import unit
from torch.nn.functional import linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "kalman_delta": {"heads": 2},
    "kalman_delta_one_head": {},
    "kalman_delta_empty": {"heads": 3},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``naive_recurrent_diag_kdn`` of ngocbh/kalman-delta-networks at 60aca3af, as its layer calls it.

    The file is lit_gpt/kdn_ops/diag_kdn_naive.py, and the layer lit_gpt/diag_kdn.py. No licence is stated.
    Run in float64 on the inputs of the cases, the function of the same name in the authors' fork of
    flash-linear-attention (MIT, fla/ops/diag_kdn/naive.py at fd70c5ba) gives the same outputs, states and
    gradients to 2e-15. The authors store the precision itself, and the cell its logarithm over the first one.
    """
    heads = options["heads"]
    width = len(p["b"]) // heads
    first = softplus(p["prior"])[:, None] + 0.1
    outputs, memories, precisions = [], [], []
    for row in range(x.shape[1]):
        memory, covariance, history = state["S"][row], 1 / (first * state["m"][row].exp()), []
        for u in x[:, row]:
            q, k, v = (silu(linear(u, w.T)).view(heads, width) for w in p["Wx"].chunk(3, dim=1))
            q, k = unit(q), unit(k)
            speed = softplus(linear(linear(u, p["Wa"].T), p["Wr"].T) + p["b"]).view(heads, width)
            alpha = torch.exp(-p["A"].exp()[:, None] * speed)
            omega = softplus(linear(linear(u, p["Wn"].T), p["Ws"].T, p["bn"])).view(heads, width)
            r = (softplus(linear(u, p["Wo"].T, p["bo"])) + 0.01)[:, None]
            predicted = alpha.square() * covariance + omega
            gain = predicted * k / (r + (predicted * k.square()).sum(-1, keepdim=True))
            covariance = predicted / (1 + width * k.square() / r * predicted)
            decayed = alpha[..., None] * memory
            innovation = v - torch.einsum("hk,hkv->hv", k, decayed)
            memory = decayed + gain[..., None] * innovation[:, None, :]
            history.append(width**-0.5 * torch.einsum("hk,hkv->hv", q, memory).flatten())
        outputs.append(torch.stack(history))
        memories.append(memory)
        precisions.append(-(covariance * first).log())
    return torch.stack(outputs, dim=1), {"S": torch.stack(memories), "m": torch.stack(precisions)}
