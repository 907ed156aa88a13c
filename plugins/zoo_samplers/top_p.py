"""Top-p or nucleus sampling: draw among the fewest symbols with a total probability of p.

Definition: sort the symbols by descending probability, ties by index, and keep the shortest prefix whose
probabilities sum to at least ``p``. The first symbol is always kept, and ``p = 1`` keeps all.

Reference: A. Holtzman, J. Buys, L. Du, M. Forbes & Y. Choi, *The Curious Case of Neural Text Degeneration*,
2019 (ICLR 2020), https://arxiv.org/abs/1904.09751.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo import kernels
from zoo_samplers._truncation import argsort_descending, keep_only, nucleus

Vector = np.ndarray[Any, Any]


@zoo.njit
def transform(logits: Vector, p: float) -> Vector:
    """Keep the nucleus of ``logits (V,)``."""
    if p >= 1.0:
        return logits.copy()  # a partial sum may round to one
    return keep_only(logits, nucleus(np.exp(logits - kernels.row_max(logits)), argsort_descending(logits), p))


class TopP(zoo.Sampler):
    """The nucleus: the fewest symbols with a total probability of p."""

    family = "truncation"
    card = zoo.Card(
        title="The Curious Case of Neural Text Degeneration",
        authors="Holtzman, Buys, Du, Forbes & Choi",
        year=2019,
        url="https://arxiv.org/abs/1904.09751",
        variant="This is nucleus sampling.",
        when_to_use="Use it to generate text: the number of symbols adapts to the certainty of the model. "
        "With p near one it keeps a long tail of improbable symbols. With temperature before it, the "
        "nucleus is the one of the scaled distribution.",
    )
    p = zoo.Option(0.95, "total probability to keep", low=1e-6, high=1.0)
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(TopP)
