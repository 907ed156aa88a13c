# ruff: noqa: ARG001, ARG005 - all rules of one kind have the same arguments
"""The rows of the table that are not element-wise: leaves, views, joins, reductions, scans and products.

An operation is defined in one place: its constructor, which simplifies and checks shapes, its rules, and
its row. Values of all rows of a batch have more axes in front of those of one row, so NumPy rules count
axes from the back.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from zoo.compiler.ir.dims import ONE, ZERO, Dim, Sizes, as_dim, concrete_shape, product
from zoo.compiler.ir.graph import (
    Level,
    Node,
    Shape,
    ShapeError,
    View,
    broadcast_shape,
    format_shape,
    reshape_strides,
)
from zoo.compiler.ir.op_table import Kind, Op, define

NumpyFunction: TypeAlias = Callable[..., Any]
Inputs: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True)
class SliceGradient:
    """The gradient of the entries from ``start`` to ``stop`` along an axis."""

    axis: int
    start: Dim
    stop: Dim
    gradient: Node


def _leading_axes(value: Any, inner: int) -> tuple[int, ...]:
    """The lengths of the axes in front of the last ``inner``."""
    shape = np.shape(value)
    return tuple(shape[: len(shape) - inner])


def _same_shape(inputs: Inputs, attr: Any) -> Shape:
    return inputs[0].shape


Tangents: TypeAlias = tuple["Node | None", ...]


def _linear_jvp(tangents: Tangents, node: Node, *inputs: Node) -> Node:
    """The operation itself, applied to the tangents."""
    graph = node.graph
    operands = tuple(
        graph.constant(0.0, each.shape) if tangent is None else tangent
        for each, tangent in zip(inputs, tangents, strict=True)
    )
    return graph.build(node.op, operands, node.attr, node.shape)


def _sum_of(terms: Sequence[Node | None]) -> Node:
    """The sum of the terms that are not None, of which there is at least one."""
    return functools.reduce(lambda total, each: total + each, [each for each in terms if each is not None])


# Leaves. The caller of the interpreter brings the values of those without a NumPy rule.


def _constant_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    number = dtype.type(node.attr)
    return lambda: number


def _array_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    array = np.array(node.attr, dtype).reshape(concrete_shape(node.shape, sizes))
    return lambda: array


def _size_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    number = dtype.type(concrete_shape((node.attr,), sizes)[0])
    return lambda: number


def _eye_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    matrix = np.eye(concrete_shape(node.shape, sizes)[0], dtype=dtype)
    return lambda: matrix


X = define("x", Kind.LEAF)
PARAM = define("param", Kind.LEAF)
BUFFER = define("buffer", Kind.LEAF)
STATE = define("state", Kind.LEAF)
# A state whose values before all steps are known before the loop over time.
DELAY = define("delay", Kind.LEAF)
INPUT = define("input", Kind.LEAF)
# A parameter that a modifier removed: it has a shape and no values.
PLACEHOLDER = define("placeholder", Kind.LEAF)
# An argument of a function while `zoo.grad` differentiates it.
VARIABLE = define("variable", Kind.LEAF)
DY = define("dy", Kind.LEAF)
DSTATE_OUT = define("dstate_out", Kind.LEAF)
CONSTANT = define("constant", Kind.LEAF, numpy_for=_constant_numpy)
ARRAY = define("array", Kind.LEAF, numpy_for=_array_numpy)
SIZE = define("size", Kind.LEAF, numpy_for=_size_numpy)
EYE = define("eye", Kind.LEAF, numpy_for=_eye_numpy)


# Slices.


def slice_axis(node: Node, axis: int, start: Dim, stop: Dim) -> Node:
    """Return the entries from ``start`` to ``stop`` along an axis."""
    whole = node.shape[axis]
    if start == ZERO and stop == whole:
        return node
    if node.op == SLICE and node.attr[0] == axis:
        offset = node.attr[1]
        return slice_axis(node.inputs[0], axis, offset + start, offset + stop)
    if node.op == STRIDE and node.attr[0] == axis:
        return strided_slice(node, axis, start, ONE, stop - start)
    if node.op == CONCAT and node.attr == axis:
        operand = _concat_operand(node, axis, start, stop)
        if operand is not None:
            return operand
    shape = (*node.shape[:axis], stop - start, *node.shape[axis + 1 :])
    if node.op == BROADCAST and (node.inputs[0].value is not None or _is_repeated(node, axis)):
        return node.graph.broadcast(node.inputs[0], shape)
    return node.graph.node(SLICE, (node,), (axis, start, stop), is_bool=node.is_bool)


def _concat_operand(node: Node, axis: int, start: Dim, stop: Dim) -> Node | None:
    """The operand of a concatenation from ``start`` to ``stop``, if there is one."""
    position = ZERO
    for operand in node.inputs:
        end = position + operand.shape[axis]
        if (position, end) == (start, stop):
            return operand
        position = end
    return None


def _is_repeated(node: Node, axis: int) -> bool:
    """Whether a broadcast repeats its input along an axis."""
    inner = node.inputs[0].shape
    own = axis - (node.ndim - len(inner))
    return own < 0 or inner[own] != node.shape[axis]


def _slice_shape(inputs: Inputs, attr: tuple[int, Dim, Dim]) -> Shape:
    (axis, start, stop), shape = attr, inputs[0].shape
    return (*shape[:axis], stop - start, *shape[axis + 1 :])


def _slice_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    axis, *bounds = node.attr
    key = (..., slice(*concrete_shape(tuple(bounds), sizes)), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _slice_view(node: Node, view: View) -> View:
    axis, start, _ = node.attr
    return replace(view, offset=view.offset + start * view.strides[axis], shape=node.shape)


def _slice_vjp(g: Node, node: Node, a: Node) -> tuple[SliceGradient]:
    axis, start, stop = node.attr
    return (SliceGradient(axis, start, stop, g),)


SLICE = define(
    "slice",
    Kind.VIEW,
    shape=_slice_shape,
    numpy_for=_slice_numpy,
    vjp=_slice_vjp,
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: slice_axis(inputs[0], *attr),
    view=_slice_view,
)


def strided_slice(node: Node, axis: int, start: Dim, step: Dim, length: Dim) -> Node:
    """Return ``length`` entries along an axis from ``start``, ``step`` apart; it may be negative."""
    if node.op == STRIDE and node.attr[0] == axis:
        _, first, each, _ = node.attr
        return strided_slice(node.inputs[0], axis, first + start * each, step * each, length)
    if node.op == SLICE and node.attr[0] == axis:
        return strided_slice(node.inputs[0], axis, node.attr[1] + start, step, length)
    if ONE in (step, length):
        return slice_axis(node, axis, start, start + length)
    shape = (*node.shape[:axis], length, *node.shape[axis + 1 :])
    if node.op == BROADCAST and (node.inputs[0].value is not None or _is_repeated(node, axis)):
        return node.graph.broadcast(node.inputs[0], shape)
    return node.graph.node(STRIDE, (node,), (axis, start, step, length), is_bool=node.is_bool)


def flip(node: Node, axis: int) -> Node:
    """Return the entries along an axis in reverse order."""
    length = node.shape[axis]
    return strided_slice(node, axis, length - ONE, as_dim(-1), length)


def _stride_shape(inputs: Inputs, attr: tuple[int, Dim, Dim, Dim]) -> Shape:
    (axis, _, _, length), shape = attr, inputs[0].shape
    return (*shape[:axis], length, *shape[axis + 1 :])


def _stride_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    axis, *rest = node.attr
    start, step, length = concrete_shape(tuple(rest), sizes)
    stop = start + step * length
    # NumPy counts a negative stop from the back; None stands for the front.
    key = (..., slice(start, None if stop < 0 else stop, step), *[slice(None)] * (node.ndim - 1 - axis))
    return lambda value: value[key]


def _stride_view(node: Node, view: View) -> View:
    axis, start, step, _ = node.attr
    own = view.strides[axis]
    strides = (*view.strides[:axis], own * step, *view.strides[axis + 1 :])
    return replace(view, offset=view.offset + start * own, strides=strides, shape=node.shape)


def _stride_vjp(g: Node, node: Node, a: Node) -> tuple[SliceGradient]:
    axis, start, step, length = node.attr
    if step.signs() == {-1}:
        g, start, step = flip(g, axis), start + step * (length - ONE), ZERO - step
    gradient = _with_zeros_between(g, axis, step)
    return (SliceGradient(axis, start, start + gradient.shape[axis], gradient),)


def _with_zeros_between(g: Node, axis: int, step: Dim) -> Node:
    """Put ``step - 1`` zeros between the entries along an axis."""
    if step == ONE:
        return g
    before, length, after = g.shape[:axis], g.shape[axis], g.shape[axis + 1 :]
    zeros = g.graph.constant(0.0, (*before, length, step - ONE, *after))
    rows = concatenate([reshape(g, with_ones(g.shape, (axis + 1,))), zeros], axis + 1)
    return slice_axis(
        reshape(rows, (*before, length * step, *after)), axis, ZERO, (length - ONE) * step + ONE
    )


STRIDE = define(
    "stride",
    Kind.VIEW,
    shape=_stride_shape,
    numpy_for=_stride_numpy,
    vjp=_stride_vjp,
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: strided_slice(inputs[0], *attr),
    view=_stride_view,
)


# Other views.


def reshape(node: Node, shape: Shape) -> Node:
    """Return the same elements in another shape.

    Raises:
        ShapeError: if it holds another number of elements.
    """
    if node.op == RESHAPE:
        node = node.inputs[0]
    if node.shape == shape:
        return node
    if product(node.shape) != product(shape):
        raise ShapeError(f"{format_shape(node.shape)} cannot be reshaped to {format_shape(shape)}")
    if node.value is not None:
        return node.graph.constant(node.value, shape)
    return node.graph.node(RESHAPE, (node,), None, shape, is_bool=node.is_bool)


def with_ones(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Insert axes of length one; ``axes`` are their indices in the result."""
    rest = iter(shape)
    return tuple(ONE if axis in axes else next(rest) for axis in range(len(shape) + len(axes)))


