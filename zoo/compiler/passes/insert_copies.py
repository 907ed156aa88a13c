"""Insert copies: operands of products must be contiguous, and results need distinct arrays."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.elementwise_ops import COPY
from zoo.compiler.ir.graph import Level, Node, ancestors, users, view_of
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import (
    ARRAY,
    BUFFER,
    CONSTANT,
    DELAY,
    DOT,
    DY,
    EYE,
    OUTER,
    PARAM,
    RESHAPE,
    SIZE,
    X,
)
from zoo.compiler.passes.simplify import rebuild, rewrite


def copy(node: Node, level: Level | None = None, attr: str | None = None) -> Node:
    """Copy a node into an array of its own."""
    return node.graph.node(COPY, (node,), attr, node.shape, level)


def is_computed(node: Node) -> bool:
    """Return whether a node is neither a leaf nor a view."""
    return node.op.kind not in (Kind.LEAF, Kind.VIEW)


def insert_copies(outputs: Iterable[Node]) -> dict[Node, Node]:
    """Insert the copies that products and reshapes without strides need."""
    outputs = list(outputs)
    uses = {node: len(each) for node, each in users(ancestors(outputs)).items()}
    for output in outputs:
        uses[output] = uses.get(output, 0) + 1

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.op == RESHAPE:
            made = rebuild(node, inputs)
            return made if view_of(made) is not None else ops.reshape(copy(inputs[0]), node.shape)
        if node.op.kind is Kind.MATMUL:
            a, w, *base = inputs
            base = [_distinct(each, node, uses[old]) for each, old in zip(base, node.inputs[2:], strict=True)]
            return rebuild(node, (_contiguous(a, node), _whole_matrix(w), *base))
        if node.op.kind in (Kind.OUTER, Kind.MATRIX_FUNCTION):
            return rebuild(node, tuple(_contiguous(each, node) for each in inputs))
        if node.op.kind is Kind.MEMORY:
            return rebuild(node, tuple(_whole_operand(each, node) for each in inputs))
        return None

    return rewrite(outputs, rule)


def _contiguous(operand: Node, user: Node) -> Node:
    """A contiguous operand: a window of a row of an array, or a whole array if the operand has many rows."""
    view = view_of(operand)
    level = Level.STEP if user.op.sums_rows else user.level  # a sum over rows has one value, but reads rows
    shared = level == Level.ONCE
    if (
        view is None
        or not view.is_contiguous
        or view.base.op in _NOT_STORED
        or (view.base.op == DELAY and user.op.kind is Kind.MATMUL)  # rows of all steps, from two arrays
        or (view.base.level == Level.ONCE) != shared
    ):
        return copy(operand, max(level, operand.level) if operand.level == Level.ONCE else None)
    many = shared or (user.op in (DOT, OUTER) and operand.ndim > 1)
    with_x = user.op == OUTER and user.inputs[0].op == X
    return operand if view.is_whole or not (many or with_x) else copy(operand)


def _whole_operand(operand: Node, user: Node) -> Node:
    """Copy an operand to an array of its own, unless it is one already."""
    if operand.level == Level.ONCE:
        shared = view_of(operand)
        is_array = shared is not None and shared.is_contiguous and shared.is_whole
        is_stored = shared is not None and shared.base.op not in _NOT_STORED
        return operand if is_array and is_stored else copy(operand)
    contiguous = _contiguous(operand, user)
    view = view_of(contiguous)
    if view is not None and view.is_whole and (is_computed(view.base) or view.base.op == DY):
        return contiguous
    return copy(operand, user.level)


# Leaves that are not stored in arrays.
_NOT_STORED = (CONSTANT, SIZE, EYE, ARRAY)


def _whole_matrix(w: Node) -> Node:
    """A matrix or stack of matrices that is an array, some rows of one, or a transpose of either."""
    stored = ops.transpose_last(w) if ops.swaps_last_axes(w) else w  # the array that the kernels read
    view = view_of(stored)
    is_array = view is not None and view.is_contiguous and view.base.op in _MATRIX_BASES
    return w if is_array or is_computed(stored) else copy(w)


_STORED_LEAVES = (PARAM, BUFFER)
_MATRIX_BASES = (*_STORED_LEAVES, COPY)


def _distinct(base: Node, product: Node, uses: int) -> Node:
    """The initial value of an accumulated product, in an array that nothing else reads."""
    if product.inputs[0].op == X:  # the bias of a projection: any array will do
        return base if base.op in _STORED_LEAVES or is_computed(base) else copy(base)
    return base if is_computed(base) and uses == 1 and base.level != Level.ONCE else copy(base, product.level)


def ensure_distinct(outputs: Iterable[Node], taken: Iterable[Node] = ()) -> list[Node]:
    """Copy results where needed, so that each has an array of its own."""
    seen = set(taken)
    distinct = []
    for position, node in enumerate(outputs):
        if not is_computed(node) or node in seen:
            level = None if node.level != Level.ONCE else node.level
            node = copy(node, level, f"result {position}")
        seen.add(node)
        distinct.append(node)
    return distinct
