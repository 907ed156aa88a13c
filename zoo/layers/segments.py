"""A sequence in segments of time: to keep only the states between them is to remember about sqrt(T) of it.

The forward pass of a segment runs again, with its tape, when the way back gets there. T. Chen et al. 2016,
https://arxiv.org/abs/1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from zoo.errors import UsageError
from zoo.layers.layer import Array, Arrays, LayerTape
from zoo.layers.shards import ROWS

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
        raise UsageError(f"recompute is {value!r}; expected {EXPECTED_RECOMPUTE}.")
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


def cut(array: Array, steps: slice, rows: slice) -> Array:
    """The part of a time-major array ``(T, B, ...)`` that a kernel works on, contiguous."""
    return np.ascontiguousarray(array[steps, rows])


class Segment(NamedTuple):
    """Some steps of one shard.

    Args:
        steps: Which steps.
        rows: Which rows of the batch.
        state: States before the first of the steps.
        tape: What the way back needs, or None if the forward pass has to run again for it.
    """

    steps: slice
    rows: slice
    state: Arrays
    tape: list[LayerTape] | None = None


def walk_back(
    found: list[Segment],
    dlast: Arrays,
    out: Array,
    back: Callable[[Segment, Arrays], tuple[Arrays, list[Array]]],
) -> Arrays:
    """The gradients of the states before the first segment; those of the parameters are summed into out.

    Args:
        found: All segments of a shard, in order of time.
        dlast: Gradients of the states after the last.
        out: Where the flat gradient goes, ``(P,)``.
        back: The way back through one segment: from the gradients of the states after it to those of the
            states before it, and of the parameters, in their order.
    """
    dstate, gradients = back(found[-1], dlast)
    flatten(gradients, out)
    part = np.empty_like(out) if len(found) > 1 else out
    for segment in reversed(found[:-1]):
        dstate, gradients = back(segment, dstate)
        flatten(gradients, part)
        out += part
    return dstate


def flatten(arrays: list[Array], out: Array) -> None:
    """Write arrays one after the other into a flat vector."""
    np.concatenate([array.reshape(-1) for array in arrays], out=out)