def _reshape_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    inner, shape = node.inputs[0].ndim, concrete_shape(node.shape, sizes)
    return lambda value: np.reshape(value, (*_leading_axes(value, inner), *shape))


def _reshape_view(node: Node, view: View) -> View | None:
    strides = reshape_strides(view.shape, view.strides, node.shape)
    return None if strides is None else replace(view, strides=strides, shape=node.shape)


RESHAPE = define(
    "reshape",
    Kind.VIEW,
    numpy_for=_reshape_numpy,
    vjp=lambda g, node, a: (reshape(g, a.shape),),
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: reshape(inputs[0], shape),
    view=_reshape_view,
)


def transpose(node: Node, axes: tuple[int, ...]) -> Node:
    """Return an array with its axes in another order."""
    if node.op == TRANSPOSE:
        axes = tuple(node.attr[axis] for axis in axes)
        node = node.inputs[0]
    if axes == tuple(range(node.ndim)):
        return node
    if node.value is not None:
        return node.graph.constant(node.value, tuple(node.shape[axis] for axis in axes))
    return node.graph.node(TRANSPOSE, (node,), axes, is_bool=node.is_bool)


def transpose_last(node: Node) -> Node:
    """Transpose a matrix, or a stack of matrices."""
    return transpose(node, _last_axes_swapped(node.ndim))


