"""Targets and weights of sequences as kernels take them: every step has some, and most may count nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.arguments import dtype_and_shape
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.layers.boundary import as_floats, as_tokens

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
