"""Softmax cross-entropy over rows of logits, and its gradient, in one pass that cannot overflow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.jit import EXACT, njit
from zoo.kernels.softmax import exponential_sum, exponentiate, quotient

Array = Any


def _plain_exponential_mass(row: Array, top: float) -> tuple[float, float]:
    return np.exp(row - top).sum(), row.dtype.type(0)


def _plain_replace(row: Array, top: float, scale: float) -> float:
    row[:] = np.exp(row - top)
    mass = row.sum()
    row *= row.dtype.type(scale) / mass
    return mass  # type: ignore[no-any-return]


@njit(twin=_plain_exponential_mass)
def _mass(row: Array, top: float) -> tuple[float, float]:
    """Sum of ``exp(row - top)`` as two numbers."""
    return exponential_sum(row, top)  # type: ignore[no-any-return]


# Exact: what the two parts of a sum say together must not be rearranged.
@njit(fastmath=EXACT, twin=_plain_replace)
def _replace(row: Array, top: float, scale: float) -> float:
    """Replace the row by ``scale`` times its softmax; the sum of ``exp(row - top)``."""
    mass, more = exponentiate(row, top)
    factor, rest = quotient(row.dtype.type(scale), mass, more)
    for v in range(row.size):
        row[v] = row[v] * factor + row[v] * rest
    return mass  # type: ignore[no-any-return]


# Exact, or log(mass) - (score - top) becomes (log(mass) + top) - score, where a large top swallows the loss.
@njit(fastmath=EXACT, inline=True)
def row_cross_entropy(row: Array, target: int) -> float:
    """``-log softmax(row)[target]`` of one row of scores ``(V,)``, in nats."""
    top = kernels.largest(row)
    return math.log(_mass(row, top)[0]) - (row[target] - top)  # type: ignore[no-any-return]


@njit(fastmath=EXACT, inline=True)
def row_cross_entropy_grad(row: Array, target: int, scale: float) -> float:
    """As :func:`row_cross_entropy`, and the row becomes ``scale * (softmax(row) - onehot(target))``."""
    top = kernels.largest(row)
    score = row[target] - top
    loss = math.log(_replace(row, top, scale)) - score
    row[target] -= row.dtype.type(scale)
    return loss  # type: ignore[no-any-return]


@njit(fastmath=EXACT)
def cross_entropy(logits: Array, targets: Array) -> float:
    """Sum over rows of ``-log softmax(logits)[target]``, in nats.

    Args:
        logits: Scores ``(N, V)``.
        targets: Index of the right symbol in each row, ``(N,)``.
    """
    total = 0.0
    for n in range(logits.shape[0]):
        total += row_cross_entropy(logits[n], targets[n])
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
        total += row_cross_entropy_grad(logits[n], targets[n], scale)
    return total
