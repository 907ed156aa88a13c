"""The losses that a readout can have: what each makes of the numbers of some rows, and the gradient of that.

- ``"cross_entropy"``: targets are the right ones of V classes, ``(T, B)``; ``-log softmax(o)[target]``, nats.
- ``"squared_error"``: V numbers, ``(T, B, V)``; the mean over them of ``(o - target)^2``.
- ``"binary"``: V numbers from 0 to 1, ``(T, B, V)``; the mean over them of the cross-entropy, in nats, of
  ``sigmoid(o)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.jit import EXACT, njit
from zoo.kernels.loss import cross_entropies_grad, row_cross_entropy

Array = Any


# Exact, as cross_entropy is: rows are added up in their order.
@njit(fastmath=EXACT)
def weighed(outputs: Array, targets: Array, weights: Array, binary: bool) -> float:
    """The losses of some rows, each times its weight, added up.

    Args:
        outputs: What the readout says, ``(N, V)``.
        targets: The right ones ``(N,)``, or numbers ``(N, V)``.
        weights: ``(N,)``, float64.
        binary: Whether numbers are probabilities, not values.
    """
    total = 0.0
    for n in range(outputs.shape[0]):
        if targets.ndim == 1:
            loss = row_cross_entropy(outputs[n], targets[n])
        else:
            loss = _distance(outputs[n], targets[n], binary)
        total += loss * weights[n]
    return total


@njit(fastmath=EXACT)
def weighed_grads(
    outputs: Array, targets: Array, weights: Array, binary: bool, scale: float, losses: Array
) -> None:
    """The losses of some rows, each times its weight; outputs become the gradients of ``scale`` times those.

    Args:
        outputs: What the readout says, ``(N, V)``, overwritten.
        targets: The right ones ``(N,)``, or numbers ``(N, V)``.
        weights: ``(N,)``, float64.
        binary: Whether numbers are probabilities, not values.
        scale: Factor of the gradients.
        losses: Where the losses go, ``(N,)``.
    """
    if targets.ndim == 1:
        cross_entropies_grad(outputs, targets, weights, scale, losses)
    else:
        for n in range(outputs.shape[0]):
            losses[n] = _distance(outputs[n], targets[n], binary)
            _replace(outputs[n], targets[n], binary, scale * weights[n])
    for n in range(losses.size):
        losses[n] *= weights[n]


@njit(fastmath=EXACT)
def _distance(row: Array, target: Array, binary: bool) -> float:
    """The squared error or the binary cross-entropy of a row, the mean over its numbers."""
    total = 0.0
    for v in range(row.size):
        o, right = float(np.float64(row[v])), float(np.float64(target[v]))
        if binary:
            total += right * kernels.softplus(-o) + (1.0 - right) * kernels.softplus(o)
        else:
            total += (o - right) * (o - right)
    return total / row.size  # type: ignore[no-any-return]


@njit(fastmath=EXACT)
def _replace(row: Array, target: Array, binary: bool, scale: float) -> None:
    """Replace a row by the gradient of ``scale`` times its loss."""
    one = row.dtype.type(scale / row.size)
    two = one + one
    for v in range(row.size):
        if binary:
            row[v] = (kernels.sigmoid(row[v]) - target[v]) * one
        else:
            row[v] = (row[v] - target[v]) * two
