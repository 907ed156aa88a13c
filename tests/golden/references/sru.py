"""The simple recurrent unit, one unit of one row at a time."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"sru": {"highway_bias": -2.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``elementwise_recurrence_naive`` of github.com/asappresearch/sru 2.6, sru/ops.py.

    With four products of the input (``k = 4``) and no activation. A unit reads its own memory and no other.
    """
    products = torch.einsum("tbi,ij->tbj", x, p["Wx"]).chunk(4, dim=-1)
    columns = [
        [one_unit(p, j, [u[:, row, j] for u in products], state["c"][row, j]) for j in range(p["v"].shape[1])]
        for row in range(x.shape[1])
    ]
    y = torch.stack([torch.stack([h for h, _ in row], dim=1) for row in columns], dim=1)
    return y, {"c": torch.stack([torch.stack([c for _, c in row]) for row in columns])}


def one_unit(
    p: Tensors, j: int, products: list[torch.Tensor], c: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """All steps of unit j."""
    forget_weight, reset_weight = p["v"][:, j]
    forget_bias, reset_bias = p["b"].reshape(2, -1)[:, j]
    out = []
    for candidate, forget, reset, highway in zip(*products, strict=True):
        forget = torch.sigmoid(forget + forget_bias + c * forget_weight)
        reset = torch.sigmoid(reset + reset_bias + c * reset_weight)
        c = candidate + (c - candidate) * forget
        out.append(highway + (c - highway) * reset)
    return torch.stack(out), c
