"""What moves and sums numbers: views, concatenation, reductions, products.

Each function makes a node and knows its shape rule; their adjoints are in ``adjoint.py``, where each is
emitted in ``emission``. A view (slice, reshape, transpose, broadcast) computes nothing: it is another way to
address the numbers of its input.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo.compiler.ir.dims import Dim, as_dim, product
from zoo.compiler.ir.graph import Level, Node, Shape, ShapeError, broadcast_shape, format_shape

VIEWS = ("slice", "stride", "reshape", "transpose", "broadcast")
REDUCTIONS = ("sum", "max")
SCANS = ("cumsum", "recurrence")
"""Operations that go along an axis in order: each entry uses the one before."""
PRODUCTS = ("dot", "dot_heads")
MATRIX_FUNCTIONS = ("solve", "expm", "expm_derivative")
"""Functions of whole matrices of parameters."""
SUMS = ("outer", "outer_heads", "row_sum")
"""Sums over every row of every step, which are known once the loop over time has ended."""

ONE = as_dim(1)


def slice_axis(node: Node, axis: int, start: Dim, stop: Dim) -> Node:
    """The entries from ``start`` to ``stop`` along an axis."""
    whole = node.shape[axis]
    if start == as_dim(0) and stop == whole:
        return node
    if node.op == "slice" and node.attr[0] == axis:
        offset = node.attr[1]
        return slice_axis(node.inputs[0], axis, offset + start, offset + stop)
    if node.op == "stride" and node.attr[0] == axis:
        return strided_slice(node, axis, start, ONE, stop - start)
    if (
        node.op == "concat"
        and node.attr == axis
        and (found := _concat_operand(node, axis, start, stop)) is not None
    ):
        return found
    shape = (*node.shape[:axis], stop - start, *node.shape[axis + 1 :])
    if node.op == "broadcast" and (node.inputs[0].value is not None or _is_repeated(node, axis)):
        return node.graph.broadcast(node.inputs[0], shape)
    return node.graph.node("slice", (node,), (axis, start, stop), shape, is_bool=node.is_bool)


def strided_slice(node: Node, axis: int, start: Dim, step: Dim, length: Dim) -> Node:
    """``length`` entries along an axis from ``start`` on, ``step`` apart; backwards if that is negative."""
    if node.op == "stride" and node.attr[0] == axis:
        _, first, each, _ = node.attr
        return strided_slice(node.inputs[0], axis, first + start * each, step * each, length)
    if node.op == "slice" and node.attr[0] == axis:
        return strided_slice(node.inputs[0], axis, node.attr[1] + start, step, length)
    if ONE in (step, length):
        return slice_axis(node, axis, start, start + length)
    shape = (*node.shape[:axis], length, *node.shape[axis + 1 :])
    if node.op == "broadcast" and (node.inputs[0].value is not None or _is_repeated(node, axis)):
        return node.graph.broadcast(node.inputs[0], shape)
    return node.graph.node("stride", (node,), (axis, start, step, length), shape, is_bool=node.is_bool)


def flip(node: Node, axis: int) -> Node:
    """The entries along an axis in reverse order."""
    length = node.shape[axis]
    return strided_slice(node, axis, length - ONE, as_dim(-1), length)


def _concat_operand(node: Node, axis: int, start: Dim, stop: Dim) -> Node | None:
    """The operand of a concatenation that lies between two places, if one does."""
    place = as_dim(0)
    for operand in node.inputs:
        end = place + operand.shape[axis]
        if (place, end) == (start, stop):
            return operand
        place = end
    return None


def _is_repeated(node: Node, axis: int) -> bool:
    """Whether a broadcast repeats its input along an axis."""
    inner = node.inputs[0].shape
    own = axis - (node.ndim - len(inner))
    return own < 0 or inner[own] != node.shape[axis]


def reshape(node: Node, shape: Shape) -> Node:
    """The same numbers in another shape.

    Raises:
        ShapeError: if it holds another number of them.
    """
    if node.op == "reshape":
        node = node.inputs[0]
    if node.shape == shape:
        return node
    if product(node.shape) != product(shape):
        raise ShapeError(f"{format_shape(node.shape)} cannot be reshaped to {format_shape(shape)}")
    if node.value is not None:
        return node.graph.constant(node.value, shape)
    return node.graph.node("reshape", (node,), None, shape, is_bool=node.is_bool)


def transpose(node: Node, axes: tuple[int, ...]) -> Node:
    """Axes in another order."""
    if node.op == "transpose":
        axes = tuple(node.attr[axis] for axis in axes)
        node = node.inputs[0]
    if axes == tuple(range(node.ndim)):
        return node
    shape = tuple(node.shape[axis] for axis in axes)
    return node.graph.node("transpose", (node,), axes, shape, is_bool=node.is_bool)


def transpose_last(node: Node) -> Node:
    """A matrix, or a stack of them, transposed."""
    return transpose(node, (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2))


def concatenate(nodes: Sequence[Node], axis: int) -> Node:
    """Arrays one after the other along an axis.

    Raises:
        ShapeError: if their other axes differ.
    """
    first = nodes[0]
    for node in nodes[1:]:
        others = [shape[:axis] + shape[axis + 1 :] for shape in (first.shape, node.shape)]
        if others[0] != others[1] or node.ndim != first.ndim:
            raise ShapeError(
                f"{format_shape(first.shape)} and {format_shape(node.shape)} cannot be joined along axis "
                f"{axis}"
            )
    nodes = [first.graph.as_number(node) for node in nodes if node.shape[axis] != as_dim(0)]
    if len(nodes) <= 1:
        return nodes[0] if nodes else first
    length = as_dim(0)
    for node in nodes:
        length = length + node.shape[axis]
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return first.graph.node("concat", tuple(nodes), axis, shape)


def reduce(node: Node, name: str, axes: tuple[int, ...]) -> Node:
    """The ``"sum"`` or ``"max"`` over some axes, which vanish."""
    node = node.graph.as_number(node)
    single = tuple(axis for axis in axes if node.shape[axis] == ONE)
    many = tuple(axis for axis in axes if node.shape[axis] != ONE)
    shape = tuple(dim for axis, dim in enumerate(node.shape) if axis not in axes)
    if not many:
        return reshape(node, shape)
    if single:
        kept = tuple(dim for axis, dim in enumerate(node.shape) if axis not in single)
        node = reshape(node, kept)
        many = tuple(axis - sum(gone < axis for gone in single) for axis in many)
    return node.graph.node(name, (node,), many, shape)


def with_ones(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """A shape with axes of length one put in at the places given."""
    rest = iter(shape)
    return tuple(ONE if axis in axes else next(rest) for axis in range(len(shape) + len(axes)))


def cumsum(node: Node, axis: int, reverse: bool = False) -> Node:
    """The sum of an entry and all before it along an axis, or with ``reverse`` all after it."""
    node = node.graph.as_number(node)
    if node.shape[axis] == ONE:
        return node
    return node.graph.node("cumsum", (node,), (axis, reverse), node.shape)


def recurrence(a: Node, b: Node, axis: int, reverse: bool = False) -> Node:
    """``y[i] = a[i] * y[i - 1] + b[i]`` along an axis, from ``y[0] = b[0]``; ``reverse`` starts last."""
    a, b = a.graph.as_number(a), b.graph.as_number(b)
    if b.shape[axis] == ONE:
        return b
    return b.graph.node("recurrence", (a, b), (axis, reverse), b.shape)


def matmul(a: Node, b: Node) -> Node:
    """NumPy's ``a @ b``.

    A row's vector times a matrix of parameters becomes a ``dot``, which runs over all rows of the batch at
    once; anything else is a sum of products within the row.

    Raises:
        ShapeError: if the shapes do not fit.
    """
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("@ takes no single numbers; write * instead")
    depth, height = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if depth != height:
        raise ShapeError(
            f"{format_shape(a.shape)} @ {format_shape(b.shape)}: the last axis of the first must be {height}"
        )
    a, b = a.graph.as_number(a), b.graph.as_number(b)
    if b.ndim == 2 and b.level == Level.ONCE:
        return _dot(a, b)
    if a.ndim == 2 and a.level == Level.ONCE and b.ndim == 1:
        return _dot(b, transpose_last(a))
    if a.ndim == 2 and a.level == Level.ONCE and b.ndim == 2:
        return transpose_last(_dot(transpose_last(b), transpose_last(a)))
    if b.ndim == 3 and b.level == Level.ONCE and a.ndim == 3 and a.shape[:2] == (b.shape[0], ONE):
        return _dot_heads(a, b)
    return _sum_of_products(a, b)


def _dot(a: Node, w: Node) -> Node:
    if a.op == "concat" and a.attr == a.ndim - 1:
        return _dot_of_concat(a, w)
    return a.graph.node("dot", (a, w), None, (*a.shape[:-1], w.shape[1]))


def _dot_of_concat(a: Node, w: Node) -> Node:
    """``[a, b] @ W`` as ``a @ W[:k] + b @ W[k:]``: what depends on x alone can leave the loop over time."""
    total, place = None, as_dim(0)
    for operand in a.inputs:
        end = place + operand.shape[-1]
        product = _dot(operand, slice_axis(w, 0, place, end))
        total, place = product if total is None else total + product, end
    assert total is not None
    return total


def _dot_heads(a: Node, w: Node) -> Node:
    """``(G, 1, K) @ (G, K, N)``: a block-diagonal product."""
    heads, _, width = w.shape
    flat = reshape(a, (heads, a.shape[-1]))
    return reshape(a.graph.node("dot_heads", (flat, w), None, (heads, width)), (heads, ONE, width))


def _sum_of_products(a: Node, b: Node) -> Node:
    row, column = a.ndim == 1, b.ndim == 1
    a = reshape(a, (ONE, *a.shape)) if row else a
    b = reshape(b, (*b.shape, ONE)) if column else b
    lead = broadcast_shape(a.shape[:-2], b.shape[:-2])
    left = reshape(a, (*a.shape, ONE))
    right = reshape(b, (*b.shape[:-2], ONE, *b.shape[-2:]))
    total = reduce(left * right, "sum", (len(lead) + 1,))
    kept = total.shape[: len(lead)] + total.shape[-2:][int(row) : 2 - int(column)]
    return reshape(total, kept)


def solve(a: Node, b: Node) -> Node:
    """The solution of ``a @ x = b`` for a matrix ``b``, both shared by all rows."""
    a, b = a.graph.as_number(a), b.graph.as_number(b)
    return a.graph.node("solve", (a, b), None, b.shape)


def expm(a: Node) -> Node:
    """The exponential of a matrix that all rows share."""
    a = a.graph.as_number(a)
    return a.graph.node("expm", (a,), None, a.shape)


def expm_derivative(a: Node, e: Node) -> Node:
    """The derivative of the exponential at ``a`` in direction ``e``, both shared by all rows."""
    return a.graph.node("expm_derivative", (a, e), None, a.shape)


def outer(a: Node, g: Node) -> Node:
    """The gradient of W in ``dot(a, W)``: ``a`` times ``g``, summed over every row of every step."""
    return a.graph.node("outer", (a, g), None, (a.shape[-1], g.shape[-1]), Level.ONCE)


def outer_heads(a: Node, g: Node) -> Node:
    """The gradient of W in ``dot_heads(a, W)``."""
    return a.graph.node("outer_heads", (a, g), None, (a.shape[0], a.shape[1], g.shape[1]), Level.ONCE)


def row_sum(g: Node) -> Node:
    """The sum over every row of every step: the gradient of what all rows share."""
    return g.graph.node("row_sum", (g,), None, g.shape, Level.ONCE)
