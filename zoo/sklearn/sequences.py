"""Sequences as scikit-learn hands them over: a list, rows padded with NaN, or rows of one length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo.arrays import check_unmasked

Array = np.ndarray[Any, Any]

_STRETCH = 16  # batches of which the sequences are sorted by length


def as_rows(data: Any, features: int, who: str) -> list[Array] | None:
    """The sequences of a list or of an array with three axes; None for anything else, such as a table.

    Args:
        data: What is to be sequences.
        features: Features of a step, where a sequence is a plain row of numbers.
        who: Whose they are, for messages.

    Raises:
        ValueError: if a sequence is none, or sequences have different features.
    """
    check_unmasked(data, who)
    if not isinstance(data, list | tuple | np.ndarray) or len(data) == 0:
        return None
    if isinstance(data, np.ndarray) and data.ndim != 3 and data.dtype != object:
        return None
    if _is_table(data):
        return None
    rows = [_as_row(each, features, f"{who}: sequence {n}") for n, each in enumerate(data)]
    sizes = sorted({row.shape[1] for row in rows})
    if len(sizes) > 1:
        raise ValueError(f"{who}: the sequences have {sizes} features; expected as many in each.")
    return rows


def rows_of_table(table: Array, features: int, who: str) -> list[Array]:
    """The rows of a table ``(N, T * features)`` as sequences.

    Raises:
        ValueError: if they do not come out even.
    """
    if table.shape[1] % features:
        raise ValueError(
            f"{who}: the rows hold {table.shape[1]} numbers, which are no steps of features={features}."
        )
    return [_as_row(row, features, f"{who}: row {n}") for n, row in enumerate(table)]


def _is_table(data: Sequence[Any] | Array) -> bool:
    """Whether a list or an array of objects is one of plain rows of one length, or of plain numbers."""
    if not all(isinstance(each, list | tuple | np.ndarray) for each in data):
        return True
    first = data[0]
    if all(np.ndim(each) == 1 and len(each) == len(first) for each in data):
        return not isinstance(data, np.ndarray) or data.dtype == object
    return False


def _as_row(value: Any, features: int, who: str) -> Array:
    """One sequence ``(T, I)`` without the NaN that pads it at its end."""
    row = np.asarray(value, np.float64)
    if row.ndim == 1 and row.size % features == 0:
        row = row.reshape(-1, features)
    if row.ndim != 2:
        raise ValueError(
            f"{who} has the shape {row.shape}; expected (T, I), or (T,) for features={features} at a step."
        )
    row = row[: _length(row)]
    if not np.isfinite(row).all():
        raise ValueError(f"{who} holds NaN or infinity before its end; NaN may only pad what follows it.")
    if row.size == 0:
        raise ValueError(f"{who} has no step; expected one at least.")
    return row


def _length(row: Array) -> int:
    """The steps before those that are NaN to the end."""
    there = np.flatnonzero(~np.isnan(row).all(axis=1))
    return int(there[-1]) + 1 if there.size else 0


def padded(rows: Sequence[Array], dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Sequences side by side, time first, zeros behind their ends ``(T, B, I)``; the last step of each."""
    lengths = np.array([len(row) for row in rows])
    found = np.zeros((lengths.max(), len(rows), rows[0].shape[1]), dtype)
    for place, row in enumerate(rows):
        found[: len(row), place] = row
    return found, lengths - 1


def batches(lengths: Array, size: int, rng: np.random.RandomState | None = None) -> Iterator[Array]:
    """Places of sequences, so many at a time and of similar lengths, which is what costs least.

    Args:
        lengths: Of all sequences.
        size: Of a batch.
        rng: Shuffles: first all sequences, of which stretches of some batches are then sorted, and then the
            batches. None for the shortest first.
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    stretch = len(order) if rng is None else size * _STRETCH
    found = []
    for start in range(0, len(order), stretch):
        part = order[start : start + stretch]
        part = part[np.argsort(lengths[part], kind="stable")]
        found += [part[at : at + size] for at in range(0, len(part), size)]
    if rng is not None:
        rng.shuffle(found)
    yield from found
