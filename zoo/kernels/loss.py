"""Softmax cross-entropy over rows of logits, and its gradient, in one pass that cannot overflow."""

from __future__ import annotations

import math
from typing import Any

from zoo import kernels
from zoo.kernels.jit import njit

Array = Any


@njit
def cross_entropy(logits: Array, targets: Array) -> float:
    """Sum over rows of ``-log softmax(logits)[target]``, in nats.

    Args:
        logits: Scores ``(N, V)``.
        targets: Index of the right symbol in each row, ``(N,)``.
    """
    total = 0.0
    for n in range(logits.shape[0]):
        row = logits[n]
        top = row.max()
        mass = row.dtype.type(0)
        for v in range(row.size):
            mass += kernels.exp(row[v] - top)
        total += math.log(mass) - (row[targets[n]] - top)
    return total


@njit
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
        top = row.max()
        score = row[targets[n]] - top
        mass = row.dtype.type(0)
        for v in range(row.size):
            row[v] = kernels.exp(row[v] - top)
            mass += row[v]
        total += math.log(mass) - score
        factor = row.dtype.type(scale) / mass
        for v in range(row.size):
            row[v] *= factor
        row[targets[n]] -= row.dtype.type(scale)
    return total
