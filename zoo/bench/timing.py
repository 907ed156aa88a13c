"""Minimum times of repeated work, which other processes disturb least, and the time of a cell's kernels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.compiler import kernels_of
from zoo.layers import Recurrent
from zoo.layers.sharding import ROWS_PER_TILE

Work = Callable[[], Any]

Clock = Callable[[], float]

MIN_RUNS = 5  # whatever the budget


def run_alternating(works: list[Work], budget: float, clock: Clock = time.thread_time) -> Any:
    """Run several functions in turn; return seconds and page faults ``(runs, functions, 2)``.

    Args:
        works: The functions.
        budget: Seconds after which no round starts, once ``MIN_RUNS`` rounds are done.
        clock: The clock; by default the processor time of this thread.
    """
    measured: list[list[tuple[float, int]]] = []
    end = time.perf_counter() + budget
    while len(measured) < MIN_RUNS or time.perf_counter() < end:
        measured.append([_run(work, clock) for work in works])
    return np.array(measured)


def min_time(work: Work, budget: float, clock: Clock = time.thread_time) -> tuple[float, float]:
    """The minimum seconds of many runs after one that compiles, and their mean page faults."""
    work()
    seconds, faults = run_alternating([work], budget, clock)[:, 0].T
    return float(seconds.min()), float(faults.mean())


def _run(work: Work, clock: Clock) -> tuple[float, int]:
    faults, started = _page_faults(), clock()
    work()
    return clock() - started, _page_faults() - faults


def _page_faults() -> int:
    """Page faults of this process so far; 0 on systems that do not report them."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


STEPS = 64

Sizes = tuple[int, int, int]  # T, B, H


def ns_per_token(cell: Cell, symbols: int, hidden: int, budget: float) -> float:
    """Processor nanoseconds per token of one shard, forward and backward, in float32.

    Args:
        cell: The cell.
        symbols: ``I``, the number of different tokens.
        hidden: ``H``.
        budget: Seconds to measure, after compilation.

    Raises:
        UsageError: if the cell does not support these sizes.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    seconds, _ = min_time(kernel_passes(cell, (STEPS, ROWS_PER_TILE, hidden), "float32", symbols), budget)
    return seconds / (STEPS * ROWS_PER_TILE) * 1e9


def kernel_passes(cell: Cell, sizes: Sizes, dtype: str, symbols: int, tokens: bool = True) -> Work:
    """A function that runs the forward and backward kernels of a cell on new arrays."""
    steps, batch, hidden = sizes
    layer = Recurrent(cell, symbols, hidden, dtype=dtype)
    params = (*layer.params.values(), *layer.buffers.values())
    state = tuple(np.zeros((batch, *shape), dtype) for shape in cell.state_shapes(symbols, hidden).values())
    x = inputs(sizes, dtype, symbols, tokens)
    shapes = zip(cell.inputs.values(), cell.input_shapes(symbols, hidden).values(), strict=True)
    aux = tuple(np.full((steps, batch, *shape), each.default, dtype) for each, shape in shapes)
    arguments, kernels = (x, state, *([aux] if aux else [])), kernels_of(cell)

    def work() -> Any:
        forward_params = kernels.forward_params(params, not tokens)
        y, last, tape = kernels.forward(forward_params, *arguments, *kernels.options)
        others = *arguments, tape, y, last, *kernels.last_backward_arguments(needs_dx=True)
        return kernels.backward(kernels.backward_params(params, not tokens), *others)

    return work


def inputs(sizes: Sizes, dtype: str, symbols: int, tokens: bool) -> Any:
    """Random tokens ``(T, B)``, or dense inputs ``(T, B, I)``."""
    steps, batch, _ = sizes
    rng = np.random.default_rng(0)
    if tokens:
        return rng.integers(0, symbols, (steps, batch)).astype(np.int32)
    return rng.normal(size=(steps, batch, symbols)).astype(dtype)
