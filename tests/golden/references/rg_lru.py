"""The RG-LRU as the paper writes it, with whole matrices for the gates."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"rg_lru": {"heads": 3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow section 2.4 of De et al. 2024: a power of ``a = sigmoid(Lambda)``, where decay is ``-Lambda``.

    Blocks of the gates as in ``BlockDiagonalLinear`` of github.com/google-deepmind/recurrentgemma,
    recurrentgemma/torch/layers.py, and every step as ``RGLRU`` there treats all but the first of a text.
    """
    recurrence, entry = (torch.block_diag(*part) for part in p["Wg"].chunk(2, dim=2))
    recurrence_bias, entry_bias = (part.reshape(-1) for part in p["b"].chunk(2, dim=1))
    a = torch.sigmoid(-p["decay"])
    h, out = state["h"], []
    for u in torch.einsum("tbi,ih->tbh", x, p["Wx"]):
        r = torch.sigmoid(u @ recurrence + recurrence_bias)
        i = torch.sigmoid(u @ entry + entry_bias)
        at = a ** (8 * r)
        h = at * h + torch.sqrt(1 - at**2) * (i * u)
        out.append(h)
    return torch.stack(out), {"h": h}
