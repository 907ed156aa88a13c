"""Input sequences in the forms of scikit-learn: a list, an array padded with NaN, or a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.arrays import check_unmasked

_BATCHES_PER_BUCKET = 16  # batches whose sequences are sorted by length together


def as_rows(data: Any, features: int, who: str) -> list[Array] | None:
    """The sequences of a list or a three-dimensional array; None for other data, such as a table.

    Args:
        data: The data.
        features: Features per step of one-dimensional sequences.
        who: Owner for error messages.

    Raises:
        ValueError: if a sequence is invalid, or the numbers of features differ.
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
        raise ValueError(f"{who}: the sequences have {sizes} features; expected the same number in each.")
    return rows


def rows_of_table(table: Array, features: int, who: str) -> list[Array]:
    """The rows of a table ``(N, T * features)`` as sequences.

    Raises:
        ValueError: if the number of columns is not a multiple of ``features``.
    """
    if table.shape[1] % features:
        raise ValueError(
            f"{who}: the rows hold {table.shape[1]} numbers, which is not a multiple of features={features}."
        )
    return [_as_row(row, features, f"{who}: row {n}") for n, row in enumerate(table)]


def _is_table(data: Sequence[Any] | Array) -> bool:
    """Whether a list or object array contains numbers, or one-dimensional rows of one length."""
    if not all(isinstance(each, list | tuple | np.ndarray) for each in data):
        return True
    first = data[0]
    if all(np.ndim(each) == 1 and len(each) == len(first) for each in data):
        return not isinstance(data, np.ndarray) or data.dtype == object
    return False


def _as_row(value: Any, features: int, who: str) -> Array:
    """One sequence ``(T, I)`` without its padding of NaN."""
    row = np.asarray(value, np.float64)
    if row.ndim == 1 and row.size % features == 0:
        row = row.reshape(-1, features)
    if row.ndim != 2:
        raise ValueError(
            f"{who} has the shape {row.shape}; expected (T, I), or (T,) for features={features} per step."
        )
    row = row[: _length(row)]
    if not np.isfinite(row).all():
        raise ValueError(f"{who} contains NaN or infinity before its end; NaN may only pad the end.")
    if row.size == 0:
        raise ValueError(f"{who} has no steps; expected at least one.")
    return row


def _length(row: Array) -> int:
    """The number of steps without trailing steps of NaN."""
    valid = np.flatnonzero(~np.isnan(row).all(axis=1))
    return int(valid[-1]) + 1 if valid.size else 0


def pad(rows: Sequence[Array], dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """A batch ``(T, B, I)`` of sequences, padded with zeros, and the index of the last step of each."""
    lengths = np.array([len(row) for row in rows])
    batch = np.zeros((lengths.max(), len(rows), rows[0].shape[1]), dtype)
    for n, row in enumerate(rows):
        batch[: len(row), n] = row
    return batch, lengths - 1


def split_aux(batch: Array, columns: Mapping[str, int]) -> tuple[Array, dict[str, Any]]:
    """A batch ``(T, B, I)`` without some features, and these as auxiliary inputs ``(T, B)``."""
    if not columns:
        return batch, {}
    return np.delete(batch, [*columns.values()], axis=2), {n: batch[..., at] for n, at in columns.items()}


def batches(lengths: Array, size: int, rng: np.random.RandomState | None = None) -> Iterator[Array]:
    """Yield batches of indices of sequences of similar lengths, which need the least padding.

    Args:
        lengths: Length of each sequence.
        size: Batch size.
        rng: Shuffles all sequences, which are then sorted by length within buckets of some batches, and
            then the batches. None for the shortest first.
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    bucket = len(order) if rng is None else size * _BATCHES_PER_BUCKET
    all_batches = []
    for start in range(0, len(order), bucket):
        part = order[start : start + bucket]
        part = part[np.argsort(lengths[part], kind="stable")]
        all_batches += [part[at : at + size] for at in range(0, len(part), size)]
    if rng is not None:
        rng.shuffle(all_batches)
    yield from all_batches
