"""Linear attention of ReBased in one sum for each feature, compared with the mixer of its authors."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from einops import rearrange
from official import official
from references.kda import LIBRARY
from torch import nn
from torch.nn.functional import layer_norm

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"rebased": {"heads": 2, "rank": 2}, "rebased_empty": {"rank": 3}}
# Apache licence 2.0.
AUTHORS = ("corl-team/rebased", "2dc269e2222f1cec7f62c1ccb81d2aafe7ac6ad1")


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """One key enters each sum of features, so that no divisor is negative."""
    state["Z"][:] = features(torch.tensor(state["Z"][..., : options["rank"]]))


def features(a: torch.Tensor) -> torch.Tensor:
    """Follow ``TaylorExp`` of the authors' flash_linear_attention/fla/layers/rebased_fast.py."""
    return torch.einsum("...i,...j->...ij", a, a).flatten(-2) / a.shape[-1] ** 0.5


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """State the two sums. From states of zero, compare outputs with the ones of ``ReBased``."""
    heads, width = options["heads"], options["heads"] * options["rank"]
    q, k, v = (x @ p["Wx"]).split([width, width, p["Wx"].shape[1] - 2 * width], -1)
    q = layer_norm(q, (width,), p["gainq"], p["biasq"])
    k = layer_norm(k, (width,), p["gaink"], p["biask"])
    q, k, v = (part.unflatten(-1, (heads, -1)) for part in (q, k, v))
    q, k = features(q), features(k)
    S = state["S"] + torch.einsum("tbhf,tbhd->tbhfd", k, v).cumsum(0)
    Z = state["Z"] + k.cumsum(0)
    out = torch.einsum("tbhf,tbhfd->tbhd", q, S)
    out = (out / (torch.einsum("tbhf,tbhf->tbh", q, Z)[..., None] + 1e-5)).flatten(2)
    if not any(value.any() for value in state.values()):
        agree(options, p, x, out)
    return out, {"S": S[-1], "Z": Z[-1]}


def kernel(rule: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, eps: float, *flags: bool) -> Any:
    """Run ``naive_parallel_rebased`` in place of the kernel, which has the same flags, all true."""
    assert eps == 1e-5
    assert all(flags)
    return rule(q, k, v)


def agree(options: dict[str, Any], p: Tensors, x: torch.Tensor, out: torch.Tensor) -> None:
    """Run the mixer with a reference in place of its kernel and without its last projection, and compare."""
    edits = {"1e-06": "1e-05"}  # the mixer passes this constant to its kernel, and the reference has its own
    rule = official(*LIBRARY, "fla/ops/rebased/naive.py", "naive_parallel_rebased", edits=edits, torch=torch)
    tools = {"nn": nn, "LayerNorm": nn.LayerNorm, "rearrange": rearrange, "print": lambda *_: None}
    tools["parallel_rebased"] = partial(kernel, rule)
    Layer = official(*AUTHORS, "src/mixers/rebased.py", "ReBased", **tools)
    heads, rank = options["heads"], options["rank"]
    sizes = [heads * rank, heads * rank, p["Wx"].shape[1] - 2 * heads * rank]
    layer = Layer(sizes[2], feature_dim=rank, num_key_value_heads=heads, num_heads=heads, eps=1e-5)
    layer.proj_o = nn.Identity()
    for part, weight in zip((layer.proj_q, layer.proj_k, layer.proj_v), p["Wx"].T.split(sizes), strict=True):
        part.weight = nn.Parameter(weight.detach())
    for norm, gain, bias in ((layer.ln_q, "gainq", "biasq"), (layer.ln_k, "gaink", "biask")):
        norm.weight, norm.bias = nn.Parameter(p[gain].detach()), nn.Parameter(p[bias].detach())
    expected = layer(x.detach().transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(out.detach(), expected.detach(), rtol=1e-9, atol=1e-9)
