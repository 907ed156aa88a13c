"""The losses that a readout can have: what each makes of the numbers of some rows, and the gradient of that.

- ``"cross_entropy"``: targets are the right ones of V classes, ``(T, B)``; ``-log softmax(o)[target]``, nats.
- ``"squared_error"``: V numbers, ``(T, B, V)``; the mean over them of ``(o - target)^2``.
- ``"binary"``: V numbers from 0 to 1, ``(T, B, V)``; the mean over them of the cross-entropy, in nats, of
  ``sigmoid(o)``.

Targets and weights of sequences as kernels take them: every step has some, and most may count nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo import kernels
from zoo.arguments import dtype_and_shape
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.kernels.jit import EXACT, njit
from zoo.kernels.softmax_loss import cross_entropies_grad, row_cross_entropy
from zoo.layers.validation import as_floats, as_tokens

KernelArray = Any


# Exact, as cross_entropy is: rows are added up in their order.
@njit(fastmath=EXACT)
def weighed(outputs: KernelArray, targets: KernelArray, weights: KernelArray, binary: bool) -> float:
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
    outputs: KernelArray,
    targets: KernelArray,
    weights: KernelArray,
    binary: bool,
    scale: float,
    losses: KernelArray,
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
def _distance(row: KernelArray, target: KernelArray, binary: bool) -> float:
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
def _replace(row: KernelArray, target: KernelArray, binary: bool, scale: float) -> None:
    """Replace a row by the gradient of ``scale`` times its loss."""
    one = row.dtype.type(scale / row.size)
    two = one + one
    for v in range(row.size):
        if binary:
            row[v] = (kernels.sigmoid(row[v]) - target[v]) * one
        else:
            row[v] = (row[v] - target[v]) * two


Array = np.ndarray[Any, Any]


def as_targets(
    targets: Any,
    weights: Any,
    loss: str,
    times_rows: tuple[int, int],
    outputs: int,
    dtype: np.dtype[Any],
    who: str,
) -> tuple[Array, Array | None]:
    """Targets of every step, and how much each counts; None if all count alike.

    Args:
        targets: ``(T, B)`` classes or ``(T, B, V)`` numbers; without the axis of time, of the last step.
        weights: ``(T, B)``, or None.
        loss: Name of the loss.
        times_rows: ``(T, B)``.
        outputs: ``V``.
        dtype: Of numbers.
        who: Whose they are, for messages.

    Raises:
        UsageError: if they do not fit, or nothing counts.
    """
    targets, counts = as_array(targets, f"{who}: targets"), as_weights(weights, times_rows, who)
    if targets.dtype.kind not in "fiu":
        raise UsageError(f"{who}: targets are {dtype_and_shape(targets)}; expected numbers.")
    shape = times_rows if loss == "cross_entropy" else (*times_rows, outputs)
    if targets.shape == shape[1:] and times_rows[0] > 0:
        if counts is not None:
            raise UsageError(
                f"{who}: targets {targets.shape} are those of the last step, which alone counts; found "
                f"weights besides, which are for targets {shape}."
            )
        targets, counts = _at_the_end(targets, shape)
    if targets.shape != shape:
        raise UsageError(
            f"{who}: targets {targets.shape} for inputs of {times_rows[0]} steps and {times_rows[1]} rows; "
            f"expected {shape}, or {shape[1:]} for the last step alone."
        )
    if not (times_rows[0] if counts is None else counts.any()):
        raise UsageError(f"{who}: nothing counts, in {times_rows[0]} steps; expected a weight above zero.")
    known = targets if counts is None else _counted(targets, counts)
    return _checked(known, loss, outputs, dtype, f"{who}: targets"), counts


def as_weights(weights: Any, times_rows: tuple[int, int], who: str) -> Array | None:
    """How much each step of each row counts, float64, or None for all alike.

    Raises:
        UsageError: if they have another shape, or are not finite and at least zero.
    """
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        raise UsageError(f"{who}: weights are a mapping, as states are; give states by name, state=...")
    found = as_floats(weights, times_rows, np.dtype(np.float64), f"{who}: weights")
    if not ((found >= 0) & np.isfinite(found)).all():
        raise UsageError(f"{who}: weights hold {found.min()}; expected finite numbers, zero or more.")
    return found


def _at_the_end(targets: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Targets of the last step as those of all steps, of which only the last counts."""
    whole, counts = np.zeros(shape, targets.dtype), np.zeros(shape[:2])
    whole[-1], counts[-1] = targets, 1
    return whole, counts


def _counted(targets: Array, counts: Array) -> Array:
    """The targets that count; zeros elsewhere, whatever stands there."""
    counted = counts > 0
    return np.where(counted if targets.ndim == 2 else counted[..., None], targets, 0)


def _checked(targets: Array, loss: str, outputs: int, dtype: np.dtype[Any], who: str) -> Array:
    """Targets of the right shape as kernels take them."""
    if loss == "cross_entropy":
        return as_tokens(targets, outputs, who)
    found = as_floats(targets, targets.shape, dtype, who)
    if loss == "binary" and not ((found >= 0) & (found <= 1)).all():
        raise UsageError(
            f"{who} run from {found.min()} to {found.max()}; expected numbers from 0 to 1 where the loss is "
            f"'binary'."
        )
    return found
