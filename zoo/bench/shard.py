"""The kernels of a cell at work on what one thread gets: a few rows of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.bench.clock import Work, least
from zoo.compiler import passes
from zoo.contracts import Cell
from zoo.layers import Recurrent

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
    given, both = (params, x, state, *([beside] if beside else [])), passes(cell)

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
