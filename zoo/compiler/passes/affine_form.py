"""Affine form of a value: ``a + b * variable``, element by element."""

from __future__ import annotations

from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.elementwise_ops import ADD, DIVIDE, MULTIPLY, NEGATIVE, SUBTRACT
from zoo.compiler.ir.graph import Node, ancestors, dependents
from zoo.compiler.ir.structural_ops import BROADCAST, RESHAPE, TRANSPOSE
from zoo.compiler.passes.matrix_terms import times
from zoo.compiler.passes.state_matcher import NoMatch


def affine_form(node: Node, variable: Node | None) -> tuple[Node | None, Node | None]:
    """``a`` and ``b`` of ``node = a + b * variable``, element by element; None for zero.

    Raises:
        NoMatch: if the node has another form.
    """
    if variable is None:
        return node, None
    varying = set(dependents([variable], [node]))
    known: dict[Node, tuple[Node | None, Node | None]] = {
        variable: (None, node.graph.constant(1.0, variable.shape))
    }
    for each in ancestors([node], stop=lambda each: each not in varying or each is variable):
        if each not in varying:
            known[each] = (each, None)
        elif each is not variable:
            known[each] = _affine_of(each, [known[operand] for operand in each.inputs])
    return known[node]


def _affine_of(
    node: Node, operands: list[tuple[Node | None, Node | None]]
) -> tuple[Node | None, Node | None]:
    """The form of an operation, given those of its operands."""
    (a, b), (c, d) = operands[0], operands[-1]
    if node.op in (ADD, SUBTRACT):
        return _signed_sum(node, a, c), _signed_sum(node, b, d)
    if node.op == TRANSPOSE and b is not None and not _keeps_order(node):
        raise NoMatch("the axes of the read of a probe are permuted before it is written")
    if node.op in (NEGATIVE, RESHAPE, TRANSPOSE, BROADCAST):
        return _rebuilt(node, a), _rebuilt(node, b)
    if node.op == MULTIPLY and (b is None or d is None):
        factor, (e, f) = (a, (c, d)) if b is None else (c, (a, b))
        return (None if e is None else times(factor, e)), (None if f is None else times(factor, f))
    if node.op == DIVIDE and d is None and c is not None:
        return (None if a is None else a / c), (None if b is None else b / c)
    raise NoMatch(f"{node.op} of the read of a probe is written to the state, and {node.op} is not affine")


def _rebuilt(node: Node, operand: Node | None) -> Node | None:
    """The operation of a node, applied to another operand."""
    if operand is None:
        return None
    if operand.value is not None and node.op != NEGATIVE:
        return node.graph.constant(operand.value, node.shape)
    return node.graph.build(node.op, (operand,), node.attr, node.shape)


def _keeps_order(node: Node) -> bool:
    """Whether a transpose keeps the order of elements: it moves axes of length one alone."""
    long_axes = [axis for axis in node.attr if node.inputs[0].shape[axis] != ONE]
    return long_axes == sorted(long_axes)


def _signed_sum(node: Node, a: Node | None, b: Node | None) -> Node | None:
    """``a + b`` or ``a - b``."""
    if b is not None and node.op == SUBTRACT:
        b = -b
    return b if a is None else a if b is None else a + b
