"""Walks: a cell's step at a batch of one, in arrays that are made once, for sampling one stream."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoo.compiler.passes import passes
from zoo.contracts import Cell
from zoo.errors import DefinitionError


@dataclass(frozen=True)
class Walk:
    """How one layer goes through a sequence of one row, step by step.

    Args:
        prepare: ``(params, x, state[, inputs]) -> (y, kept)``: all arrays, and all that stays as it is.
            ``x (1, 1)`` or ``(1, 1, I)`` is where the token or the input of every step will lie,
            ``y (1, 1, ·)`` where its output will.
        advance: ``(kept)``: one step, from x to y; the states are part of what is kept.
        compiled: Whether both can be called by a kernel.
    """

    prepare: Callable[..., Any]
    advance: Callable[..., Any]
    compiled: bool = True


@functools.lru_cache(maxsize=256)
def walk(cell: Cell) -> Walk:
    """The walk of a cell: from its ``step``, or else one call of its forward pass a step.

    Raises:
        DefinitionError: if there is nothing but a ``step``, and it cannot be compiled.
    """
    if cell.is_derived():
        return _derived(cell)
    if cell.has_step():
        try:
            return _derived(cell)
        except DefinitionError:
            pass  # beside kernels of its own, a step need only run: it is there to compare them with
    return _written(cell)


def _derived(cell: Cell) -> Walk:
    from zoo.compiler.derive import load

    module = load(cell)
    return Walk(module.prepare, module.advance)


def _written(cell: Cell) -> Walk:
    """A call of the forward pass for every step, from Python: to compile it within a loop takes long."""
    run = passes(cell)

    def prepare(params: Any, x: Any, state: Any, *inputs: Any) -> Any:
        y, *_ = run.forward(params, x, state, *inputs, *run.options)
        return y, (params, x, tuple(each.copy() for each in state), inputs, y)

    def advance(kept: Any) -> None:
        params, x, before, inputs, y = kept
        y[:], after, _ = run.forward(params, x, before, *inputs, *run.options)
        for old, new in zip(before, after, strict=True):
            old[:] = new

    return Walk(prepare, advance, compiled=False)
