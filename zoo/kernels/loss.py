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


def _plain_exponentiate(row: Array, top: float) -> tuple[float, float]:
    row[:] = np.exp(row - top)
    return row.sum(), row.dtype.type(0)


def _plain_quotient(scale: float, mass: float, more: float) -> tuple[float, float]:
    return scale / (mass + more), more


@njit(twin=_plain_exponential_mass)
def _mass(row: Array, top: float) -> tuple[float, float]:
    """Sum of ``exp(row - top)`` as two numbers."""
    return exponential_sum(row, top)  # type: ignore[no-any-return]


@njit(twin=_plain_exponentiate)
def _exponentiate(row: Array, top: float) -> tuple[float, float]:
    """Replace the row by ``exp(row - top)``; its sum as two numbers."""
    return exponentiate(row, top)  # type: ignore[no-any-return]


@njit(inline=True, twin=_plain_quotient)
def _quotient(scale: float, mass: float, more: float) -> tuple[float, float]:
    """``scale / (mass + more)`` as two numbers."""
    return quotient(scale, mass, more)  # type: ignore[no-any-return]


# Exact, or log(mass) - (score - top) becomes (log(mass) + top) - score, where a large top swallows the loss.
@njit(fastmath=EXACT, inline=True)
def row_cross_entropy(row: Array, target: int) -> float:
    """``-log softmax(row)[target]`` of one row of scores ``(V,)``, in nats."""
    top = kernels.largest(row)
    return math.log(_mass(row, top)[0]) - (row[target] - top)  # type: ignore[no-any-return]


# Rows that go through a pass together. What a row waits for, its largest number, its sum, two divisions, the
# others wait for at the same time: one row after the other, 65 symbols took 70 ns, and take 57.
_TOGETHER = 64


@njit(fastmath=EXACT)
def cross_entropies_grad(rows: Array, targets: Array, scales: Array, losses: Array) -> None:
    """:func:`row_cross_entropy` of every row, which becomes ``scale * (softmax(row) - onehot(target))``.

    Args:
        rows: Scores ``(N, V)``, overwritten.
        targets: Index of the right symbol in each row, ``(N,)``.
        scales: Factor of the gradient of each row, ``(N,)``.
        losses: Where the losses go, in nats, ``(N,)``.
    """
    spare = np.empty((4, min(_TOGETHER, losses.size)), rows.dtype)
    for first in range(0, losses.size, _TOGETHER):
        last = min(first + _TOGETHER, losses.size)
        some = rows[first:last], targets[first:last], scales[first:last], losses[first:last]
        _cross_entropies_grad(*some, spare[0], spare[1], spare[2], spare[3])


@njit(fastmath=EXACT)
def _cross_entropies_grad(
    rows: Array,
    targets: Array,
    scales: Array,
    losses: Array,
    tops: Array,
    scores: Array,
    masses: Array,
    mores: Array,
) -> None:
    """As above for some rows, with room for their numbers."""
    for n in range(losses.size):
        tops[n] = kernels.largest(rows[n])
        scores[n] = rows[n, targets[n]] - tops[n]
    for n in range(losses.size):
        masses[n], mores[n] = _exponentiate(rows[n], tops[n])
    for n in range(losses.size):
        losses[n] = math.log(masses[n]) - scores[n]
        masses[n], mores[n] = _quotient(rows.dtype.type(scales[n]), masses[n], mores[n])
    for n in range(losses.size):
        row, factor, rest = rows[n], masses[n], mores[n]
        for v in range(row.size):
            row[v] = row[v] * factor + row[v] * rest
        row[targets[n]] -= rows.dtype.type(scales[n])


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
    losses, scales = np.empty(logits.shape[0]), np.empty(logits.shape[0])
    scales[:] = scale
    cross_entropies_grad(logits, targets, scales, losses)
    total = 0.0
    for n in range(losses.size):
        total += losses[n]
    return total
