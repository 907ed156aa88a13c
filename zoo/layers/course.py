"""The way of some rows through time: in pieces, which end where a segment does, or a row.

Rows of different lengths come longest first. So those that go on are always the first ones, and a kernel,
which knows nothing of lengths, never sees a step behind the end of a row: padding takes no time, and what it
holds is never read. Every end takes another call of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from zoo.layers.layer import Array, Arrays
from zoo.layers.segments import Segment, renewed
from zoo.layers.shards import Rows


class Piece(NamedTuple):
    """Some steps of the rows that go on so long.

    Args:
        steps: Which steps.
        rows: How many rows: the first ones.
    """

    steps: slice
    rows: int


@dataclass(frozen=True)
class Course:
    """How the time of some rows is cut.

    Args:
        pieces: The pieces in order of time, at least one.
        is_kept: Whether what the way back needs is kept, or computed again when it gets there.
        lengths: Steps of each row ``(B,)``, longest first; None if all steps are of all rows.
    """

    pieces: list[Piece]
    is_kept: bool = True
    lengths: Array | None = None


def plan(segments: list[slice], rows: int, lengths: Array | None = None) -> Course:
    """The course of some rows.

    Args:
        segments: The steps of each segment; if there is one, what the way back needs is kept.
        rows: How many rows there are.
        lengths: Steps of each row ``(B,)``, longest first; None if all steps are of all rows.
    """
    is_kept = len(segments) == 1
    if lengths is None:
        return Course([Piece(steps, rows) for steps in segments], is_kept)
    longest = int(lengths[0])
    ends = sorted({0, *lengths.tolist(), *(steps.start for steps in segments if steps.start < longest)})
    going_on = rows - np.searchsorted(lengths[::-1], ends, side="right")  # rows longer than each end
    pieces = [
        Piece(slice(*each), count) for each, count in zip(pairwise(ends), going_on.tolist(), strict=False)
    ]
    return Course(pieces or [Piece(slice(0, 0), rows)], is_kept, lengths)


def go(
    course: Course, rows: Rows, state: Arrays, run: Callable[[Segment], tuple[Arrays, Any]]
) -> tuple[list[Segment], Arrays]:
    """Go through all pieces: what the way back needs of each, and the states of every row at its end.

    Args:
        course: The pieces.
        rows: Which rows of the batch, in the order of the course.
        state: States before the first step.
        run: The forward pass of one piece: the states after it, and its tape.
    """
    found = []
    for steps, count in course.pieces:
        before = {name: value[:count] for name, value in state.items()}
        segment = Segment(steps, _first(rows, count), before)
        after, tape = run(segment)
        found.append(segment._replace(tape=tape) if course.is_kept else segment)
        state = renewed(state, after)
    return found, state


def _first(rows: Rows, count: int) -> Rows:
    """The first of some rows."""
    return slice(rows.start, rows.start + count) if isinstance(rows, slice) else rows[:count]