def swaps_last_axes(node: Node) -> bool:
    """Whether a node is the transpose of a matrix, or of a stack of matrices."""
    return node.op == TRANSPOSE and node.attr == _last_axes_swapped(node.ndim)


def _last_axes_swapped(ndim: int) -> tuple[int, ...]:
    return (*range(ndim - 2), ndim - 1, ndim - 2)


def _transpose_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    own = [axis - node.ndim for axis in node.attr]
    return lambda value: np.transpose(value, (*range(value.ndim - node.ndim), *own))


def _transpose_view(node: Node, view: View) -> View:
    return replace(view, strides=tuple(view.strides[axis] for axis in node.attr), shape=node.shape)


TRANSPOSE = define(
    "transpose",
    Kind.VIEW,
    shape=lambda inputs, attr: tuple(inputs[0].shape[axis] for axis in attr),
    numpy_for=_transpose_numpy,
    vjp=lambda g, node, a: (transpose(g, tuple(node.attr.index(axis) for axis in range(node.ndim))),),
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: transpose(inputs[0], attr),
    view=_transpose_view,
)


def _broadcast_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    inner, shape = node.inputs[0].ndim, concrete_shape(node.shape, sizes)
    ones = (1,) * (node.ndim - inner)

    def broadcast(value: Any) -> Any:
        front, value = _leading_axes(value, inner), np.asarray(value)
        own = value.shape[len(front) :]
        return np.broadcast_to(value.reshape(*front, *ones, *own), (*front, *shape))

    return broadcast


def _broadcast_view(node: Node, view: View) -> View:
    new = node.ndim - len(view.shape)
    strides = [ZERO] * new
    for axis, length in enumerate(view.shape):
        strides.append(view.strides[axis] if length == node.shape[new + axis] else ZERO)
    return replace(view, strides=tuple(strides), shape=node.shape)


