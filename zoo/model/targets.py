"""Check losses, targets and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.arguments import dtype_and_shape
from zoo.arrays import as_array
from zoo.base.loss import Loss
from zoo.errors import UnknownNameError, UsageError
from zoo.layers.validation import as_floats, as_tokens
from zoo.registry import find_loss

Array = np.ndarray[Any, Any]


def check_loss(loss: str | Loss, outputs: int, who: str) -> Loss:
    """Convert a loss or the name of one to the loss.

    Raises:
        UsageError: if the loss is unknown, or has weights for another number of classes.
    """
    try:
        resolved = find_loss(loss)
    except (UsageError, UnknownNameError) as error:
        raise UsageError(f"{who}: {error}") from None
    if resolved.class_weights is not None and len(resolved.class_weights) != outputs:
        raise UsageError(
            f"{who}: loss has {len(resolved.class_weights)} class weights; expected one for each of "
            f"{outputs} outputs."
        )
    return resolved


def as_targets(
    targets: Any,
    weights: Any,
    loss: Loss,
    times_rows: tuple[int, int],
    outputs: int,
    dtype: np.dtype[Any],
    who: str,
    lengths: Array | None = None,
) -> tuple[Array, Array | None]:
    """Targets and weights of every step; weights are None if all are 1.

    Args:
        targets: ``(T, B)`` classes or ``(T, B, V)`` numbers; without the time axis, those of the last step.
        weights: ``(T, B)``, or None.
        loss: The loss.
        times_rows: ``(T, B)``.
        outputs: ``V``.
        dtype: Of numbers.
        who: Owner, for messages.
        lengths: Steps of each row ``(B,)``; the padding gets weight zero.

    Raises:
        UsageError: if they do not fit, or all weights are zero.
    """
    targets, weights = as_array(targets, f"{who}: targets"), as_weights(weights, times_rows, who)
    if targets.dtype.kind not in "fiu":
        raise UsageError(f"{who}: targets are {dtype_and_shape(targets)}; expected numbers.")
    shape = times_rows if loss.target == "class" else (*times_rows, outputs)
    if targets.shape == shape[1:] and times_rows[0] > 0:
        if weights is not None:
            raise UsageError(
                f"{who}: targets {targets.shape} are those of the last step, which alone counts; found "
                f"weights besides, which are for targets {shape}."
            )
        targets, weights = _last_step_only(targets, shape, lengths)
    if targets.shape != shape:
        raise UsageError(
            f"{who}: targets {targets.shape} for inputs of {times_rows[0]} steps and {times_rows[1]} rows; "
            f"expected {shape}, or {shape[1:]} for the last step alone."
        )
    if lengths is not None:
        is_step = np.arange(times_rows[0])[:, None] < lengths
        weights = is_step.astype(np.float64) if weights is None else weights * is_step
    if not (times_rows[0] if weights is None else weights.any()):
        raise UsageError(f"{who}: nothing counts, in {times_rows[0]} steps; expected a weight above zero.")
    masked = targets if weights is None else _masked_targets(targets, weights)
    return _checked(masked, loss, outputs, dtype, f"{who}: targets"), weights


def as_weights(weights: Any, times_rows: tuple[int, int], who: str) -> Array | None:
    """Weights of each step of each row, float64, or None if all are 1.

    Raises:
        UsageError: if they have another shape, or are not finite and at least zero.
    """
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        raise UsageError(f"{who}: weights are a mapping, as states are; give states by name, state=...")
    values = as_floats(weights, times_rows, np.dtype(np.float64), f"{who}: weights")
    if not ((values >= 0) & np.isfinite(values)).all():
        raise UsageError(f"{who}: weights hold {values.min()}; expected finite numbers, zero or more.")
    return values


def weights_of_classes(class_weights: tuple[float, ...], targets: Array, weights: Array | None) -> Array:
    """The weights of all steps, multiplied by those of their targets' classes."""
    of_targets = np.array(class_weights)[targets]
    return of_targets if weights is None else of_targets * weights


def _last_step_only(targets: Array, shape: tuple[int, ...], lengths: Array | None) -> tuple[Array, Array]:
    """Extend targets of the last step of each row to all steps; the other steps get weight zero."""
    whole, weights = np.zeros(shape, targets.dtype), np.zeros(shape[:2])
    last = -1 if lengths is None else (np.maximum(lengths, 1) - 1, np.arange(shape[1]))
    whole[last], weights[last] = targets, 1
    return whole, weights


def _masked_targets(targets: Array, weights: Array) -> Array:
    """Replace targets of weight zero by zeros."""
    has_loss = weights > 0
    return np.where(has_loss if targets.ndim == 2 else has_loss[..., None], targets, 0)


def _checked(targets: Array, loss: Loss, outputs: int, dtype: np.dtype[Any], who: str) -> Array:
    """Check the values of targets and convert their dtype."""
    if loss.target == "class":
        return as_tokens(targets, outputs, who)
    values = as_floats(targets, targets.shape, dtype, who)
    if loss.target == "probability" and not ((values >= 0) & (values <= 1)).all():
        raise UsageError(
            f"{who} run from {values.min()} to {values.max()}; expected numbers from 0 to 1 where the loss "
            f"is {loss.name!r}."
        )
    return values
