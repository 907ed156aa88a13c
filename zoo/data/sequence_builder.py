"""``SequenceBuilder``: values of sequences that are added one after another, in memory or in a file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zoo.arguments import counted, short_repr
from zoo.array_types import Array
from zoo.data.growing_array import GrowingArray, allocate, row_chunks
from zoo.data.time_kind import TimeKind, time_kind
from zoo.errors import DataError
from zoo.field_repr import one_line_repr


@one_line_repr
class SequenceValues(NamedTuple):
    """The values of N sequences of R steps in all, one after another.

    Attributes:
        values: `(R, I)` float64.
        offsets: The first step of each sequence, and R, `(N + 1,)`.
        dt: Time from the step before in units of the median, 1 for the first step, `(R,)`; None without
            times.
        time_unit: The median time between two steps, in seconds if times are dates.
        time_kind: The kind of the times.
    """

    values: Array
    offsets: Array
    dt: Array | None
    time_unit: float
    time_kind: TimeKind


class SequenceBuilder:
    """Sequences that grow one by one; large values are stored in temporary files.

    Args:
        name: Of the source, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._values, self._steps = GrowingArray(np.float64), GrowingArray(np.float64)
        self._offsets = [0]
        self._first, self._width = "", 0
        self._time_kind: TimeKind = "none"

    def append(self, part: Array, label: str, times: Array | None = None) -> None:
        """Add a sequence.

        Args:
            part: Its values, `(T, I)` numbers.
            label: Its position in messages, such as ``line 7``.
            times: `(T,)` numbers or datetime64. Either all sequences have times, or none has.

        Raises:
            DataError: if it is empty, has other channels or another kind of times than the first one, or its
                times do not increase.
        """
        owner = f"{self._name}, {label}"
        if len(self._offsets) == 1:
            self._first, self._width = label, part.shape[1]
            self._time_kind = time_kind(times)
        if part.shape[1] != self._width:
            raise DataError(
                f"{owner} has {counted(part.shape[1], 'channel')} and {self._first} has {self._width}; "
                f"expected the same channels in all sequences."
            )
        if not len(part):
            raise DataError(f"{owner} has no steps; remove it.")
        if not part.shape[1]:
            raise DataError(f"{owner} has no channels.")
        for rows in row_chunks(*part.shape):
            self._values.append(np.ascontiguousarray(part[rows], np.float64).reshape(-1))
        if time_kind(times) != self._time_kind:
            raise DataError(
                f"{owner} and {self._first} have other kinds of times; expected dates in all sequences, or "
                f"numbers in all."
            )
        if times is not None:
            self._steps.append(_time_steps(times, owner))
        self._offsets.append(self._offsets[-1] + len(part))

    def finish(self) -> SequenceValues:
        """The values of all sequences."""
        offsets, dt, unit = np.array(self._offsets, np.int64), self._steps.finish(), 1.0
        if len(dt):
            unit = _median_step(dt, len(offsets) - 1)
            for rows in row_chunks(len(dt)):
                dt[rows] /= unit
            dt[offsets[:-1]] = 1.0
        values = self._values.finish().reshape(-1, max(self._width, 1))
        return SequenceValues(values, offsets, dt if len(dt) else None, unit, self._time_kind)


def _time_steps(times: Array, owner: str) -> Array:
    """The time from the step before, in seconds if times are dates; 0 for the first step."""
    if times.dtype.kind not in "iufM":
        raise DataError(f"{owner}: times are {short_repr(times)}; expected numbers or datetime64.")
    if times.dtype.kind == "u":  # whose differences cannot be below 0
        times = times.astype(np.int64)
    differences = np.diff(times)
    if differences.dtype.kind == "m":
        differences = differences / np.timedelta64(1, "s")
    if not (differences > 0).all():
        step = int(np.argmin(differences > 0)) + 1
        raise DataError(
            f"{owner}, step {step}: the time {times[step]} is not after {times[step - 1]}; sort the steps by "
            f"time."
        )
    return np.concatenate([[0.0], differences])


def _median_step(steps: Array, sequences: int) -> float:
    """The median of the steps, all above 0, except the zeros of the first step of each sequence."""
    count = len(steps) - sequences
    if not count:
        return 1.0
    copy = allocate(steps.shape, steps.dtype)
    copy[:] = steps
    copy.partition(sequences + count // 2)
    return float(copy[sequences + count // 2])
