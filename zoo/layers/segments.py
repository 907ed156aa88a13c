"""A sequence in segments of time: to keep only the states between them is to remember about sqrt(T) of it.

The forward pass of a segment runs again, with its tape, when the way back gets there. T. Chen et al. 2016,
https://arxiv.org/abs/1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.layers.layer import Array, Arrays
from zoo.layers.shards import ROWS, Rows

Recompute = int | Literal["sqrt"] | None

# Every segment packs the weights anew and adds up their gradients, for the price of 50 tokens at H=128.
LEAST_TOKENS = 1024

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


def segments(steps: int, batch: int, recompute: Recompute) -> list[slice]:
    """The steps of each segment of a sequence: at least one segment, the last possibly shorter."""
    if recompute is None or steps == 0:
        return [slice(0, steps)]
    length = _about_sqrt(steps, batch) if recompute == "sqrt" else recompute
    return [slice(start, min(start + length, steps)) for start in range(0, steps, length)]


def _about_sqrt(steps: int, batch: int) -> int:
    """Steps per segment: the square root, and more where a shard has few rows."""
    return max(math.isqrt(steps - 1) + 1, LEAST_TOKENS // min(batch, ROWS))


def cut(array: Array, steps: slice, rows: Rows) -> Array:
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


def within(segment: Segment, steps: slice, rows: Rows) -> tuple[slice, Rows]:
    """Which steps and rows of the batch some of a segment's are, counted from its first."""
    first = segment.steps.start
    return slice(first + steps.start, first + steps.stop), _some(segment.rows, rows)


def _some(of: Rows, rows: Rows) -> Rows:
    if isinstance(of, slice) and isinstance(rows, slice):
        return slice(of.start + rows.start, of.start + rows.stop)
    return np.arange(of.start, of.stop)[rows] if isinstance(of, slice) else of[rows]


def go_back(
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


def walk_back(
    found: list[Segment],
    dlast: Arrays,
    out: Array,
    back: Callable[[Segment, Arrays], tuple[Arrays, list[Array]]],
) -> Arrays:
    """As :func:`go_back`, with the gradients of the parameters in a flat vector, out ``(P,)``."""
    dstate, gradients = go_back(found, dlast, back)
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
    return renewed(dlast, dbefore), gradients


def renewed(state: Arrays, first: Arrays) -> Arrays:
    """States of all rows of which the first have new ones."""
    return {name: _joined(first[name], value) for name, value in state.items()}


def _joined(first: Array, all_rows: Array) -> Array:
    if len(first) == len(all_rows):
        return first
    return np.concatenate([first, all_rows[len(first) :]])
