"""The way of some rows through time: in pieces, which end where a segment does, or a row.

Rows of different lengths come longest first. So those that go on are always the first ones, and a kernel,
which knows nothing of lengths, never sees a step behind the end of a row: padding takes no time, and what it
holds is never read. Every end takes another call of the kernel.

A sequence in segments of time: to keep only the states between them is to remember about sqrt(T) of it.

The forward pass of a segment runs again, with its tape, when the way back gets there. T. Chen et al. 2016,
https://arxiv.org/abs/1604.06174.

One layer along a course: the kernels run piece by piece, and what they give is laid together again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.layers.direction import Array, Arrays, BackwardHook, Direction, DirectionTape
from zoo.layers.sharding import ROWS_PER_TILE, Rows


class Chunk(NamedTuple):
    """Some steps of the rows that go on so long.

    Args:
        steps: Which steps.
        rows: How many rows: the first ones.
    """

    steps: slice
    rows: int


@dataclass(frozen=True)
class TimeChunks:
    """How the time of some rows is cut.

    Args:
        pieces: The pieces in order of time, at least one.
        is_kept: Whether what the way back needs is kept, or computed again when it gets there.
        lengths: Steps of each row ``(B,)``, longest first; None if all steps are of all rows.
    """

    pieces: list[Chunk]
    is_kept: bool = True
    lengths: Array | None = None


def plan_chunks(segments: list[slice], rows: int, lengths: Array | None = None) -> TimeChunks:
    """The course of some rows.

    Args:
        segments: The steps of each segment; if there is one, what the way back needs is kept.
        rows: How many rows there are.
        lengths: Steps of each row ``(B,)``, longest first; None if all steps are of all rows.
    """
    is_kept = len(segments) == 1
    if lengths is None:
        return TimeChunks([Chunk(steps, rows) for steps in segments], is_kept)
    longest = int(lengths[0])
    ends = sorted({0, *lengths.tolist(), *(steps.start for steps in segments if steps.start < longest)})
    going_on = rows - np.searchsorted(lengths[::-1], ends, side="right")  # rows longer than each end
    pieces = [
        Chunk(slice(*each), count) for each, count in zip(pairwise(ends), going_on.tolist(), strict=False)
    ]
    return TimeChunks(pieces or [Chunk(slice(0, 0), rows)], is_kept, lengths)


def scan_chunks(
    course: TimeChunks, rows: Rows, state: Arrays, run: Callable[[Segment], tuple[Arrays, Any]]
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
        state = update_leading_rows(state, after)
    return found, state


def _first(rows: Rows, count: int) -> Rows:
    """The first of some rows."""
    return slice(rows.start, rows.start + count) if isinstance(rows, slice) else rows[:count]


Recompute = int | Literal["sqrt"] | None

# Every segment packs the weights anew and adds up their gradients, for the price of 50 tokens at H=128.
MIN_SEGMENT_TOKENS = 1024

EXPECTED_RECOMPUTE = "None to keep everything, steps per segment as an integer of at least 1, or 'sqrt'"


def is_recompute(value: Any) -> bool:
    """Whether this says what is kept and what is computed again; True is "sqrt"."""
    if value is None or value is True or (isinstance(value, str) and value == "sqrt"):
        return True
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def check_recompute(value: Any) -> Recompute:
    """How a sequence is cut: into segments of so many steps, of about sqrt(T), or not at all.

    Raises:
        UsageError: if it is something else.
    """
    if not is_recompute(value):
        raise UsageError(f"recompute is {short_repr(value)}; expected {EXPECTED_RECOMPUTE}.")
    if value is True or isinstance(value, str):
        return "sqrt"
    return None if value is None else int(value)


def plan_segments(steps: int, batch: int, recompute: Recompute) -> list[slice]:
    """The steps of each segment of a sequence: at least one segment, the last possibly shorter."""
    if recompute is None or steps == 0:
        return [slice(0, steps)]
    length = _about_sqrt(steps, batch) if recompute == "sqrt" else recompute
    return [slice(start, min(start + length, steps)) for start in range(0, steps, length)]


def _about_sqrt(steps: int, batch: int) -> int:
    """Steps per segment: the square root, and more where a shard has few rows."""
    return max(math.isqrt(steps - 1) + 1, MIN_SEGMENT_TOKENS // min(batch, ROWS_PER_TILE))


def slice_batch(array: Array, steps: slice, rows: Rows) -> Array:
    """The part of a time-major array ``(T, B, ...)`` that a kernel works on, contiguous."""
    return np.ascontiguousarray(array[steps, rows])


class Segment(NamedTuple):
    """A piece on the way.

    Args:
        steps: Which steps.
        rows: Which rows of the batch.
        state: States before the first of the steps.
        tape: What the way back needs, or None if the forward pass has to run again for it.
    """

    steps: slice
    rows: Rows
    state: Arrays
    tape: Any = None


def absolute_range(segment: Segment, steps: slice, rows: Rows) -> tuple[slice, Rows]:
    """Which steps and rows of the batch some of a segment's are, counted from its first."""
    first = segment.steps.start
    return slice(first + steps.start, first + steps.stop), _index_rows(segment.rows, rows)


