# ruff: noqa: ARG005 - every meaning takes what meanings take
"""The equations of a step worked out on NumPy arrays, node by node: what they mean, whatever is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from zoo.compiler.graph import Node, Shape, ancestors
from zoo.compiler.reading import Equations
from zoo.errors import UsageError

Array = np.ndarray[Any, Any]
Values = Mapping[str, Array]
Sizes = Mapping[str, int]


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
    arrays = {"param": params, "buffer": params, "state": states, "input": inputs, "x": {"x": x}}
    sizes = {"I": len(x), "H": _hidden_size(equations, x, {**params, **states})}
    found = values(ancestors(equations.outputs), arrays, sizes, x.dtype)
    return found[equations.y], {name: found[node] for name, node in equations.after.items()}


def values(
    nodes: Iterable[Node], arrays: Mapping[str, Values], sizes: Sizes, dtype: np.dtype[Any]
) -> dict[Node, Any]:
    """The values of some nodes.

    Args:
        nodes: What is worked out, inputs first.
        arrays: What leaves are, by operation and name.
        sizes: What size letters are; none where all shapes are numbers.
        dtype: Of what is made of numbers.
    """
    found: dict[Node, Any] = {}
    for node in nodes:
        if node.op in arrays:
            found[node] = arrays[node.op][node.attr]
        else:
            found[node] = _value(node, [found[each] for each in node.inputs], sizes, dtype)
    return found


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


def _value(node: Node, operands: list[Any], sizes: Sizes, dtype: np.dtype[Any]) -> Any:
    if node.op in node.graph.operations:
        return node.graph.operations[node.op].meaning(*operands)
    return _MEANINGS[node.op](node, operands, lambda dims: _lengths(dims, sizes), dtype)


def _lengths(dims: Shape, sizes: Sizes) -> tuple[int, ...]:
    return tuple(int(dim.evaluate(sizes)) for dim in dims)


def _slice(node: Node, operands: list[Any], lengths: Callable[[Shape], tuple[int, ...]], _: Any) -> Any:
    axis, *bounds = node.attr
    return operands[0][(slice(None),) * axis + (slice(*lengths(tuple(bounds))),)]


def _running_sum(node: Node, operands: list[Any], *_: Any) -> Any:
    axis, reverse = node.attr
    if reverse:
        return np.flip(np.cumsum(np.flip(operands[0], axis), axis), axis)
    return np.cumsum(operands[0], axis)


_MEANINGS: dict[str, Callable[..., Any]] = {
    "constant": lambda node, _, lengths, dtype: dtype.type(node.attr),
    "array": lambda node, _, lengths, dtype: np.array(node.attr, dtype).reshape(lengths(node.shape)),
    "size": lambda node, _, lengths, dtype: dtype.type(lengths((node.attr,))[0]),
    "eye": lambda node, _, lengths, dtype: np.eye(lengths(node.shape)[0], dtype=dtype),
    "broadcast": lambda node, operands, lengths, _: np.broadcast_to(operands[0], lengths(node.shape)),
    "reshape": lambda node, operands, lengths, _: np.reshape(operands[0], lengths(node.shape)),
    "slice": _slice,
    "transpose": lambda node, operands, *_: np.transpose(operands[0], node.attr),
    "concat": lambda node, operands, *_: np.concatenate(operands, node.attr),
    "sum": lambda node, operands, *_: np.sum(operands[0], node.attr),
    "max": lambda node, operands, *_: np.max(operands[0], node.attr),
    "cumsum": _running_sum,
    "dot": lambda node, operands, *_: operands[0] @ operands[1],
    "dot_heads": lambda node, operands, *_: (operands[0][:, None] @ operands[1])[:, 0],
}
