"""What the forward pass of a cell keeps for the way back: what long sequences need memory for."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.compiler import kernels_of
from zoo.kernels.jit import pure_python


def tape_elements_per_token(cell: Cell, input_size: int, hidden_size: int) -> int:
    """Numbers kept of every token, which is one step of one row of the batch.

    Args:
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.

    Raises:
        UsageError: if the cell does not come in these sizes.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    cell.param_shapes(input_size, hidden_size)
    if not cell.is_derived():
        return _measure_tape(cell, input_size, hidden_size, 2) - _measure_tape(
            cell, input_size, hidden_size, 1
        )
    from zoo.compiler.explain import explain

    return int(explain(cell).numbers_kept.evaluate({"I": input_size, "H": hidden_size}))


def _measure_tape(cell: Cell, input_size: int, hidden_size: int, steps: int) -> int:
    """The numbers in the tape of a sequence: kernels that a cell brings are run, as plain Python."""
    sizes, run = (input_size, hidden_size), kernels_of(cell)
    params = _dummy_arrays({**cell.param_shapes(*sizes), **cell.buffer_shapes(*sizes)})
    state = _dummy_arrays(cell.state_shapes(*sizes), (1,))
    beside = (_dummy_arrays(cell.input_shapes(*sizes), (steps, 1)),) if cell.inputs else ()
    tokens = np.zeros((steps, 1), np.int32)
    with pure_python():
        *_, tape = run.forward(params, tokens, state, *beside, *run.options)
    return sum({id(array): np.size(array) for array in tape}.values())


def _dummy_arrays(shapes: dict[str, tuple[int, ...]], front: tuple[int, ...] = ()) -> tuple[Any, ...]:
    """Arrays of any numbers; front are the axes of time and batch."""
    return tuple(np.full((*front, *shape), 0.5, np.float32) for shape in shapes.values())
