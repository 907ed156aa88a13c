"""Greedy decoding: always the symbol with the highest logit.

Definition: keep ``argmax_i logits[i]``, the lowest index among ties, and drop the rest, so the
result is deterministic.

Reference: I. Sutskever, O. Vinyals & Q. V. Le, *Sequence to Sequence Learning with Neural Networks*, 2014,
https://arxiv.org/abs/1409.3215: its left-to-right beam search, here with a beam of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_samplers._truncation import keep_only

Vector = np.ndarray[Any, Any]


@zoo.njit
def transform(logits: Vector) -> Vector:
    """Keep the highest of ``logits (V,)``."""
    best = int(np.argmax(logits))  # the first of several maxima
    return keep_only(logits, (best,))


class Greedy(zoo.Sampler):
    """Always the most probable symbol."""

    family = "deterministic"
    card = zoo.Card(
        title="Sequence to Sequence Learning with Neural Networks",
        authors="Sutskever, Vinyals & Le",
        year=2014,
        url="https://arxiv.org/abs/1409.3215",
        variant="This is left-to-right beam search with a beam of one.",
        when_to_use="Use it for short answers and where the result must be the same every time. Long texts "
        "tend to repeat themselves, so draw at random with top_p or min_p there. Samplers after it have no "
        "effect.",
    )
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(Greedy)