def _index_rows(of: Rows, rows: Rows) -> Rows:
    if isinstance(of, slice) and isinstance(rows, slice):
        return slice(of.start + rows.start, of.start + rows.stop)
    return np.arange(of.start, of.stop)[rows] if isinstance(of, slice) else of[rows]


def backward_segments(
    found: list[Segment], dlast: Arrays, back: Callable[[Segment, Arrays], tuple[Arrays, list[Array]]]
) -> tuple[Arrays, list[Array]]:
    """The gradients of the states before the first piece, and the sum of those of the parameters.

    Args:
        found: All pieces, in order of time.
        dlast: Gradients of the states of every row at its end.
        back: The way back through one piece: from the gradients of the states after it to those of the
            states before it, and of the parameters.
    """
    *earlier, last = found
    dstate, total = _step_back(last, dlast, back)
    for segment in reversed(earlier):
        dstate, gradients = _step_back(segment, dstate, back)
        total = [one + other for one, other in zip(total, gradients, strict=True)]
    return dstate, total


def backward_segments_flat(
    found: list[Segment],
    dlast: Arrays,
    out: Array,
    back: Callable[[Segment, Arrays], tuple[Arrays, list[Array]]],
) -> Arrays:
    """As :func:`go_back`, with the gradients of the parameters in a flat vector, out ``(P,)``."""
    dstate, gradients = backward_segments(found, dlast, back)
    flatten(gradients, out)
    return dstate


def flatten(arrays: list[Array], out: Array) -> None:
    """Write arrays one after the other into a flat vector."""
    np.concatenate([array.reshape(-1) for array in arrays], out=out)


def _step_back(
    segment: Segment, dlast: Arrays, back: Callable[[Segment, Arrays], tuple[Arrays, list[Array]]]
) -> tuple[Arrays, list[Array]]:
    """The way back through one piece; rows that ended before it keep the gradients of their last states."""
    count = len(next(iter(segment.state.values())))
    dbefore, gradients = back(segment, {name: value[:count] for name, value in dlast.items()})
    return update_leading_rows(dlast, dbefore), gradients


def update_leading_rows(state: Arrays, first: Arrays) -> Arrays:
    """States of all rows of which the first have new ones."""
    return {name: _merge_rows(first[name], value) for name, value in state.items()}


def _merge_rows(first: Array, all_rows: Array) -> Array:
    if len(first) == len(all_rows):
        return first
    return np.concatenate([first, all_rows[len(first) :]])


Weights = tuple[Array, ...]


class ChunkedTape(NamedTuple):
    """What a layer's way back along a course needs.

    Args:
        x: What the layer read.
        inputs: What it was told beside x.
        segments: Each piece of the course; rows are counted from the first of the shard.
    """

    x: Array
    inputs: tuple[Array, ...]
    segments: list[Segment]


