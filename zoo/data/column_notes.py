"""Notes about columns whose numbers probably mean something else: missing values such as -999, and times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.data.growing_array import row_chunks
from zoo.data.panel import Panel
from zoo.errors import warn_caller

_MIN_DIFFERENT = 10
"""A column with fewer different values is a category or a flag, of which one value may be far away."""


class _Range(NamedTuple):
    """The range of some values, and the number of the values that are left out."""

    low: float
    high: float
    left_out: int


def sentinel_notes(columns: Iterable[tuple[str, Array]]) -> Iterator[str]:
    """A sentence for each column with a number that probably stands for missing values.

    It is the minimum or the maximum, occurs at least twice, and is farther from all other values than these
    are from each other.

    Args:
        columns: Names and values, `(N,)`, with NaN for missing ones.
    """
    for name, values in columns:
        full = _range_without(values, math.nan)
        for extreme in dict.fromkeys((full.low, full.high)):
            others = _range_without(values, extreme)
            distance = max(others.low - extreme, extreme - others.high)
            is_far = others.left_out > 1 and distance > others.high - others.low > 0
            if is_far and _count_different(values) > _MIN_DIFFERENT:
                yield (
                    f"{name} is {extreme:g} in {others.left_out:,} rows, and from {others.low:.4g} to "
                    f"{others.high:.4g} in all others. If {extreme:g} stands for missing values, leave them "
                    f"empty, and give `missing='forward'` or `missing='mask'`."
                )


def _range_without(values: Array, excluded: float) -> _Range:
    low, high, left_out = math.inf, -math.inf, 0
    for rows in row_chunks(len(values)):
        chunk = values[rows]
        others = chunk[(chunk != excluded) & ~np.isnan(chunk)]
        left_out += int((chunk == excluded).sum())
        if len(others):
            low, high = min(low, float(others.min())), max(high, float(others.max()))
    return _Range(low, high, left_out)


def _count_different(values: Array) -> int:
    """The number of different values, of the first rows if there are many."""
    return len(np.unique(values[next(row_chunks(len(values)))]))


def order_notes(panel: Panel) -> Iterator[str]:
    """A sentence for each input that increases with every row, if the table has no column of times."""
    if panel.roles.time is not None or len(panel) <= len(panel.names):
        return
    within = np.ones(len(panel) - 1, bool)
    within[panel.offsets[1:-1] - 1] = False  # from one series to the next
    for name in panel.roles.input:
        column = panel.columns[name]
        if column.kind == "number" and all(
            (np.diff(column.values[rows.start : rows.stop + 1])[within[rows]] > 0).all()
            for rows in row_chunks(len(within))
        ):
            yield (
                f"{name} increases with every row, so the model meets values that training has not seen. If "
                f"it is a time or a number of the row, give it as `time`, or leave it out with `input`."
            )


def warn_of_columns(name: str, notes: Iterable[str]) -> None:
    """Warn of the columns of a table."""
    for note in notes:
        warn_caller(f"{name}: {note}")
