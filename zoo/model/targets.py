"""Check targets and weights of a batch, and convert them to arrays of every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.arguments import counted, dtype_and_shape
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.base.loss import REGISTERED_LOSSES, Loss
from zoo.errors import UsageError
from zoo.layers.validation import as_floats, as_tokens, exchange_advice


def as_targets(
    targets: Any,
    weights: Any,
    loss: Loss,
    times_rows: tuple[int, int],
    outputs: int,
    dtype: np.dtype[Any],
    owner: str,
    lengths: Array | None = None,
) -> tuple[Array, Array | None]:
    """Targets and weights of every step; weights are None if all are 1.

    Args:
        targets: ``(T, B)`` classes or ``(T, B, V)`` numbers; without the time axis, targets of the last step.
        weights: ``(T, B)``, ``(B,)`` for all steps of each sequence, or None.
        loss: The loss.
        times_rows: ``(T, B)``.
        outputs: ``V``.
        dtype: Of numbers.
        owner: Owner, for messages.
        lengths: Steps of each sequence ``(B,)``; the padding gets weight zero.

    Raises:
        UsageError: if they do not fit, or all weights are zero.
    """
    targets, given = as_array(targets, f"{owner}: targets"), weights
    weights = as_weights(weights, times_rows, owner)
    is_class = loss.target == "class"
    if targets.dtype.kind not in ("iu" if is_class else "fiu"):
        numbers = "numbers"
        if is_class:
            numbers = f"integers from 0 to {outputs - 1}, because the loss is {loss.name!r}"
            numbers += "; for other numbers use a SequenceModel with loss='squared_error'" * (
                targets.dtype.kind == "f"
            )
        raise UsageError(f"{owner}: targets are {dtype_and_shape(targets)}; expected {numbers}.")
    shape = times_rows if is_class else (*times_rows, outputs)
    is_of_last_step = targets.shape == shape[1:] and times_rows[0] > 0
    if is_of_last_step:
        if weights is not None and np.ndim(given) == 2:
            raise UsageError(
                f"{owner}: targets {targets.shape} are for the last step, which alone counts; found "
                f"weights {times_rows}, which are for targets {shape}. Give weights {times_rows[1:]}."
            )
        targets, is_last = _last_step_only(targets, shape, lengths)
        weights = is_last if weights is None else is_last * weights
    if targets.shape != shape:
        is_first = targets.shape == (times_rows[0], *shape[2:])
        hint = " Time comes first: exchange the axes of the inputs, x.swapaxes(0, 1)." if is_first else ""
        hint = exchange_advice(targets.shape, shape, "targets") or hint
        is_own = not is_class and loss.name in REGISTERED_LOSSES
        if is_own and targets.shape[:-1] in (shape[:-1], shape[1:-1]) and targets.shape[-1] < outputs:
            hint = " If the loss has more outputs than targets, fill the targets up with zeros."
        raise UsageError(
            f"{owner}: targets {targets.shape} for inputs of {counted(times_rows[0], 'step')} and "
            f"{counted(times_rows[1], 'sequence')}; expected {shape}, or {shape[1:]} for the last step "
            f"alone.{hint}"
        )
    if lengths is not None:
        is_step = np.arange(times_rows[0])[:, None] < lengths
        weights = is_step.astype(np.float64) if weights is None else weights * is_step
    if not (times_rows[0] if weights is None else weights.any()):
        raise UsageError(f"{owner}: nothing counts, in {times_rows[0]} steps; expected a weight above zero.")
    masked = targets if weights is None else _masked_targets(targets, weights, loss)
    has_weight = slice(None) if weights is None else weights > 0
    return _checked(masked, has_weight, loss, outputs, dtype, f"{owner}: targets", is_of_last_step), weights


def as_weights(weights: Any, times_rows: tuple[int, int], owner: str) -> Array | None:
    """Weights of each step of each sequence, float64, or None if all are 1; ``(B,)`` are of all steps.

    Raises:
        UsageError: if they have another shape, or are not finite and at least zero.
    """
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        raise UsageError(f"{owner}: weights are a mapping, as states are; give states by name, state=...")
    given = as_array(weights, f"{owner}: weights")
    is_per_sequence = given.shape == times_rows[1:]
    shape = times_rows[1:] if is_per_sequence else times_rows
    values = as_floats(
        given, shape, np.dtype(np.float64), f"{owner}: weights", allows_booleans=True, name="weights"
    )
    if not ((values >= 0) & np.isfinite(values)).all():
        raise UsageError(f"{owner}: weights hold {values.min()}; expected finite numbers, zero or more.")
    return np.tile(values, (times_rows[0], 1)) if is_per_sequence else values


def weights_of_classes(class_weights: tuple[float, ...], targets: Array, weights: Array | None) -> Array:
    """The weights of all steps, multiplied by those of their targets' classes."""
    target_weights = np.array(class_weights)[targets]
    return target_weights if weights is None else target_weights * weights


def _last_step_only(targets: Array, shape: tuple[int, ...], lengths: Array | None) -> tuple[Array, Array]:
    """Extend targets of the last step of each sequence to all steps; the other steps get weight zero."""
    whole, weights = np.zeros(shape, targets.dtype), np.zeros(shape[:2])
    last = -1 if lengths is None else (np.maximum(lengths, 1) - 1, np.arange(shape[1]))
    whole[last], weights[last] = targets, 1
    return whole, weights


def _masked_targets(targets: Array, weights: Array, loss: Loss) -> Array:
    """Replace targets of weight zero by zeros, or by the nearest number that the loss allows."""
    has_loss = weights > 0
    if loss.target == "class":
        return np.where(has_loss, targets, 0)
    low, high = loss.target_range
    return np.where(has_loss[..., None], targets, min(max(0, low), high))


def _checked(
    targets: Array,
    has_weight: Array | slice,
    loss: Loss,
    outputs: int,
    dtype: np.dtype[Any],
    owner: str,
    is_of_last_step: bool,
) -> Array:
    """Check the values of targets and convert their dtype; ``has_weight`` selects those of a weight."""
    if loss.target == "class":
        if is_of_last_step and (is_invalid := (targets < 0) | (targets >= outputs)).any():
            step, sequence = np.argwhere(is_invalid)[0]
            raise UsageError(
                f"{owner}[{sequence}] is {targets[step, sequence]}, the class of the last step of sequence "
                f"{sequence}; expected classes from 0 to {outputs - 1}."
            )
        return as_tokens(targets, outputs, owner, "classes")
    values = as_floats(targets, targets.shape, dtype, owner)
    low, high = loss.target_range
    # Without a range NaN passes, as it does in inputs.
    if loss.has_range and not ((values >= low) & (values <= high)).all():
        values = values[has_weight]
        raise UsageError(
            f"{owner} run from {values.min()} to {values.max()}; expected {loss.target_text} where the loss "
            f"is {loss.name!r}."
        )
    return values
