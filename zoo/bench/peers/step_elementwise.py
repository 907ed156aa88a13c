"""Element-wise operations in the code of a step."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.bench.peers.step_scope import CodeValue, number_value
from zoo.bench.peers.step_values import ValueWriter
from zoo.compiler.ir.elementwise_ops import MULTIPLY, NEGATIVE, WHERE
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import OPS, Op

MAXIMUM, SIGMOID, SOFTPLUS = OPS["maximum"], OPS["sigmoid"], OPS["softplus"]


class ElementwiseWriter(ValueWriter):
    """Writes element-wise operations."""

    def elementwise(self, node: Node) -> CodeValue:
        """Write an element-wise operation, or compute it if all operands are numbers."""
        operands = [self.scope.value(operand) for operand in node.inputs]
        numbers = [value.number for value in operands]
        if None not in numbers:
            number = node.op.numpy(*numbers)
            return number_value(bool(number) if node.is_bool else float(number))
        if node.op == WHERE and numbers[0] is not None:
            return operands[1] if numbers[0] else operands[2]
        axes = tuple(sorted({axis for value in operands for axis in value.axes}))
        lengths = tuple(
            max([value.lengths[value.axes.index(axis)] for value in operands if axis in value.axes])
            for axis in axes
        )
        expression = self._function_of_zoo(node) or self.expression(node.op, operands, axes)
        return self.assign(node, expression, axes, lengths, max(value.lead for value in operands))

    def _function_of_zoo(self, node: Node) -> str:
        """The call of a function of zoo that the trace divides into operations; empty if there is none."""
        composed = _composed_function(node)
        return f"{composed[0]}({self.scope.value(composed[1]).code})" if composed else ""

    def expression(self, op: Op, operands: Sequence[CodeValue], axes: tuple[int, ...]) -> str:
        """The expression of an operation, given its operands and the axes of the result."""
        codes = [self.aligned(value, axes) for value in operands]
        numbers, library = [value.number for value in operands], self.library
        if op == WHERE and numbers[1:] == [1.0, 0.0]:
            return library.expression("as_number", codes[0])
        if op == WHERE and None not in numbers[1:]:
            codes[1] = library.expression("array", codes[1])
        if op in ("maximum", "minimum") and any(number is not None for number in numbers):
            if numbers[0] is not None:
                codes.reverse()
            return library.expression("bound_below" if op == MAXIMUM else "bound_above", *codes)
        return library.expression(op, *codes)


def _composed_function(node: Node) -> tuple[str, Node] | None:
    """The name and the operand of ``silu`` or ``log_sigmoid``; None for other values."""
    if node.op == MULTIPLY:
        for operand, gate in (node.inputs, node.inputs[::-1]):
            if gate.op == SIGMOID and gate.inputs[0] is operand:
                return "silu", operand
    if node.op == NEGATIVE and node.inputs[0].op == SOFTPLUS:
        (inner,) = node.inputs[0].inputs
        if inner.op == NEGATIVE:
            return "log_sigmoid", inner.inputs[0]
    return None