def _broadcast_vjp(g: Node, node: Node, a: Node) -> tuple[Node]:
    new = node.ndim - a.ndim
    axes = [axis for axis in range(node.ndim) if axis < new or a.shape[axis - new] != node.shape[axis]]
    return (reshape(reduce_sum(g, tuple(axes)), a.shape),)


BROADCAST = define(
    "broadcast",
    Kind.VIEW,
    numpy_for=_broadcast_numpy,
    vjp=_broadcast_vjp,
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: inputs[0].graph.broadcast(inputs[0], shape),
    view=_broadcast_view,
)


# Concatenation.


def concatenate(nodes: Sequence[Node], axis: int) -> Node:
    """Join arrays along an axis.

    Raises:
        ShapeError: if their other axes differ.
    """
    first = nodes[0]
    for node in nodes[1:]:
        others = [shape[:axis] + shape[axis + 1 :] for shape in (first.shape, node.shape)]
        if others[0] != others[1] or node.ndim != first.ndim:
            counts = f"; they have {first.ndim} and {node.ndim} axes, add one with `[np.newaxis]`"
            hint = "" if node.ndim == first.ndim else counts
            raise ShapeError(
                f"{format_shape(first.shape)} and {format_shape(node.shape)} cannot be joined along axis "
                f"{axis}{hint}"
            )
    nodes = [first.graph.as_number(node) for node in nodes if node.shape[axis] != ZERO]
    if len(nodes) <= 1:
        return nodes[0] if nodes else first
    return first.graph.node(CONCAT, tuple(nodes), axis)


def _concat_shape(inputs: Inputs, axis: int) -> Shape:
    length, shape = ZERO, inputs[0].shape
    for node in inputs:
        length = length + node.shape[axis]
    return (*shape[:axis], length, *shape[axis + 1 :])


def _concat_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    axis, inner = node.attr - node.ndim, node.ndim

    def concatenate_values(*values: Any) -> Any:
        fronts = [_leading_axes(value, inner) for value in values]
        if len(set(fronts)) > 1:
            front = np.broadcast_shapes(*fronts)
            values = tuple(np.broadcast_to(each, (*front, *np.shape(each)[-inner:])) for each in values)
        return np.concatenate(values, axis)

    return concatenate_values


def _concat_vjp(g: Node, node: Node, *inputs: Node) -> tuple[Node, ...]:
    start, gradients = ZERO, []
    for operand in inputs:
        stop = start + operand.shape[node.attr]
        gradients.append(slice_axis(g, node.attr, start, stop))
        start = stop
    return tuple(gradients)


CONCAT = define(
    "concat",
    Kind.CONCAT,
    shape=_concat_shape,
    numpy_for=_concat_numpy,
    vjp=_concat_vjp,
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: concatenate(inputs, attr),
)


# Reductions.


def reduce_sum(node: Node, axes: tuple[int, ...]) -> Node:
    """Return the sum over some axes, which are removed."""
    return _reduce(SUM, node, axes)


def reduce_max(node: Node, axes: tuple[int, ...]) -> Node:
    """Return the maximum over some axes, which are removed."""
    return _reduce(MAX, node, axes)


def _reduce(op: Op, node: Node, axes: tuple[int, ...]) -> Node:
    node = node.graph.as_number(node)
    single = tuple(axis for axis in axes if node.shape[axis] == ONE)
    many = tuple(axis for axis in axes if node.shape[axis] != ONE)
    if not many:
        return reshape(node, _reduced_shape((node,), axes))
    if single:
        node = reshape(node, _reduced_shape((node,), single))
        many = tuple(axis - sum(removed < axis for removed in single) for axis in many)
    return node.graph.node(op, (node,), many)


def _reduced_shape(inputs: Inputs, axes: tuple[int, ...]) -> Shape:
    return tuple(dim for axis, dim in enumerate(inputs[0].shape) if axis not in axes)


