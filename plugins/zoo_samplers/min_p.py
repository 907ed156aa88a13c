"""Min-p sampling: drop the symbols that are improbable relative to the most probable one.

Definition: keep symbol ``i`` if ``probability[i] >= p * max(probability)``. Ties are kept or dropped
together. ``p = 0`` keeps all symbols, and ``p = 1`` only those with the largest probability.

Reference: M. N. Nguyen, A. Baker, C. Neo, A. Roush, A. Kirsch & R. Shwartz-Ziv, *Turning Up the Heat: Min-p
Sampling for Creative and Coherent LLM Outputs*, 2024 (ICLR 2025), https://arxiv.org/abs/2407.01082.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo import kernels
from zoo_samplers._truncation import keep_only

Vector = np.ndarray[Any, Any]


@zoo.njit
def transform(logits: Vector, p: float) -> Vector:
    """Keep the symbols at least ``p`` times as probable as the highest of ``logits (V,)``."""
    # Relative to the largest probability: the sum of the softmax cancels.
    relative = np.exp(logits - kernels.row_max(logits))
    return keep_only(logits, np.flatnonzero(relative >= p))


class MinP(zoo.Sampler):
    """The symbols at least p times as probable as the most probable one."""

    family = "truncation"
    card = zoo.Card(
        title="Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs",
        authors="Nguyen, Baker, Neo, Roush, Kirsch & Shwartz-Ziv",
        year=2024,
        url="https://arxiv.org/abs/2407.01082",
        when_to_use="Use it to remove improbable symbols by a threshold that adapts: it is strict where the "
        "model is certain, and lenient where many symbols are possible. Put it before temperature if the "
        "threshold should not depend on the temperature. The paper recommends it for high temperatures.",
    )
    p = zoo.Option(0.1, "smallest probability to keep, as a fraction of the largest", low=0.0, high=1.0)
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(MinP)
