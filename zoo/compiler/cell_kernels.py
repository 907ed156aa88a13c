"""Walks: a cell's step at a batch of one, in arrays that are made once, for sampling one stream.

The two passes of a cell over a whole sequence, whether the cell brings them or zoo derives them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoo.base import Cell
from zoo.errors import DefinitionError


@dataclass(frozen=True)
class DecodeStep:
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
def decode_step(cell: Cell) -> DecodeStep:
    """The walk of a cell: from its ``step``, or else one call of its forward pass a step.

    Raises:
        DefinitionError: if there is nothing but a ``step``, and it cannot be compiled.
    """
    if cell.is_derived():
        return _derived_decoder(cell)
    if cell.has_step():
        try:
            return _derived_decoder(cell)
        except DefinitionError:
            pass  # beside kernels of its own, a step need only run: it is there to compare them with
    return _handwritten_decoder(cell)


def _derived_decoder(cell: Cell) -> DecodeStep:
    from zoo.compiler.compile import load_module

    module = load_module(cell)
    return DecodeStep(module.prepare, module.advance)


def _handwritten_decoder(cell: Cell) -> DecodeStep:
    """A call of the forward pass for every step, from Python: to compile it within a loop takes long."""
    run = kernels_of(cell)

    def prepare(params: Any, x: Any, state: Any, *inputs: Any) -> Any:
        y, *_ = run.forward(params, x, state, *inputs, *run.options)
        return y, (params, x, tuple(each.copy() for each in state), inputs, y)

    def advance(kept: Any) -> None:
        params, x, before, inputs, y = kept
        y[:], after, _ = run.forward(params, x, before, *inputs, *run.options)
        for old, new in zip(before, after, strict=True):
            old[:] = new

    return DecodeStep(prepare, advance, compiled=False)


@dataclass(frozen=True)
class CellKernels:
    """Forward pass and back-propagation through time of one cell, as :class:`zoo.Cell` describes them.

    Args:
        forward: ``(params, x, state, [inputs,] *options) -> (y, last, tape)``.
        backward: ``(params, x, state, [inputs,] tape, dy, dlast, *options) -> (dx, dstate, dparams)``.
        options: What the caller appends: derived kernels have the options' values in their code.
        output_size: ``(input_size, hidden_size)`` to the features of the output.
        surrogate: Whether the backward pass is on purpose not the derivative of the forward pass.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    options: tuple[Any, ...]
    output_size: Callable[[int, int], int]
    surrogate: bool = False


def kernels_of(cell: Cell) -> CellKernels:
    """The passes of a cell: its own kernels, or those derived from its ``step``.

    Raises:
        DefinitionError: if ``step`` is nothing that kernels can be derived from.
    """
    return _derived_kernels(cell) if cell.is_derived() else _handwritten_kernels(cell)


def _handwritten_kernels(cell: Cell) -> CellKernels:
    """The kernels that a cell brings; its first state is the output."""

    def output_size(input_size: int, hidden_size: int) -> int:
        (size,) = next(iter(cell.state_shapes(input_size, hidden_size).values()))
        return size

    forward, backward = cell.kernel("forward"), cell.kernel("backward")
    return CellKernels(forward, backward, tuple(cell.options.values()), output_size)


@functools.lru_cache(maxsize=256)
def _derived_kernels(cell: Cell) -> CellKernels:
    from zoo.compiler.compile import compile_step

    return compile_step(cell)
