"""The two passes of a cell over a whole sequence, whether the cell brings them or zoo derives them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoo.contracts import Cell


@dataclass(frozen=True)
class Passes:
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


def passes(cell: Cell) -> Passes:
    """The passes of a cell: its own kernels, or those derived from its ``step``.

    Raises:
        DefinitionError: if ``step`` is nothing that kernels can be derived from.
    """
    return _derived(cell) if cell.is_derived() else _written(cell)


def _written(cell: Cell) -> Passes:
    """The kernels that a cell brings; its first state is the output."""

    def output_size(input_size: int, hidden_size: int) -> int:
        (size,) = next(iter(cell.state_shapes(input_size, hidden_size).values()))
        return size

    forward, backward = cell.kernel("forward"), cell.kernel("backward")
    return Passes(forward, backward, tuple(cell.options.values()), output_size)


@functools.lru_cache(maxsize=256)
def _derived(cell: Cell) -> Passes:
    from zoo.compiler.derive import derive

    return derive(cell)
