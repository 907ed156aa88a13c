"""Slices of a batch: time steps, leading rows and their states, and rows reversed in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.layers.sharding import Rows


def slice_batch(array: Array, time_slice: slice, rows: Rows) -> Array:
    """Some steps and rows of a time-major array ``(T, B, ...)``, contiguous, as kernels take them."""
    return np.ascontiguousarray(array[time_slice, rows])


def leading_rows(rows: Rows, count: int) -> Rows:
    """The first of some rows."""
    return slice(rows.start, rows.start + count) if isinstance(rows, slice) else rows[:count]


def leading_states(names: Iterable[str], state: Mapping[str, Array], count: int) -> Arrays:
    """Some states of the leading rows."""
    return {name: state[name][:count] for name in names}


def update_leading_rows(state: Mapping[str, Array], leading: Arrays) -> Arrays:
    """States of all rows, or their gradients, with new values for the leading rows.

    Args:
        state: States of all rows; others than the leading ones have are left out.
        leading: New values.
    """
    return {
        name: first
        if len(first) == len(before := state[name])
        else np.concatenate([first, before[len(first) :]])
        for name, first in leading.items()
    }


def reverse_time(array: Array, lengths: Array | None) -> Array:
    """Reverse each row in time, contiguous; the padding stays at the end.

    Args:
        array: ``(T, B, ...)``.
        lengths: Steps of each sequence ``(B,)``; None if all have all steps.
    """
    if lengths is None:
        return np.ascontiguousarray(array[::-1])
    steps = np.arange(len(array))[:, np.newaxis]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.ascontiguousarray(array[order, np.arange(lengths.size)])


def sort_by_length(lengths: Array) -> Array:
    """Row indices ``(B,)``, longest first; rows of one length stay in their order."""
    return np.argsort(-lengths, kind="stable")
