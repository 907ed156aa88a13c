"""Log-linear attention by the tree of its authors, compared with the matrices of flash-linear-attention."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import torch
from einops import einsum, rearrange
from official import official
from references.kda import LIBRARY
from torch.nn import functional
from torch.nn.functional import conv1d, linear, silu, softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "log_linear_attention": {"heads": 2, "order": 2, "levels": 5, "width": 3},
    "log_linear_attention_empty": {"expand": 1, "order": 3, "levels": 4, "width": 2},
}
# The repository has no licence.
AUTHORS = ("HanGuo97/log-linear-attention", "7f8644159c1406fae1ad863829a5b3a4fbf63022")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``HState``, put together as in hattention/modeling_hattention.py and hattention/mamba_apis.py.

    The convolution is PyTorch's, over what came before and all steps. The norm is ``rms_norm_ref``.
    """
    tools = {"torch": torch, "rearrange": rearrange}
    norm = official(*LIBRARY, "fla/modules/layernorm_gated.py", "rms_norm_ref", F=functional, **tools)
    heads, order, channels = options["heads"], options["order"], p["gain"].shape[0]
    sizes = [channels, channels + 2 * order, heads, p["L"].numel()]
    z, entering, dt, dl = linear(x, p["Wx"].T).split(sizes, dim=-1)
    seen = torch.cat([state["past"].transpose(0, 1), entering])
    taps = p["taps"].T[:, None, :]
    after = silu(conv1d(seen.permute(1, 2, 0), taps, p["b"], groups=len(taps))).transpose(1, 2)
    u, k, q = after.split([channels, order, order], dim=-1)
    u = u.unflatten(-1, (heads, -1))
    k, q = (part[:, :, None].expand(-1, -1, heads, -1) for part in (k, q))
    dt = softplus(dt.transpose(0, 1) + p["bd"])
    log_gates = -torch.exp(p["A"]) * dt
    weights = softplus(p["L"] * dl.transpose(0, 1).unflatten(-1, (heads, -1)))
    inputs = (q, k, u * dt[..., None], log_gates, weights)
    # Sequences have counters of their own, and those of a tree count for all of its sequences.
    rows = zip(*inputs, state["S"], state["n"], strict=True)
    outputs, memories = zip(*(tree(options, *(part[None] for part in row)) for row in rows), strict=True)
    y = torch.cat(outputs)
    if not any(value.any() for value in state.values()):
        agree(*inputs, y)
    y = (y + p["D"][:, None] * u).flatten(2).transpose(0, 1)
    y = norm(y, p["gain"], None, z=z, eps=1e-5, norm_before_gate=False)
    last = {"S": torch.cat(memories), "past": seen[len(x) :].transpose(0, 1)}
    return linear(y, p["Wo"].T), last | {"n": (state["n"] + len(x)) % 2 ** (options["levels"] - 2)}


def tree(
    options: dict[str, Any],
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    log_gates: torch.Tensor,
    weights: torch.Tensor,
    sums: torch.Tensor,
    n: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run ``step_state`` and ``step_output`` on one sequence whose segments have the given sums."""
    levels = options["levels"]
    kinds = official(*AUTHORS, "hattention/base.py", "HType", "HStruct", Enum=Enum)
    tools = {"torch": torch, "einsum": einsum, "rearrange": rearrange}
    tools |= dict(zip(("HType", "HStruct"), kinds, strict=True))
    file = "hattention/recurrent.py"
    State, step_state, step_output = official(*AUTHORS, file, "HState", "step_state", "step_output", **tools)
    Type, Struct = kinds
    shape = (*q.shape[:1], q.shape[2], q.shape[3], v.shape[3], levels)
    S = State(2, Type.WEAK, Struct.MAMBA2, shape, torch.float64, q.device)
    # A tree stores the last step, level 0, on its own. It joins other steps before it is read again.
    sums = sums.unflatten(2, (levels - 1, -1)).movedim(2, -1)
    segments = torch.diff(sums, dim=-1)
    S.states = torch.cat([sums[..., :1], torch.zeros_like(sums[..., :1]), segments], -1)
    if sums.any():
        # A counter of zero has just started again.
        steps = int(n.item()) or 2 ** (levels - 2)
        bits = [(steps - 1 >> level) % 2 << level for level in range(levels - 1)]
        S.counts = torch.tensor([1, *bits])
    outputs = []
    for t in range(q.shape[1]):
        S.states = S.states.clone()  # the tree changes them in place
        S = step_state(S, k[:, t], v[:, t], log_gates[:, t].exp())
        outputs.append(step_output(S, q[:, t], weights[:, t]))
    last = S.states.cumsum(-1)[..., 1:].movedim(-1, 2).flatten(2, 3)
    return torch.stack(outputs, 1), last


def agree(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    log_gates: torch.Tensor,
    weights: torch.Tensor,
    y: torch.Tensor,
) -> None:
    """Compare with ``naive_log_linear_attn``, which computes all steps from no past."""
    names = ("naive_log_linear_attn", "construct_H_matrix", "construct_level_mask", "segsum")
    rule = official(*LIBRARY, "fla/ops/log_linear_attn/naive.py", *names, torch=torch, np=np)[0]
    expected = rule(*(part.detach() for part in (q, k, v, log_gates, weights)))
    torch.testing.assert_close(y.detach(), expected, rtol=1e-9, atol=1e-9)
