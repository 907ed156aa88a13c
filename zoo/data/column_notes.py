"""Notes about columns whose numbers probably mean something else: missing values such as -999, and times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.data.growing_array import row_chunks
from zoo.data.panel import Panel
from zoo.errors import warn_caller

_MIN_DIFFERENT = 10
"""A column with fewer different values is a category or a flag, of which one value may be far away."""

_MIN_EXPONENT = 1e16
"""Python prints numbers from here on with an exponent."""


@dataclass(frozen=True)
class NoteWords:
    """Names of columns and arguments in the notes, which differ between interfaces.

    Attributes:
        missing: Advice for a number that stands for missing values.
        order: Advice for an input that increases with every row.
        column: Form of the name of a column.
        names: Names of columns for readers, where they have others.
    """

    missing: str = "leave them empty, and give `missing='forward'` or `missing='mask'`"
    order: str = "give it as `time`, or leave it out of the inputs"
    column: str = "{}"
    names: Mapping[str, Any] = field(default_factory=dict)

    def name_of(self, column: str) -> str:
        """The name of a column in a sentence."""
        return self.column.format(self.names.get(column, column))


TABLE_WORDS = NoteWords()
"""The words of :func:`zoo.train`."""


def sentinel_notes(names: Sequence[str], values: Array, words: NoteWords = TABLE_WORDS) -> Iterator[str]:
    """A sentence for each column with a number that probably stands for missing values.

    It is the minimum or the maximum, occurs at least twice, and is farther from all other values than these
    are from each other.

    Args:
        names: Names of the columns.
        values: `(N, C)`, with NaN for missing ones.
        words: Names of columns and arguments.
    """
    extremes, counts = _extremes(values)
    for column, name in enumerate(names):
        for extreme, count in zip(extremes[:, column], counts[:, column], strict=True):
            if count < 2 or (others := _distant_others(values[:, column], extreme)) is None:
                continue
            low, high = others
            if _count_different(values[:, column]) > _MIN_DIFFERENT:
                number = _all_digits(extreme)
                yield (
                    f"{words.name_of(name)} is {number} in {count:,} rows, and from {low:.4g} to {high:.4g} "
                    f"in all others. If {number} stands for missing values, {words.missing}."
                )


def _extremes(values: Array) -> tuple[Array, Array]:
    """The minimum and the maximum of each column `(2, C)`, and the numbers of rows with them `(2, C)`."""
    extremes = np.repeat(values[:1], 2, axis=0)
    counts = np.zeros(extremes.shape, np.int64)
    for rows in row_chunks(*values.shape):
        chunk = np.ascontiguousarray(values[rows].T)
        for side, extreme_of in enumerate((np.fmin, np.fmax)):  # which ignore NaN
            new = extreme_of(extremes[side], extreme_of.reduce(chunk, axis=1))
            counts[side, new != extremes[side]] = 0
            counts[side] += np.count_nonzero(chunk == new[:, None], axis=1)
            extremes[side] = new
    return extremes, counts


def _distant_others(values: Array, extreme: Any) -> tuple[float, float] | None:
    """The minimum and the maximum of the other values; None if the extreme is not far from them."""
    low, high = math.inf, -math.inf
    for rows in row_chunks(len(values)):
        chunk = values[rows]
        others = chunk[(chunk != extreme) & ~np.isnan(chunk)]
        if len(others):
            low, high = min(low, float(others.min())), max(high, float(others.max()))
        if max(low - extreme, extreme - high) <= high - low:  # more rows can only bring it nearer
            return None
    return (low, high) if low < high else None


def _all_digits(value: Any) -> str:
    """A number as tables have it: `-9999999`, but `1e+20`."""
    return np.format_float_positional(value, trim="-") if abs(value) < _MIN_EXPONENT else str(value)


def _count_different(values: Array) -> int:
    """The number of different values, of the first rows if there are many."""
    return len(np.unique(values[next(row_chunks(len(values)))]))


def order_notes(panel: Panel, words: NoteWords = TABLE_WORDS) -> Iterator[str]:
    """A sentence for each input that increases with every row, if the table has no column of times."""
    if panel.roles.time is not None or len(panel) <= len(panel.names):
        return
    for name in (*panel.roles.input, *panel.roles.known_future):
        column = panel.columns[name]
        if column.kind == "number":
            yield from increasing_note(name, column.values, panel.offsets, words)


def increasing_note(
    name: str, values: Array, offsets: Array, words: NoteWords = TABLE_WORDS
) -> Iterator[str]:
    """A sentence if a column increases with every row of each series.

    Args:
        name: The name of the column.
        values: `(N,)`.
        offsets: The first row of each series, and N, `(S + 1,)`.
        words: Names of columns and arguments.
    """
    within = np.ones(len(values) - 1, bool)
    within[offsets[1:-1] - 1] = False  # from one series to the next
    if all(
        (np.diff(values[rows.start : rows.stop + 1])[within[rows]] > 0).all()
        for rows in row_chunks(len(within))
    ):
        yield (
            f"{words.name_of(name)} increases with every row, so the model meets values that training "
            f"has not seen. If it is a time or a number of the row, {words.order}."
        )


def warn_of_columns(name: str, notes: Iterable[str]) -> None:
    """Warn of the columns of a table."""
    for note in notes:
        warn_caller(f"{name}: {note}")
