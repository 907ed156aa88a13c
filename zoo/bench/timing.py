"""Times of work that is repeated: the least of many runs, which other processes disturb little.

The kernels of a cell at work on what one thread gets: a few rows of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.compiler import kernels_of
from zoo.layers import Recurrent

Work = Callable[[], Any]

Clock = Callable[[], float]

LEAST = 5  # runs, however long they take


def alternate(works: list[Work], budget: float, clock: Clock = time.thread_time) -> Any:
    """Seconds and page faults ``(runs, works, 2)`` of every run, one work after the other.

    Args:
        works: What is run in turn.
        budget: Seconds after which no turn begins, once there were ``LEAST``.
        clock: What tells the time; by default the processor time of this thread.
    """
    found: list[list[tuple[float, int]]] = []
    end = time.perf_counter() + budget
    while len(found) < LEAST or time.perf_counter() < end:
        found.append([_run(work, clock) for work in works])
    return np.array(found)


def least(work: Work, budget: float, clock: Clock = time.thread_time) -> tuple[float, float]:
    """The least seconds of many runs after one that compiles, and their page faults on average."""
    work()
    seconds, faults = alternate([work], budget, clock)[:, 0].T
    return float(seconds.min()), float(faults.mean())


def _run(work: Work, clock: Clock) -> tuple[float, int]:
    faults, started = _page_faults(), clock()
    work()
    return clock() - started, _page_faults() - faults


def _page_faults() -> int:
    """Pages of memory that the system had to find for this process so far; none where it does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


STEPS, ROWS = 64, 8  # of a shard: T, and rows that one thread works on at once

Sizes = tuple[int, int, int]  # T, B, H


def ns_per_token(cell: Cell, symbols: int, hidden: int, budget: float) -> float:
    """Processor nanoseconds that a token takes, forward and backward, in float32.

    Args:
        cell: The cell.
        symbols: ``I``, the number of different tokens.
        hidden: ``H``.
        budget: Seconds to measure for, after the kernels are compiled.

    Raises:
        UsageError: if the cell does not come in these sizes.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    seconds, _ = least(shard(cell, (STEPS, ROWS, hidden), "float32", symbols), budget)
    return seconds / (STEPS * ROWS) * 1e9


def shard(cell: Cell, sizes: Sizes, dtype: str, symbols: int, tokens: bool = True) -> Work:
    """Forward and backward kernel of a cell, on new arrays."""
    steps, batch, hidden = sizes
    layer = Recurrent(cell, symbols, hidden, dtype=dtype)
    params = (*layer.params.values(), *layer.buffers.values())
    state = tuple(np.zeros((batch, *shape), dtype) for shape in cell.state_shapes(symbols, hidden).values())
    x = inputs(sizes, dtype, symbols, tokens)
    shapes = zip(cell.inputs.values(), cell.input_shapes(symbols, hidden).values(), strict=True)
    beside = tuple(np.full((steps, batch, *shape), each.default, dtype) for each, shape in shapes)
    given, both = (params, x, state, *([beside] if beside else [])), kernels_of(cell)

    def work() -> Any:
        y, last, tape = both.forward(*given, *both.options)
        return both.backward(*given, tape, y, last, *both.options)

    return work


def inputs(sizes: Sizes, dtype: str, symbols: int, tokens: bool) -> Any:
    """Random tokens ``(T, B)``, or numbers ``(T, B, I)``."""
    steps, batch, _ = sizes
    rng = np.random.default_rng(0)
    if tokens:
        return rng.integers(0, symbols, (steps, batch)).astype(np.int32)
    return rng.normal(size=(steps, batch, symbols)).astype(dtype)