def _reduction_numpy(function: Callable[..., Any]) -> Callable[[Node, Sizes, np.dtype[Any]], NumpyFunction]:
    def rule(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
        axes = tuple(axis - node.inputs[0].ndim for axis in node.attr)
        return lambda value: function(value, axes)

    return rule


def _spread_over(node: Node, value: Node) -> Node:
    """Broadcast a value of a reduction's shape to that of its operand."""
    operand = node.inputs[0]
    return node.graph.broadcast(reshape(value, with_ones(value.shape, node.attr)), operand.shape)


def _max_vjp(g: Node, node: Node, a: Node) -> tuple[Node]:
    """The largest entry gets the gradient; several of them share it equally."""
    graph = node.graph
    largest = graph.apply("equal", a, _spread_over(node, node))
    share = g / reduce_sum(graph.as_number(largest), node.attr)
    return (graph.apply("where", largest, _spread_over(node, share), 0.0),)


def _max_jvp(tangents: tuple[Node], node: Node, a: Node) -> Node:
    """The tangent of the largest entry; of several, the mean of their tangents."""
    (tangent,), graph = tangents, node.graph
    largest = graph.apply("equal", a, _spread_over(node, node))
    total = reduce_sum(graph.apply("where", largest, tangent, 0.0), node.attr)
    return total / reduce_sum(graph.as_number(largest), node.attr)


SUM = define(
    "sum",
    Kind.REDUCTION,
    shape=_reduced_shape,
    numpy_for=_reduction_numpy(np.sum),
    vjp=lambda g, node, a: (_spread_over(node, g),),
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: reduce_sum(inputs[0], attr),
    expensive=True,
    code="{0} += {1}",
    export="{0} += {1}",
    onnx="ReduceSum",
)
MAX = define(
    "max",
    Kind.REDUCTION,
    shape=_reduced_shape,
    numpy_for=_reduction_numpy(np.max),
    vjp=_max_vjp,
    jvp=_max_jvp,
    build=lambda inputs, attr, shape: reduce_max(inputs[0], attr),
    expensive=True,
    code="{0} = kernels.maximum({0}, {1})",
    export="{0} = $larger({0}, {1})",
    onnx="ReduceMax",
    initial=-math.inf,
)


# Scans.


def cumsum(node: Node, axis: int, reverse: bool = False) -> Node:
    """Return the cumulative sum along an axis; ``reverse`` starts with the last entry."""
    node = node.graph.as_number(node)
    if node.shape[axis] == ONE:
        return node
    return node.graph.node(CUMSUM, (node,), (axis, reverse))


def recurrence(a: Node, b: Node, axis: int, reverse: bool = False) -> Node:
    """Return ``y[i] = a[i] * y[i - 1] + b[i]`` along an axis, ``y[0] = b[0]``; ``reverse`` starts last."""
    a, b = a.graph.as_number(a), b.graph.as_number(b)
    if b.shape[axis] == ONE:
        return b
    return b.graph.node(RECURRENCE, (a, b), (axis, reverse))


def _cumsum_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    (axis, reverse), inner = node.attr, node.ndim
    if reverse:
        return lambda value: np.flip(np.cumsum(np.flip(value, axis - inner), axis - inner), axis - inner)
    return lambda value: np.cumsum(value, axis - inner)


def _recurrence_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    (axis, reverse), inner = node.attr, node.ndim

    def run(a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(a, b)
        a, y = np.moveaxis(a, axis - inner, 0), np.moveaxis(b, axis - inner, 0).copy()
        order = range(len(y) - 1, -1, -1) if reverse else range(len(y))
        for before, index in itertools.pairwise(order):
            y[index] += a[index] * y[before]
        return np.moveaxis(y, 0, axis - inner)

    return run


def _cumsum_vjp(g: Node, node: Node, a: Node) -> tuple[Node]:
    axis, reverse = node.attr
    return (cumsum(g, axis, not reverse),)


def _recurrence_vjp(g: Node, node: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """The gradient of ``b`` is a recurrence in the other direction, with the factors shifted by one entry."""
    axis, reverse = node.attr
    db = recurrence(_shift(a, axis, back=not reverse), g, axis, not reverse)
    return db * _shift(node, axis, back=reverse), db


def _recurrence_jvp(tangents: Tangents, node: Node, a: Node, b: Node) -> Node:
    (da, db), (axis, reverse) = tangents, node.attr
    of_factors = None if da is None else da * _shift(node, axis, back=reverse)
    return recurrence(a, _sum_of([of_factors, db]), axis, reverse)


def _shift(node: Node, axis: int, back: bool) -> Node:
    """Shift the entries along an axis by one, forwards or backwards; the first or last one becomes zero."""
    length = node.shape[axis]
    zero = node.graph.constant(0.0, (*node.shape[:axis], ONE, *node.shape[axis + 1 :]))
    if back:
        return concatenate([slice_axis(node, axis, ONE, length), zero], axis)
    return concatenate([zero, slice_axis(node, axis, ZERO, length - ONE)], axis)


CUMSUM = define(
    "cumsum",
    Kind.SCAN,
    shape=_same_shape,
    numpy_for=_cumsum_numpy,
    vjp=_cumsum_vjp,
    jvp=_linear_jvp,
    build=lambda inputs, attr, shape: cumsum(inputs[0], *attr),
    expensive=True,
    code="{total} += {0}",
    export="{total} += {0}",
)
RECURRENCE = define(
    "recurrence",
    Kind.SCAN,
    shape=lambda inputs, attr: inputs[1].shape,
    numpy_for=_recurrence_numpy,
    vjp=_recurrence_vjp,
    jvp=_recurrence_jvp,
    build=lambda inputs, attr, shape: recurrence(*inputs, *attr),
    expensive=True,
    # The first entry has no predecessor, whatever its factor is.
    code="{total} = {total} * {0} if j > 0 else {zero}\n{total} += {1}",
    export="{total} = at == {first} ? {zero} : {total} * {0}\n{total} += {1}",
)


# Products of the rows with matrices. A third input is the value to which the product is added.


def matmul(a: Node, b: Node) -> Node:
    """Return NumPy's ``a @ b``.

    A product with a matrix of parameters becomes a ``dot``. A product with a stack of them becomes a
    ``dot_heads``, or a ``dot`` if all matrices have the same operand. Both run over all rows of the batch at
    once. Any other product is a sum of products within the row.

    Raises:
        ShapeError: if the shapes do not fit.
    """
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("@ takes no single numbers; write * instead")
    depth, height = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if depth != height:
        swapped = f"{format_shape(b.shape)} @ {format_shape(a.shape)}"
        fits = b.shape[-1] == a.shape[-2 if a.ndim > 1 else 0]
        raise ShapeError(
            f"{format_shape(a.shape)} @ {format_shape(b.shape)}: the last axis of the first must be {height}"
            f"{f'; write the factors in the other order, {swapped}' if fits else ''}"
        )
    a, b = a.graph.as_number(a), b.graph.as_number(b)
    if b.ndim == 2 and b.level == Level.ONCE:
        return _dot(a, b)
    if b.level == Level.ONCE and b.ndim == 3 and (product := _dot_stack(a, b)) is not None:
        return product
    if a.level == Level.ONCE and a.ndim in (2, 3) and (product := _transposed_product(a, b)) is not None:
        return product
    return _sum_of_products(a, b)


def _transposed_product(a: Node, b: Node) -> Node | None:
    """``(b.T @ a.T).T`` for parameters ``a``, a matrix or a stack; None if no ``dot`` computes it."""
    w = transpose_last(a)
    if b.ndim == 1:
        return _dot(b, w) if w.ndim == 2 else _dot_stack(b, w)
    left = transpose_last(b)
    product = _dot(left, w) if w.ndim == 2 else _dot_stack(left, w)
    return product and transpose_last(product)


def _dot(a: Node, w: Node) -> Node:
    if a.op == CONCAT and a.attr == a.ndim - 1:
        return _dot_of_concat(a, w)
    return a.graph.node(DOT, (a, w))


def _dot_of_concat(a: Node, w: Node) -> Node:
    """``[a, b] @ W`` as ``a @ W[:k] + b @ W[k:]``: terms of x alone can leave the loop over time."""
    total, start = None, ZERO
    for operand in a.inputs:
        stop = start + operand.shape[-1]
        term = _dot(operand, slice_axis(w, 0, start, stop))
        total, start = term if total is None else total + term, stop
    assert total is not None  # a concatenation has operands
    return total


def _dot_stack(a: Node, w: Node) -> Node | None:
    """``a @ w`` for a stack of matrices ``w (G, K, N)``; None for other leading axes of ``a``."""
    heads, depth, width = w.shape
    if heads == ONE:
        product = _dot(a, reshape(w, (depth, width)))
        return reshape(product, (ONE, *product.shape)) if a.ndim < 3 else product
    if a.ndim == 3 and a.shape[0] == heads:
        return a.graph.node(DOT_HEADS, (a, w))
    if a.ndim == 3 and a.shape[0] == ONE:
        a = reshape(a, a.shape[1:])
    if a.ndim > 2:
        return None
    # All heads read the same rows: one product with the matrices side by side.
    product = _dot(a, reshape(transpose(w, (1, 0, 2)), (depth, heads * width)))
    product = reshape(product, (*a.shape[:-1], heads, width))
    return product if a.ndim == 1 else transpose(product, (1, 0, 2))


def _sum_of_products(a: Node, b: Node) -> Node:
    row, column = a.ndim == 1, b.ndim == 1
    a = reshape(a, (ONE, *a.shape)) if row else a
    b = reshape(b, (*b.shape, ONE)) if column else b
    lead = broadcast_shape(a.shape[:-2], b.shape[:-2])
    left = reshape(a, (*a.shape, ONE))
    right = reshape(b, (*b.shape[:-2], ONE, *b.shape[-2:]))
    total = reduce_sum(left * right, (len(lead) + 1,))
    return reshape(total, total.shape[: len(lead)] + total.shape[-2:][int(row) : 2 - int(column)])


def _dot_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    def dot(a: Any, w: Any) -> Any:
        if a.dtype.kind == "i":  # tokens stand for one-hot rows
            return w[a]
        return (a.reshape(-1, a.shape[-1]) @ w).reshape(*a.shape[:-1], w.shape[-1])

    return dot


def _dot_heads_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    return np.matmul


def _dot_vjp(g: Node, node: Node, a: Node, w: Node, *initial: Node) -> tuple[Node, ...]:
    if node.level == Level.ONCE:  # parameters times parameters: no rows to sum over
        return matmul(g, transpose_last(w)), _product_of_shared(a, g), *(g for _ in initial)
    da = node.graph.node(DOT, (g, transpose_last(w)))
    return (da, outer(a, g), *(g for _ in initial))


def _product_of_shared(a: Node, g: Node) -> Node:
    """``a.T @ g``."""
    rows = product(a.shape[:-1])
    return matmul(transpose_last(reshape(a, (rows, a.shape[-1]))), reshape(g, (rows, g.shape[-1])))


def _dot_heads_vjp(g: Node, node: Node, a: Node, w: Node, *initial: Node) -> tuple[Node, ...]:
    da = node.graph.node(DOT_HEADS, (g, transpose_last(w)))
    # Of parameters times parameters there are no rows to sum over.
    dw = matmul(transpose_last(a), g) if node.level == Level.ONCE else outer_heads(a, g)
    return da, dw, *(g for _ in initial)


def _product_jvp(tangents: Tangents, node: Node, a: Node, w: Node, *initial: Node) -> Node:
    """The product rule."""
    (da, dw, *dinitial), graph = tangents, node.graph
    of_rows = None if da is None else graph.node(node.op, (da, w))
    of_matrix = None if dw is None else graph.node(node.op, (a, dw))
    return _sum_of([of_rows, of_matrix, *dinitial])


DOT = define(
    "dot",
    Kind.MATMUL,
    shape=lambda inputs, attr: (*inputs[0].shape[:-1], inputs[1].shape[1]),
    numpy_for=_dot_numpy,
    vjp=_dot_vjp,
    jvp=_product_jvp,
    expensive=True,
)
DOT_HEADS = define(
    "dot_heads",
    Kind.MATMUL,
    shape=lambda inputs, attr: (*inputs[0].shape[:-1], inputs[1].shape[2]),
    numpy_for=_dot_heads_numpy,
    vjp=_dot_heads_vjp,
    jvp=_product_jvp,
    expensive=True,
)


# Functions of whole matrices that all rows share.


def solve(a: Node, b: Node) -> Node:
    """Return the solution of ``a @ x = b`` for a matrix ``b``, both shared by all rows."""
    a, b = a.graph.as_number(a), b.graph.as_number(b)
    return a.graph.node(SOLVE, (a, b))


def expm(a: Node) -> Node:
    """Return the exponential of a matrix that all rows share."""
    a = a.graph.as_number(a)
    return a.graph.node(EXPM, (a,))


def expm_derivative(a: Node, e: Node) -> Node:
    """Return the derivative of the exponential at ``a`` in direction ``e``, both shared by all rows."""
    return a.graph.node(EXPM_DERIVATIVE, (a, e))


def _matrix_function_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    from zoo import kernels

    shape, name = concrete_shape(node.shape, sizes), node.op.name

    def call_kernel(*operands: Any) -> Any:
        out = np.empty(shape, dtype)
        with kernels.pure_python():
            getattr(kernels, name)(*operands, out)
        return out

    return call_kernel


def _solve_vjp(g: Node, node: Node, a: Node, b: Node) -> tuple[Node, Node]:
    db = solve(transpose_last(a), g)
    return -matmul(db, transpose_last(node)), db


def _second_expm_derivative(a: Node, e: Node, f: Node) -> Node:
    """The second derivative of the exponential at ``a`` in directions ``e`` and ``f``.

    It is the upper right block of the derivative at ``[[a, f], [0, a]]`` in direction ``[[e, 0], [0, e]]``.
    """
    zero, (length, _) = a.graph.constant(0.0, a.shape), a.shape
    point, direction = (
        concatenate([concatenate([left, right], 1), concatenate([zero, left], 1)], 0)
        for left, right in ((a, f), (e, zero))
    )
    derivative = expm_derivative(point, direction)
    return slice_axis(slice_axis(derivative, 0, ZERO, length), 1, length, length + length)


def _expm_derivative_vjp(g: Node, node: Node, a: Node, e: Node) -> tuple[Node, Node]:
    a, e = transpose_last(a), transpose_last(e)
    return _second_expm_derivative(a, e, g), expm_derivative(a, g)


def _expm_derivative_jvp(tangents: Tangents, node: Node, a: Node, e: Node) -> Node:
    da, de = tangents
    of_point = None if da is None else _second_expm_derivative(a, e, da)
    return _sum_of([of_point, None if de is None else expm_derivative(a, de)])


def _solve_jvp(tangents: Tangents, node: Node, a: Node, b: Node) -> Node:
    da, db = tangents
    return solve(a, _sum_of([None if da is None else -matmul(da, node), db]))


_define_matrix_function = functools.partial(
    define, kind=Kind.MATRIX_FUNCTION, numpy_for=_matrix_function_numpy, expensive=True
)
SOLVE = _define_matrix_function(
    "solve", shape=lambda inputs, attr: inputs[1].shape, vjp=_solve_vjp, jvp=_solve_jvp
)
EXPM = _define_matrix_function(
    "expm",
    shape=_same_shape,
    # The adjoint of the derivative at a matrix is the derivative at its transpose.
    vjp=lambda g, node, a: (expm_derivative(transpose_last(a), g),),
    jvp=lambda tangents, node, a: expm_derivative(a, tangents[0]),
)
EXPM_DERIVATIVE = _define_matrix_function(
    "expm_derivative", shape=_same_shape, vjp=_expm_derivative_vjp, jvp=_expm_derivative_jvp
)


# Sums over all rows of all steps: gradients of what the rows share.


def outer(a: Node, g: Node) -> Node:
    """Return the gradient of W in ``dot(a, W)``: ``a`` times ``g``, summed over all rows of all steps."""
    return a.graph.node(OUTER, (a, g), level=Level.ONCE)


def outer_heads(a: Node, g: Node) -> Node:
    """Return the gradient of W in ``dot_heads(a, W)``, a stack of matrices."""
    return a.graph.node(OUTER_HEADS, (a, g), level=Level.ONCE)


def row_sum(g: Node) -> Node:
    """Return the sum over all rows of all steps."""
    return g.graph.node(ROW_SUM, (g,), level=Level.ONCE)


def _outer_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    def outer(a: Any, g: Any) -> Any:
        a = np.broadcast_to(a, (*g.shape[:-1], a.shape[-1])).reshape(-1, a.shape[-1])
        return a.T @ g.reshape(-1, g.shape[-1])

    return outer


def _outer_heads_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    def heads_first(value: Any) -> Any:
        rows = value.shape[0] * value.shape[2]
        return value.swapaxes(0, 1).reshape(value.shape[1], rows, value.shape[3])

    def outer(a: Any, g: Any) -> Any:
        a = np.broadcast_to(a, (*g.shape[:-1], a.shape[-1]))
        left, right = (heads_first(each.reshape(-1, *each.shape[-3:])) for each in (a, g))
        return left.swapaxes(1, 2) @ right

    return outer


def _row_sum_numpy(node: Node, sizes: Sizes, dtype: np.dtype[Any]) -> NumpyFunction:
    return lambda g: np.sum(g, axis=tuple(range(np.ndim(g) - node.ndim)))


OUTER = define(
    "outer",
    Kind.OUTER,
    shape=lambda inputs, attr: (inputs[0].shape[-1], inputs[1].shape[-1]),
    numpy_for=_outer_numpy,
    expensive=True,
)
OUTER_HEADS = define(
    "outer_heads",
    Kind.OUTER,
    shape=lambda inputs, attr: (inputs[0].shape[0], inputs[0].shape[2], inputs[1].shape[2]),
    numpy_for=_outer_heads_numpy,
    expensive=True,
)
ROW_SUM = define(
    "row_sum",
    Kind.ROW_SUM,
    shape=_same_shape,
    numpy_for=_row_sum_numpy,
    expensive=True,
    code="{0} += {1}",
)
