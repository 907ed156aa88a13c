"""Linear attention of Based in one sum for each feature, compared with the code of flash-linear-attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from einops import rearrange
from official import official
from references.kda import LIBRARY
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"based": {"heads": 2, "rank": 2}, "based_empty": {"rank": 3}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """One key enters each sum of features, so that no divisor is negative."""
    keys = torch.tensor(state["Z"][..., 1 : 1 + options["rank"]])
    state["Z"][:] = features(keys)


def features(a: torch.Tensor) -> torch.Tensor:
    """Follow section 4.1 of Arora et al. 2024, with each product of two elements twice."""
    squares = torch.einsum("...i,...j->...ij", a, a).flatten(-2) / math.sqrt(2 * a.shape[-1])
    return torch.cat([torch.ones_like(a[..., :1]), a / a.shape[-1] ** 0.25, squares], -1)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """State the two sums.

    From states of zero, outputs are compared with those of ``BasedLinearAttention.forward_reference``.
    """
    heads, width = options["heads"], options["heads"] * options["rank"]
    q, k, v = (x @ p["Wx"]).split([width, width, p["Wx"].shape[1] - 2 * width], -1)
    q, k, v = (part.unflatten(-1, (heads, -1)) for part in (q, k, v))
    q, k = features(q), features(k)
    S = state["S"] + torch.einsum("tbhf,tbhd->tbhfd", k, v).cumsum(0)
    Z = state["Z"] + k.cumsum(0)
    out = torch.einsum("tbhf,tbhfd->tbhd", q, S) / torch.einsum("tbhf,tbhf->tbh", q, Z)[..., None]
    out = out.flatten(2)
    if not any(value.any() for value in state.values()):
        agree(options, p, x, out)
    return out, {"S": S[-1], "Z": Z[-1]}


def agree(options: dict[str, Any], p: Tensors, x: torch.Tensor, out: torch.Tensor) -> None:
    """Run the layer without its last projection, and compare."""
    file = "fla/modules/feature_map.py"
    names = ("_triu_indices", "flatten_diag_outer_product_off1", "TaylorFeatureMap")
    tools = {"torch": torch, "nn": nn, "math": math}
    taylor = official(*LIBRARY, file, *names, **tools)[-1]
    file, name = "fla/layers/based.py", "BasedLinearAttention"
    Layer = official(*LIBRARY, file, name, torch=torch, nn=nn, rearrange=rearrange, TaylorFeatureMap=taylor)
    heads, rank = options["heads"], options["rank"]
    layer = Layer(p["Wx"].shape[1] - 2 * heads * rank, rank, heads, heads)
    layer.o_proj = nn.Identity()
    sizes = [heads * rank, heads * rank, layer.hidden_size]
    for part, weight in zip((layer.q_proj, layer.k_proj, layer.v_proj), p["Wx"].T.split(sizes), strict=True):
        part.weight = nn.Parameter(weight.detach())
    expected = layer.forward_reference(x.detach().transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(out.detach(), expected.detach(), rtol=1e-9, atol=1e-9)