def forward_chunks(
    layer: Direction,
    weights: Weights,
    x: Array,
    state: Mapping[str, Array],
    inputs: tuple[Array, ...],
    course: TimeChunks | None,
) -> tuple[Array, Arrays, ChunkedTape | DirectionTape]:
    """Outputs, zero behind the end of a row; the states of each row at its end; and the tape.

    Without a course, all steps of all rows are run at once.
    """
    if course is None:
        return layer.forward(weights, x, state, inputs)
    parts: list[Array] = []

    def run(segment: Segment) -> tuple[Arrays, DirectionTape]:
        y, after, tape = _forward(layer, weights, x, inputs, segment)
        parts.append(y)
        return after, tape

    before = {name: state[name] for name in layer.states}
    found, last = scan_chunks(course, slice(0, x.shape[1]), before, run)
    return _concatenate(parts, found, x), last, ChunkedTape(x, inputs, found)


def backward_chunks(
    layer: Direction,
    weights: Weights,
    way: ChunkedTape | DirectionTape,
    dy: Array,
    dlast: Mapping[str, Array],
    watch: BackwardHook | None = None,
) -> tuple[Array | None, Arrays, list[Array]]:
    """Gradients with respect to x (None for tokens), the first states, and the parameters in their order."""
    if isinstance(way, DirectionTape):
        dy = np.ascontiguousarray(dy)
        if watch is not None:
            watch(layer, *full_range(way), way, dy, dlast)
        dx, dbefore, gradients = layer.backward(weights, way, dy, dlast)
        return dx if way.x.ndim == 3 else None, dbefore, gradients
    parts: list[Array] = []

    def back(segment: Segment, dafter: Arrays) -> tuple[Arrays, list[Array]]:
        tape = segment.tape or _forward(layer, weights, way.x, way.inputs, segment)[2]
        part = slice_batch(dy, segment.steps, segment.rows)
        if watch is not None:
            watch(layer, segment.steps, segment.rows, tape, part, dafter)
        dx, dbefore, gradients = layer.backward(weights, tape, part, dafter)
        parts.insert(0, dx)
        return dbefore, gradients

    dstate, gradients = backward_segments(way.segments, {name: dlast[name] for name in layer.states}, back)
    return _concatenate(parts, way.segments, way.x) if way.x.ndim == 3 else None, dstate, gradients


def iter_chunks(
    layer: Direction, weights: Weights, way: ChunkedTape | DirectionTape
) -> Iterator[tuple[slice, Rows, DirectionTape]]:
    """The pieces that a layer went through: steps, rows, and the tape, made again where it was not kept."""
    if isinstance(way, DirectionTape):
        yield *full_range(way), way
        return
    for segment in way.segments:
        tape = segment.tape or _forward(layer, weights, way.x, way.inputs, segment)[2]
        yield segment.steps, segment.rows, tape


def full_range(tape: DirectionTape) -> tuple[slice, slice]:
    """All steps and rows of a tape."""
    steps, batch = tape.x.shape[:2]
    return slice(0, steps), slice(0, batch)


def _forward(
    layer: Direction, weights: Weights, x: Array, inputs: tuple[Array, ...], segment: Segment
) -> tuple[Array, Arrays, DirectionTape]:
    where = segment.steps, segment.rows
    told = tuple([slice_batch(each, *where) for each in inputs])
    return layer.forward(weights, slice_batch(x, *where), segment.state, told)


def _concatenate(parts: list[Array], segments: list[Segment], x: Array) -> Array:
    """Each part at its steps and rows, and zeros elsewhere; the part itself if it is all there is."""
    if parts[0].shape[:2] == x.shape[:2]:
        return parts[0]
    whole = np.zeros((*x.shape[:2], parts[0].shape[2]), parts[0].dtype)
    for part, segment in zip(parts, segments, strict=True):
        whole[segment.steps, segment.rows] = part
    return whole
