"""Softmax cross-entropy over rows of logits, and its gradient, in one pass that cannot overflow."""

from __future__ import annotations

import math
from typing import Any

from zoo import kernels
from zoo.kernels.jit import EXACT, njit

Array = Any


# Exact, or log(mass) - (score - top) becomes (log(mass) + top) - score, where a large top swallows the loss.
@njit(fastmath=EXACT)
def cross_entropy(logits: Array, targets: Array) -> float:
    """Sum over rows of ``-log softmax(logits)[target]``, in nats.

    Args:
        logits: Scores ``(N, V)``.
        targets: Index of the right symbol in each row, ``(N,)``.
    """
    total = 0.0
    for n in range(logits.shape[0]):
        row = logits[n]
        top = kernels.largest(row)
        total += math.log(_mass(row, top)) - (row[targets[n]] - top)
    return total


@njit(fastmath=EXACT)
def cross_entropy_grad(logits: Array, targets: Array, scale: float) -> float:
    """As :func:`cross_entropy`, and the logits are replaced by the gradient of ``scale`` times the sum.

    The gradient of a row is ``scale * (softmax(row) - onehot(target))``.

    Args:
        logits: Scores ``(N, V)``, overwritten.
        targets: Index of the right symbol in each row, ``(N,)``.
        scale: Factor of the gradient; ``1 / (T * B)`` makes it that of the mean.
    """
    total = 0.0
    for n in range(logits.shape[0]):
        row = logits[n]
        top = kernels.largest(row)
        score = row[targets[n]] - top
        mass = _exponentiate(row, top)
        total += math.log(mass) - score
        factor = row.dtype.type(scale) / mass
        for v in range(row.size):
            row[v] *= factor
        row[targets[n]] -= row.dtype.type(scale)
    return total


@njit
def _mass(row: Array, top: float) -> float:
    """Sum of ``exp(row - top)``."""
    mass = row.dtype.type(0)
    for v in range(row.size):
        mass += kernels.exp(row[v] - top)
    return mass  # type: ignore[no-any-return]


@njit
def _exponentiate(row: Array, top: float) -> float:
    """Replace the row by ``exp(row - top)``; their sum."""
    mass = row.dtype.type(0)
    for v in range(row.size):
        row[v] = kernels.exp(row[v] - top)
        mass += row[v]
    return mass  # type: ignore[no-any-return]
