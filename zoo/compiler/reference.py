"""The reference implementation of the forward pass: ``step`` itself on NumPy arrays, one sequence at a time.

It runs the code of the cell, and therefore also finds faults of tracing. :mod:`zoo.testing.numpy_reference`
runs the traced graph and its gradient instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base import Cell, Output


def run_step(
    cell: Cell, arrays: Mapping[str, Array], x: Array, state: Mapping[str, Array], inputs: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """Run one step of one sequence; return the output and the new states by name.

    Args:
        cell: A cell with a ``step``.
        arrays: Parameters and buffers by name, as they are stored.
        x: ``(I,)``.
        state: States by name, as they are stored.
        inputs: Auxiliary inputs by name.
    """
    declared = {**cell.params, **cell.buffers, **cell.states}
    bound = cell.with_arrays(
        {name: _to_user_view(value, declared[name].complex) for name, value in arrays.items()}
    )
    before = [_to_user_view(state[name], declared[name].complex) for name in cell.states]
    result = bound.step(_to_user_view(x), *before, *(_to_user_view(inputs[name]) for name in cell.inputs))
    after = (
        result.states if isinstance(result, Output) else result if isinstance(result, tuple) else (result,)
    )
    y = result.y if isinstance(result, Output) else after[0]
    new = {
        name: _to_storage(value, declared[name].complex)
        for name, value in zip(cell.states, after, strict=True)
    }
    return np.asarray(y), new


def run_sequence(
    cell: Cell,
    arrays: Mapping[str, Array],
    x: Array,
    state: Mapping[str, Array],
    inputs: Mapping[str, Array] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Run a batch, sequence by sequence and step by step.

    Args:
        cell: A cell with a ``step``.
        arrays: Parameters and buffers by name.
        x: Floats ``(T, B, I)``; tokens as one-hot rows.
        state: States before the first step, ``(B, ...)``.
        inputs: Auxiliary inputs, ``(T, B, ...)``.

    Returns:
        Outputs ``(T, B, ·)`` and the states after the last step.
    """
    steps, batch = x.shape[:2]
    rows: list[list[Array]] = []
    last = []
    for row in range(batch):
        now = {name: value[row] for name, value in state.items()}
        rows.append([])
        for t in range(steps):
            extra = {name: value[t, row] for name, value in (inputs or {}).items()}
            y, now = run_step(cell, arrays, x[t, row], now, extra)
            rows[-1].append(y)
        last.append(now)
    y = np.array(rows).swapaxes(0, 1)
    return y, {name: np.stack([now[name] for now in last]) for name in state}


def _to_user_view(value: Array, is_complex: bool = False) -> Array:
    """An array for ``step``: read-only, with two planes of real numbers as complex numbers."""
    view = value[0] + 1j * value[1] if is_complex else np.asarray(value)[...]
    view.flags.writeable = False
    return view


def _to_storage(value: Any, is_complex: bool) -> Array:
    value = np.asarray(value)
    return np.stack([value.real, value.imag]) if is_complex else value
