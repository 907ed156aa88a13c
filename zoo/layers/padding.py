"""Padded batches: rows of different lengths in one array."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.arrays import Array, as_array
from zoo.errors import UsageError
from zoo.layers.validation import as_inputs

PAD_TOKEN = -1


def as_padded_batch(
    x: Any, lengths: Any, input_size: int, dtype: np.dtype[Any], who: str
) -> tuple[Array, Array | None]:
    """Convert inputs to arrays for kernels, and lengths to int64 ``(B,)``, or None.

    The padding may hold anything, such as NaN or invalid tokens. It becomes zeros, or -1 among tokens.

    Raises:
        UsageError: if x is neither floats ``(T, B, I)`` nor tokens ``(T, B)``, or the lengths do not fit it.
    """
    if lengths is None:
        return as_inputs(x, input_size, dtype, who), None
    x = as_array(x, f"{who}: inputs")
    if x.ndim not in (2, 3) or x.shape[1] == 0:
        return as_inputs(x, input_size, dtype, who), None  # raises an error
    lengths = as_lengths(lengths, x.shape[0], x.shape[1], who)
    x = as_inputs(mask_padding(x, lengths), input_size, dtype, who)
    return (mask_padding(x, lengths, PAD_TOKEN) if x.ndim == 2 else x), lengths


def as_lengths(lengths: Any, steps: int, batch: int, who: str) -> Array:
    """Check the steps of each row, ``(B,)``.

    Raises:
        UsageError: if they are not integers from 0 to T, one for each row.
    """
    values = as_array(lengths, f"{who}: lengths")
    if values.dtype.kind not in "iu" or values.shape != (batch,):
        raise UsageError(
            f"{who}: lengths are {values.dtype}{values.shape}; expected integers ({batch},), the steps of "
            f"each row."
        )
    if values.min() < 0 or values.max() > steps:
        raise UsageError(
            f"{who}: lengths run from {values.min()} to {values.max()}; expected 0 to {steps}, the number "
            f"of steps."
        )
    return values.astype(np.int64)


def mask_padding(array: Array, lengths: Array, fill: float = 0) -> Array:
    """A copy of ``(T, B, ...)`` with the padding of each row filled."""
    copy = array.copy()
    copy[np.arange(len(array))[:, np.newaxis] >= lengths] = fill
    return copy


def reverse_time(array: Array, lengths: Array | None) -> Array:
    """Reverse each row in time, contiguous; the padding stays behind the end.

    Args:
        array: ``(T, B, ...)``.
        lengths: Steps of each row ``(B,)``; None if all rows have all steps.
    """
    if lengths is None:
        return np.ascontiguousarray(array[::-1])
    steps = np.arange(len(array))[:, np.newaxis]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.ascontiguousarray(array[order, np.arange(lengths.size)])


def sort_by_length(lengths: Array) -> Array:
    """Row indices ``(B,)``, longest first; rows of one length stay in their order."""
    return np.argsort(-lengths, kind="stable")
