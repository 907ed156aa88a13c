"""What every operation of the graph means in NumPy, for arrays with any axes in front of a row's.

A value of one row has the shape that its node says. The same value for many rows, or for every step and row,
has those axes in front; what depends on parameters alone has none. Axes are therefore counted from the back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from zoo import kernels
from zoo.compiler.graph import Node, Shape

Array = np.ndarray[Any, Any]
Meaning: TypeAlias = Callable[..., Any]
Sizes: TypeAlias = Mapping[str, int]


def meaning(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:
    """The function from the values of a node's inputs to its own.

    Args:
        node: No leaf that the caller brings: a parameter, a state, an input, a gradient.
        sizes: What ``I`` and ``H`` are.
        dtype: Of numbers that stand in the equations.
    """
    operation = node.graph.operations.get(node.op)
    if operation is not None:
        return operation.meaning
    return _STRUCTURE[node.op](node, sizes, dtype)


def lengths(shape: Shape, sizes: Sizes) -> tuple[int, ...]:
    """A shape in numbers."""
    return tuple(int(dim.evaluate(sizes)) for dim in shape)


def _front(value: Any, inner: int) -> tuple[int, ...]:
    """The axes that a value has in front of so many of its own."""
    shape = np.shape(value)
    return tuple(shape[: len(shape) - inner])


def _constant(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    number = dtype.type(node.attr)
    return lambda: number


def _array(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:
    numbers = np.array(node.attr, dtype).reshape(lengths(node.shape, sizes))
    return lambda: numbers


def _size(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:
    number = dtype.type(lengths((node.attr,), sizes)[0])
    return lambda: number


def _eye(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:
    matrix = np.eye(lengths(node.shape, sizes)[0], dtype=dtype)
    return lambda: matrix


def _broadcast(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    inner, shape = node.inputs[0].ndim, lengths(node.shape, sizes)
    ones = (1,) * (node.ndim - inner)

    def spread(value: Any) -> Any:
        front, value = _front(value, inner), np.asarray(value)
        own = value.shape[len(front) :]
        return np.broadcast_to(value.reshape(*front, *ones, *own), (*front, *shape))

    return spread


def _reshape(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    inner, shape = node.inputs[0].ndim, lengths(node.shape, sizes)
    return lambda value: np.reshape(value, (*_front(value, inner), *shape))


def _slice(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    axis, *bounds = node.attr
    key = (..., slice(*lengths(tuple(bounds), sizes)), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _stride(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    axis, *rest = node.attr
    start, step, length = lengths(tuple(rest), sizes)
    stop = start + step * length
    # A negative end would count from the back, where the front is meant.
    key = (..., slice(start, None if stop < 0 else stop, step), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _transpose(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    own = [axis - node.ndim for axis in node.attr]
    return lambda value: np.transpose(value, (*range(value.ndim - node.ndim), *own))


def _concat(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    axis, inner = node.attr - node.ndim, node.ndim

    def joined(*values: Any) -> Any:
        fronts = [_front(value, inner) for value in values]
        if len(set(fronts)) > 1:
            front = np.broadcast_shapes(*fronts)
            values = tuple(np.broadcast_to(each, (*front, *np.shape(each)[-inner:])) for each in values)
        return np.concatenate(values, axis)

    return joined


def _reduction(function: Callable[..., Any]) -> Callable[[Node, Sizes, np.dtype[Any]], Meaning]:
    def made(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
        axes = tuple(axis - node.inputs[0].ndim for axis in node.attr)
        return lambda value: function(value, axes)

    return made


def _running_sum(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    (axis, reverse), inner = node.attr, node.ndim
    if reverse:
        return lambda value: np.flip(np.cumsum(np.flip(value, axis - inner), axis - inner), axis - inner)
    return lambda value: np.cumsum(value, axis - inner)


def _recurrence(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    (axis, reverse), inner = node.attr, node.ndim

    def run(a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(a, b)
        a, y = np.moveaxis(a, axis - inner, 0), np.moveaxis(b, axis - inner, 0).copy()
        order = range(len(y) - 1, -1, -1) if reverse else range(len(y))
        for before, place in itertools.pairwise(order):
            y[place] += a[place] * y[before]
        return np.moveaxis(y, 0, axis - inner)

    return run


def _dot(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    def product(a: Any, w: Any) -> Any:
        if a.dtype.kind == "i":  # tokens stand for one-hot rows
            return w[a]
        return (a.reshape(-1, a.shape[-1]) @ w).reshape(*a.shape[:-1], w.shape[-1])

    return product


def _dot_heads(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:  # noqa: ARG001
    def product(a: Any, w: Any) -> Any:
        heads_first = a.reshape(-1, *a.shape[-2:]).swapaxes(0, 1) @ w
        return heads_first.swapaxes(0, 1).reshape(*a.shape[:-1], w.shape[-1])

    return product


def _matrix_function(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> Meaning:
    shape = lengths(node.shape, sizes)

    def made(*operands: Any) -> Any:
        out = np.empty(shape, dtype)
        with kernels.interpreted():
            getattr(kernels, node.op)(*operands, out)
        return out

    return made


_STRUCTURE: dict[str, Callable[[Node, Sizes, np.dtype[Any]], Meaning]] = {
    "array": _array,
    "broadcast": _broadcast,
    "concat": _concat,
    "constant": _constant,
    "cumsum": _running_sum,
    "dot": _dot,
    "dot_heads": _dot_heads,
    "expm": _matrix_function,
    "expm_derivative": _matrix_function,
    "eye": _eye,
    "max": _reduction(np.max),
    "recurrence": _recurrence,
    "reshape": _reshape,
    "size": _size,
    "slice": _slice,
    "solve": _matrix_function,
    "stride": _stride,
    "sum": _reduction(np.sum),
    "transpose": _transpose,
}
