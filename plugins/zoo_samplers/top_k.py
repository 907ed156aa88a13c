"""Top-k sampling: draw among the k most probable symbols.

Definition: sort the symbols by descending logit, ties by index, and keep the first ``k``. If ``k`` exceeds
the number of symbols, all are kept. ``k = 1`` is greedy.

Reference: A. Fan, M. Lewis & Y. Dauphin, *Hierarchical Neural Story Generation*, ACL 2018,
https://arxiv.org/abs/1805.04833, with k = 10, the default here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_samplers._truncation import argsort_descending, keep_only

Vector = np.ndarray[Any, Any]


@zoo.njit
def transform(logits: Vector, k: int) -> Vector:
    """Keep the ``k`` highest of ``logits (V,)``."""
    return keep_only(logits, argsort_descending(logits)[:k])


class TopK(zoo.Sampler):
    """The k most probable symbols."""

    family = "truncation"
    card = zoo.Card(
        title="Hierarchical Neural Story Generation",
        authors="Fan, Lewis & Dauphin",
        year=2018,
        url="https://arxiv.org/abs/1805.04833",
        when_to_use="Use it for the simplest truncation, with a fixed number of symbols. That number does "
        "not adapt: it keeps improbable symbols where the model is certain, and removes probable ones where "
        "it is not. Samplers such as top_p and min_p adapt.",
    )
    k = zoo.Option(10, "number of symbols to keep", low=1, high=1_000_000_000)
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(TopK)
