"""Rows of different lengths in one batch: checked, their padding made harmless, turned, put in order."""

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
    """Inputs as kernels take them, and the steps of each row ``(B,)``, None if all steps are of all rows.

    What stands behind the end of a row may be anything, NaN or no token at all: it comes out as zeros, or as
    -1 among tokens.

    Raises:
        UsageError: if x is neither floats ``(T, B, I)`` nor tokens ``(T, B)``, or the lengths do not fit it.
    """
    if lengths is None:
        return as_inputs(x, input_size, dtype, who), None
    x = as_array(x, f"{who}: inputs")
    if x.ndim not in (2, 3) or x.shape[1] == 0:
        return as_inputs(x, input_size, dtype, who), None  # which says what is wrong with it
    lengths = as_lengths(lengths, x.shape[0], x.shape[1], who)
    x = as_inputs(mask_padding(x, lengths), input_size, dtype, who)
    return (mask_padding(x, lengths, PAD_TOKEN) if x.ndim == 2 else x), lengths


def as_lengths(lengths: Any, steps: int, batch: int, who: str) -> Array:
    """The steps of each row, ``(B,)``.

    Raises:
        UsageError: if they are no whole numbers from 0 to T, one for each row.
    """
    found = as_array(lengths, f"{who}: lengths")
    if found.dtype.kind not in "iu" or found.shape != (batch,):
        raise UsageError(
            f"{who}: lengths are {found.dtype}{found.shape}; expected integers ({batch},), the steps of each "
            f"row."
        )
    if found.min() < 0 or found.max() > steps:
        raise UsageError(
            f"{who}: lengths run from {found.min()} to {found.max()}; expected 0 to {steps}, the steps there "
            f"are."
        )
    return found.astype(np.int64)


def mask_padding(array: Array, lengths: Array, blank: float = 0) -> Array:
    """A copy with another number behind the end of each row of ``(T, B, ...)``."""
    copy = array.copy()
    copy[np.arange(len(array))[:, np.newaxis] >= lengths] = blank
    return copy


def reverse_time(array: Array, lengths: Array | None) -> Array:
    """Every row from its end to its beginning, contiguous; what is behind the end stays there.

    Args:
        array: ``(T, B, ...)``.
        lengths: Steps of each row ``(B,)``; None if all steps are of all rows.
    """
    if lengths is None:
        return np.ascontiguousarray(array[::-1])
    steps = np.arange(len(array))[:, np.newaxis]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.ascontiguousarray(array[order, np.arange(lengths.size)])


def sort_by_length(lengths: Array) -> Array:
    """The numbers of the rows, ``(B,)``: those of one length stay in their order."""
    return np.argsort(-lengths, kind="stable")
