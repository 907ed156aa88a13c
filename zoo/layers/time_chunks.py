"""Time chunks, gradient checkpointing over time, and the steps and rows of a batch that a chunk takes.

Time is cut where padded sequences end, and from there at the boundaries of checkpoint segments. With
``recompute`` only the states between segments are saved, about sqrt(T) of them, and each segment is run
again in the backward pass (T. Chen et al. 2016, https://arxiv.org/abs/1604.06174).

Rows of different lengths are sorted longest first. The rows that continue are then always the leading ones,
and a kernel, which knows no lengths, never computes a step of the padding: padding takes no time and
is never read. Every end costs one more call of the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from zoo.arguments import short_repr
from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.layers.sharding import MAX_SHARDS, ROWS_PER_TILE, Rows

Recompute: TypeAlias = int | Literal["sqrt"] | None

# Every segment adds up the gradients of the weights, for the price of fewer than 50 tokens at H=128.
MIN_SEGMENT_TOKENS = 1024

_FORWARD_ELEMENTS = 1 << 16
"""Elements of the outputs of a segment of a shard in :func:`forward_segments`.

The tape of these steps stays in the cache: 1,000 steps of 16 sequences through `mamba` with 128 units took 28
to 31 ms with segments of half to all of these elements, and 40 ms with one segment (two threads, AMD EPYC,
Zen 4). `lstm` and `vanilla` took as long as with one segment. With a quarter, 16 units took a quarter longer.
"""
# At least. A multiple of the chunks of memories, so that results keep their bits.
_FORWARD_STEPS = 64

EXPECTED_RECOMPUTE = "the steps of a segment, an integer of at least 1, or 'sqrt'"


class Chunk(NamedTuple):
    """Some steps of the leading rows, those that have all these steps."""

    time_slice: slice
    row_count: int


class TimeChunks(NamedTuple):
    """A partition of the time of some rows.

    Args:
        chunks: The chunks in order of time, at least one.
        keeps_tapes: Whether tapes are kept, instead of being made again in the backward pass.
        lengths: Steps of each sequence ``(B,)``, longest first; None if all have all steps.
    """

    chunks: list[Chunk]
    keeps_tapes: bool = True
    lengths: Array | None = None


class Segment(NamedTuple):
    """A chunk of a shard after its forward pass.

    Args:
        time_slice: Its time steps.
        rows: Its rows of the batch.
        state: Initial states of the chunk.
        tape: Tape of its forward pass; None if the backward pass runs the forward pass again.
    """

    time_slice: slice
    rows: Rows
    state: Arrays
    tape: Any = None


def plan_chunks(segments: list[slice], rows: int, lengths: Array | None = None) -> TimeChunks:
    """Cut time at the ends of rows, and from each of them at the ends of segments.

    A kernel divides the steps after such an end into chunks of its own, and segments must not divide these.

    Args:
        segments: The steps of each segment, all of one length, except that the last may be shorter. Tapes are
            kept if there is only one.
        rows: Number of rows.
        lengths: Steps of each sequence ``(B,)``, longest first; None if all have all steps.
    """
    keeps_tapes = len(segments) == 1
    if lengths is None:
        return TimeChunks([Chunk(time_slice, rows) for time_slice in segments], keeps_tapes)
    length = max(1, segments[0].stop)
    spans = pairwise(sorted({0, *lengths.tolist()}))
    starts = [start for span in spans for start in range(*span, length)]
    ends = [*starts, int(lengths[0])]
    longer_rows = rows - np.searchsorted(lengths[::-1], ends, side="right")
    counts = longer_rows.tolist()
    chunks = [Chunk(slice(*span), count) for span, count in zip(pairwise(ends), counts, strict=False)]
    return TimeChunks(chunks or [Chunk(slice(0, 0), rows)], keeps_tapes, lengths)


def is_recompute(value: Any) -> bool:
    """Whether a value is a valid ``recompute``; True means "sqrt"."""
    if value is None or value is True or (isinstance(value, str) and value == "sqrt"):
        return True
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def check_recompute(value: Any) -> Recompute:
    """Convert ``recompute`` to steps per segment, "sqrt", or None.

    Raises:
        UsageError: if it is invalid.
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
    if recompute == "sqrt":  # more steps where a shard has few rows
        length = max(math.isqrt(steps - 1) + 1, MIN_SEGMENT_TOKENS // min(batch, ROWS_PER_TILE))
    else:
        length = recompute
    return [slice(start, min(start + length, steps)) for start in range(0, steps, length)]


def forward_segments(steps: int, batch: int, width: int) -> list[slice]:
    """The steps of each segment of a forward pass that no backward pass follows: their tapes are not kept.

    Args:
        steps: ``T``.
        batch: ``B``.
        width: Output size of the widest layer.
    """
    rows = max(1, min(batch, ROWS_PER_TILE), -(-batch // MAX_SHARDS))
    length = -(-_FORWARD_ELEMENTS // (rows * max(1, width) * _FORWARD_STEPS)) * _FORWARD_STEPS
    return plan_segments(steps, batch, length)


def absolute_range(segment: Segment, time_slice: slice, rows: Rows) -> tuple[slice, Rows]:
    """Convert steps and rows relative to a segment to steps and rows of the batch."""
    first, base = segment.time_slice.start, segment.rows
    absolute_slice = slice(first + time_slice.start, first + time_slice.stop)
    if not isinstance(base, slice):
        return absolute_slice, base[rows]
    if isinstance(rows, slice):
        return absolute_slice, slice(base.start + rows.start, base.start + rows.stop)
    return absolute_slice, np.arange(base.start, base.stop)[rows]


def add_gradients(total: list[Array], gradients: list[Array]) -> list[Array]:
    """Add the parameter gradients of an earlier chunk to the gradients of later chunks, if there are any."""
    return [one + other for one, other in zip(total, gradients, strict=True)] if total else gradients


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


def reverse_between_steps(array: Array, lengths: Array | None) -> Array:
    """Reverse values that belong to the time between a step and the previous one; the padding stays.

    In reverse order, step t + 1 comes before step t, so step t gets the value of step t + 1. The last step,
    which comes first, gets the value of step 0.

    Args:
        array: ``(T, B, ...)``.
        lengths: As for :func:`reverse_time`.
    """
    steps = np.arange(len(array))[:, np.newaxis]
    lengths = np.full(array.shape[1], len(array)) if lengths is None else lengths
    order = np.where(steps < lengths, -steps % np.maximum(lengths, 1), steps)
    return np.ascontiguousarray(array[order, np.arange(lengths.size)])


def sort_by_length(lengths: Array) -> Array:
    """Row indices ``(B,)``, longest first; rows of one length stay in their order."""
    return np.argsort(-lengths, kind="stable")
