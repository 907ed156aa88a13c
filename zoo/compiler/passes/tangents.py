"""Forward-mode differentiation of a graph: the tangent of a value is its derivative in one direction.

The table of operations has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.op_table import Kind


def tangents(outputs: Iterable[Node], sources: Mapping[Node, Node]) -> dict[Node, Node]:
    """Return the tangents of the values between some sources and outputs.

    Args:
        outputs: Values.
        sources: The tangents of the values with respect to which the outputs are differentiated.

    Returns:
        The tangent of every value that has one: a value on which no source acts, or only through operations
        without derivative, has none.

    Raises:
        TraceError: if an operation has a derivative, but no rule.
    """
    tangent_of = dict(sources)
    for node in ancestors(outputs, stop=lambda node: node in sources):
        if node in tangent_of or not any(each in tangent_of for each in node.inputs):
            continue
        if (tangent := _tangent(node, tuple(tangent_of.get(each) for each in node.inputs))) is not None:
            tangent_of[node] = tangent
    return tangent_of


def _tangent(node: Node, of_inputs: tuple[Node | None, ...]) -> Node | None:
    op = node.op
    if op.jvp is not None:
        tangent: Node | None = op.jvp(of_inputs, node, *node.inputs)
        return tangent
    if op.kind is not Kind.ELEMENTWISE:
        raise TraceError(f"the derivative of {op!s} in a direction is unknown")
    if op.vjp is None:
        return None
    total = None
    for index, tangent in enumerate(of_inputs):
        if tangent is not None:
            # The gradient of an operand is the gradient of the result times the partial derivative. Its
            # tangent, times the same, is its part of the tangent of the result.
            part = op.vjp(tangent, node, *node.inputs)[index]
            if part is not None:
                total = part if total is None else total + part
    return total
