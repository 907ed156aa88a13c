"""What ``step`` computes with, as nodes of the graph: numbers, small arrays, axes and shapes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from zoo.compiler.blame import TraceError
from zoo.compiler.dims import as_dim, product
from zoo.compiler.extents import Extent, as_length, kind_of
from zoo.compiler.graph import Graph, Node, Shape, ShapeError, text
from zoo.compiler.tracing import Symbol, Traced
from zoo.contracts.declarations import Array, Option

# A longer list of numbers in the source would be data: that is what a buffer is for.
MOST_NUMBERS = 64


def graph_of(operands: Iterable[Any]) -> Graph:
    """The graph that symbolic operands belong to; one of them at least is symbolic."""
    return next(each.graph for each in operands if isinstance(each, Symbol | Extent))


def guarded(make: Callable[..., Node], *args: Any) -> Traced:
    """A node made of others.

    Raises:
        TraceError: in place of a ShapeError.
    """
    try:
        return Traced(make(*args))
    except ShapeError as error:
        raise TraceError(str(error)) from None


def trace(name: str, *operands: Any) -> Traced:
    """An element-wise operation of the table on operands of which one at least is symbolic."""
    graph = graph_of(operands)
    return guarded(graph.apply, name, *(as_node(operand, graph) for operand in operands))


def nodes_of(operands: Sequence[Any]) -> list[Node]:
    """Operands of which one at least is symbolic."""
    graph = graph_of(operands)
    return [as_node(each, graph) for each in operands]


def as_node(value: Any, graph: Graph) -> Node:
    """An operand as a node: symbolic, a number, or a small array of numbers.

    Raises:
        TraceError: if it is none of these.
    """
    if isinstance(value, Extent):
        value = value.number()
    if isinstance(value, Traced):
        if value.graph is not graph:
            raise TraceError(
                "an array of an earlier reading of the equations is used; keep no arrays outside of `step`"
            )
        return value.node
    array = _numbers(value)
    if array.ndim == 0:
        return graph.constant(float(array))
    shape = tuple(as_dim(length) for length in array.shape)
    if (array == array.flat[0]).all():
        return graph.constant(float(array.flat[0]), shape)
    return graph.node("array", attr=tuple(array.astype(float).ravel().tolist()), shape=shape)


def _numbers(value: Any) -> np.ndarray[Any, Any]:
    """Numbers that stand in the equations."""
    if isinstance(value, Array | Option):
        raise TraceError(
            f"the declaration of {value.name!r} is used in place of its value; a state or input is the "
            f"argument of this name, and anything else is self.{value.name}"
        )
    array = np.asarray(value)
    if array.dtype.kind == "c":
        raise TraceError("complex numbers are used where real ones are expected; take their .real or .imag")
    if array.dtype.kind not in "bfiu":
        raise TraceError(f"found {kind_of(value)} where an array or a number is expected")
    if not 0 < array.size <= MOST_NUMBERS:
        raise TraceError(
            f"an array of {array.size} numbers stands in the equations, where up to {MOST_NUMBERS} may; "
            "declare it as a zoo.Buffer"
        )
    return array


def normal_axis(axis: Any, ndim: int) -> int:
    """An axis counted from the front.

    Raises:
        TraceError: if there is no such axis.
    """
    if not isinstance(axis, int | np.integer):
        raise TraceError(f"the axis is {kind_of(axis)}; expected an integer")
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise TraceError(
            f"found axis {number} of an array with {ndim} ax{'i' if ndim == 1 else 'e'}s; a step sees one "
            "row, without the axes of time and batch"
        )
    return number % ndim


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front; all of them for None.

    Raises:
        TraceError: if there is no such axis.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(sorted({normal_axis(each, ndim) for each in axes}))


def resolve_shape(node: Node, shape: Sequence[Any]) -> Shape:
    """The shape that reshape was asked for, with its ``-1`` filled in.

    Raises:
        ShapeError: if the numbers do not come out even.
    """
    unknown = [place for place, each in enumerate(shape) if isinstance(each, int | np.integer) and each == -1]
    dims = [as_dim(1) if place in unknown else as_length(each) for place, each in enumerate(shape)]
    if len(unknown) > 1:
        raise ShapeError(
            f"{text(node.shape)} cannot be reshaped to {tuple(shape)!r}: only one length can be -1"
        )
    if unknown:
        rest = product(node.shape).divide(product(dims))
        if rest is None:
            raise ShapeError(f"{text(node.shape)} cannot be reshaped to {tuple(shape)!r} for every I and H")
        dims[unknown[0]] = rest
    return tuple(dims)
