"""Size of the tape: the memory that long sequences need."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.compiler import kernels_of
from zoo.kernels.jit import pure_python


def tape_elements_per_token(cell: Cell, input_size: int, hidden_size: int) -> int:
    """Elements saved for the backward pass per token, which is one time step of one row of the batch.

    Args:
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.

    Raises:
        UsageError: if the sizes do not suit the cell.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    cell.param_shapes(input_size, hidden_size)
    if not cell.is_derived():
        return _measure_tape(cell, input_size, hidden_size, 2) - _measure_tape(
            cell, input_size, hidden_size, 1
        )
    from zoo.compiler.explain import explain

    return int(explain(cell).saved_elements.evaluate({"I": input_size, "H": hidden_size}))


def _measure_tape(cell: Cell, input_size: int, hidden_size: int, steps: int) -> int:
    """Elements in the tape of a sequence. Kernels of the cell itself are run as plain Python."""
    sizes, run = (input_size, hidden_size), kernels_of(cell)
    params = _dummy_arrays({**cell.param_shapes(*sizes), **cell.buffer_shapes(*sizes)})
    state = _dummy_arrays(cell.state_shapes(*sizes), (1,))
    aux = (_dummy_arrays(cell.input_shapes(*sizes), (steps, 1)),) if cell.inputs else ()
    tokens = np.zeros((steps, 1), np.int32)
    with pure_python():
        *_, tape = run.forward(params, tokens, state, *aux, *run.options)
    return sum({id(array): np.size(array) for array in tape}.values())


def _dummy_arrays(shapes: dict[str, tuple[int, ...]], front: tuple[int, ...] = ()) -> tuple[Any, ...]:
    return tuple(np.full((*front, *shape), 0.5, np.float32) for shape in shapes.values())
