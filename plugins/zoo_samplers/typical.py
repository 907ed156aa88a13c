"""Locally typical sampling: draw among the symbols whose surprise is near the entropy.

Definition: with ``H`` the entropy of the distribution, sort the symbols by ascending ``|-log probability -
H|``, ties by descending probability and then by index, and keep the shortest prefix whose probabilities sum
to at least ``mass``. The first symbol is always kept, and it need not be the most probable one. ``mass = 1``
keeps all.

Reference: C. Meister, T. Pimentel, G. Wiher & R. Cotterell, *Locally Typical Sampling*, 2022 (TACL 11, 2023),
https://arxiv.org/abs/2202.00666, where ``mass`` is called tau.
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
def surprise_beyond_entropy(z: Vector) -> Vector:
    """``|-log probability - H|`` for finite logits ``z``, the largest of them zero."""
    weights = np.exp(z)
    log_p = z - np.log(weights.sum())
    entropy = -(weights * log_p).sum() / weights.sum()
    distance: Vector = np.abs(log_p + entropy)
    return distance


@zoo.njit
def transform(logits: Vector, mass: float) -> Vector:
    """Keep the typical symbols of ``logits (V,)``."""
    if mass >= 1.0:
        return logits.copy()  # a partial sum may round to one
    z = logits - kernels.row_max(logits)
    order = argsort_descending(logits)[: np.sum(z > -np.inf)]  # drop 0 * -inf, which is NaN
    typical = order[argsort_descending(-surprise_beyond_entropy(z[order]))]
    return keep_only(logits, nucleus(np.exp(z), typical, mass))


class Typical(zoo.Sampler):
    """The symbols whose surprise is nearest to the entropy, up to a total probability."""

    family = "truncation"
    card = zoo.Card(
        title="Locally Typical Sampling",
        authors="Meister, Pimentel, Wiher & Cotterell",
        year=2022,
        url="https://arxiv.org/abs/2202.00666",
        variant="The symbols are sorted by the distance of their surprise from the entropy, as in the paper.",
        when_to_use="Use it against repetition: it prefers symbols whose surprise is near its expectation, "
        "and may remove the most probable symbol. The paper reports less repetition than with top_p at "
        "similar quality. It needs the entropy, so it costs a little more than the other samplers.",
    )
    mass = zoo.Option(0.95, "total probability to keep", low=1e-6, high=1.0)
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(Typical)
