"""The equations of a step worked out on the NumPy arrays of one row: what they mean, whatever is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.compiler.numbers import Numbers
from zoo.compiler.reading import Equations
from zoo.errors import UsageError

Array = np.ndarray[Any, Any]
Values = Mapping[str, Array]


def evaluate(
    equations: Equations, x: Array, params: Values, states: Values, inputs: Values
) -> tuple[Array, dict[str, Array]]:
    """One step of one row: the output, and the new states as they are stored.

    Args:
        equations: What is worked out.
        x: ``(I,)``.
        params: Parameters and buffers as they are stored.
        states: States as they are stored.
        inputs: Inputs beside x.

    Raises:
        UsageError: if the arrays fit no hidden size.
    """
    sizes = {"I": len(x), "H": _hidden_size(equations, x, {**params, **states})}
    leaves = {**equations.params, **equations.buffers}
    given = {equations.states[name]: value for name, value in states.items()}
    given |= {equations.inputs[name]: value for name, value in inputs.items()} | {equations.x: x}
    numbers = Numbers({leaves[name]: value for name, value in params.items()}, sizes, x.dtype)
    y, *after = numbers.work(equations.outputs, given)(given)
    return y, dict(zip(equations.after, after, strict=True))


def _hidden_size(equations: Equations, x: Array, arrays: Values) -> int:
    """``H``, which no array says by itself: the first size at which all shapes come out."""
    leaves = {**equations.params, **equations.buffers, **equations.states}
    pairs = [(leaves[name].shape, np.shape(array)) for name, array in arrays.items()]
    for hidden in range(1, 1 + max([x.size, *(np.size(array) for array in arrays.values())])):
        sizes = {"I": len(x), "H": hidden}
        if all(tuple(dim.evaluate(sizes) for dim in dims) == shape for dims, shape in pairs):
            return hidden
    raise UsageError(
        f"{equations.cell.label()}: the arrays have shapes {[shape for _, shape in pairs]}, which are those "
        f"of no hidden size; expected those of param_shapes and state_shapes."
    )
