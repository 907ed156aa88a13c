"""Sort symbols by logit and drop all but some of them, for the truncating samplers.

The loops compile fast: Numba takes six seconds for a stable ``np.argsort`` and an assignment with an index
array, and two for these. The sort is three times as fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import zoo

Vector = np.ndarray[Any, Any]


@zoo.njit
def argsort_descending(keys: Vector) -> Vector:
    """Indices of ``keys (V,)`` from the highest key to the lowest, ties by index: a merge sort."""
    size = keys.size
    order, merged = np.empty(size, np.int64), np.empty(size, np.int64)
    for n in range(size):
        order[n] = n
    width = 1
    while width < size:
        for start in range(0, size, 2 * width):
            merge(keys, order, merged, start, min(start + width, size), min(start + 2 * width, size))
        order, merged = merged, order
        width *= 2
    return order


@zoo.njit
def merge(keys: Vector, order: Vector, merged: Vector, start: int, middle: int, stop: int) -> None:
    """Merge the sorted runs [start, middle) and [middle, stop) of ``order`` into ``merged``."""
    left, right = start, middle
    for index in range(start, stop):
        # Of equal keys the left comes first, which makes the sort stable.
        if left < middle and (right == stop or keys[order[left]] >= keys[order[right]]):
            merged[index] = order[left]
            left += 1
        else:
            merged[index] = order[right]
            right += 1


@zoo.njit
def keep_only(logits: Vector, symbols: Vector | tuple[int, ...]) -> Vector:
    """A copy of ``logits (V,)`` with all but ``symbols`` dropped."""
    out = np.full(logits.size, -np.inf)
    for symbol in symbols:
        out[symbol] = logits[symbol]
    return out


@zoo.njit
def nucleus(weights: Vector, order: Vector, share: float) -> Vector:
    """The shortest prefix of ``order`` with at least the fraction ``share`` of its total ``weights (V,)``."""
    total = 0.0
    for symbol in order:
        total += weights[symbol]
    held = 0.0
    for rank, symbol in enumerate(order):
        held += weights[symbol]
        if held >= share * total:
            return order[: rank + 1]
    return order
