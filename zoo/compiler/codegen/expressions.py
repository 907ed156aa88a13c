"""Values as expressions: inlined where they are used, or assigned to a variable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.compiler.codegen.array_variables import FunctionVariables
from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.ir.elementwise_ops import COPY
from zoo.compiler.ir.graph import Node, view_of
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.schedule.fusion import ArrayLayout, unreshaped

# Precedence of operators; an atom needs no parentheses anywhere.
COMPARISON, SUM, TERM, SIGN, POWER, ATOM = range(6)
PRECEDENCE = {
    "add": SUM,
    "subtract": SUM,
    "multiply": TERM,
    "divide": TERM,
    "remainder": SUM,
    "negative": SIGN,
    "power": POWER,
}
# `a * b % c` is not `a * (b % c)`, so % binds loosely to the outside and tightly to the inside.
_OPERAND_PRECEDENCE = {"remainder": TERM}
# An expression of more operations gets a variable. The order in which a kernel loads its operands depends on
# this limit, and with it the last bit of some results. So it counts operations: if it counted letters, the
# names of variables would decide that bit.
_MAX_OPERATIONS = 3


@dataclass(frozen=True)
class ExprText:
    """Text of an expression with its precedence, and the number of operations in it."""

    text: str
    precedence: int = ATOM
    operations: int = 0

    def as_operand(self, precedence: int) -> str:
        """The text, in parentheses if an operator of this precedence needs them."""
        return self.text if self.precedence > precedence else f"({self.text})"


class Expressions:
    """The expressions of one loop; subclasses define the language.

    Args:
        variables: Variables and arrays.
        body: Values that the loop computes.
        stored: Values that it stores.
    """

    def __init__(self, variables: FunctionVariables, body: Iterable[Node], stored: Iterable[Node]) -> None:
        self.variables = variables
        self._body = set(body)
        self.texts: dict[Node, ExprText] = {}
        self.use_counts = self._count_uses(body, stored)

    def load(self, node: Node, address: str) -> None:
        """Set the address of a value; a boolean is stored as one or zero."""
        test = f"{address} != {self.number(0.0).text}" if node.is_bool else ""
        self.texts[node] = ExprText(test, COMPARISON) if test else ExprText(address)

    def define(self, node: Node) -> str | None:
        """The line that computes a value; None if the value is inlined."""
        expression = self._expression(node)
        if self._is_inlined(node, expression):
            self.texts[node] = expression
            return None
        name = self.variables.variable(node)
        self.texts[node] = ExprText(name)
        return self.assignment(node, name, expression.text)

    def operand(self, node: Node) -> ExprText:
        """The expression of a value where it is used."""
        node = self._computed(node)
        if node in self.texts:
            return self.texts[node]
        if node.value is not None:
            return self.number(node.value)
        view = view_of(node)
        assert view is not None  # every other value is a variable
        return ExprText(self.variables.variable(view.base))

    def stored(self, node: Node) -> str:
        """The expression that is stored: a boolean becomes one or zero."""
        text = self.operand(node).text
        return self.as_number(text) if node.is_bool else text

    # Language.

    def number(self, value: float) -> ExprText:
        """A number as code."""
        raise NotImplementedError

    def as_number(self, condition: str) -> str:
        """One where a condition holds, else zero."""
        raise NotImplementedError

    def assignment(self, node: Node, name: str, text: str) -> str:
        """The line that assigns an expression to a variable."""
        raise NotImplementedError

    def template(self, node: Node) -> tuple[str, int]:
        """The template of an operation, ``{0}`` for its first operand, and its precedence."""
        raise NotImplementedError

    def _is_inlined(self, node: Node, expression: ExprText) -> bool:
        variables = self.variables
        is_scalar = variables.has_array(node) and variables.array_of(node).layout == ArrayLayout.SCALAR
        has_name = is_scalar or node in variables.step_graph.names
        return self.use_counts.get(node, 0) <= 1 and not has_name and expression.operations <= _MAX_OPERATIONS

    def _expression(self, node: Node) -> ExprText:
        if node.op == COPY:
            return self.operand(node.inputs[0])
        template, precedence = self.template(node)
        operands = [self.operand(operand) for operand in node.inputs]
        texts = [_operand_text(each, precedence, node.op, index) for index, each in enumerate(operands)]
        return ExprText(template.format(*texts), precedence, 1 + sum(each.operations for each in operands))

    def _count_uses(self, body: Iterable[Node], stored: Iterable[Node]) -> dict[Node, int]:
        """Number of times each value appears in the expressions of the loop."""
        counts: dict[Node, int] = {}
        for node in body:
            template = self.template(node)[0] if node.op.kind is Kind.ELEMENTWISE else None
            for index, operand in enumerate(node.inputs):
                times = 1 if template is None else template.count(f"{{{index}}}")
                value = self._computed(operand)
                counts[value] = counts.get(value, 0) + times
        for node in stored:
            value = self._computed(node)
            counts[value] = counts.get(value, 0) + 1
        return counts

    def _computed(self, node: Node) -> Node:
        """The value of the loop that has the same elements, if there is one; otherwise the node itself."""
        base = unreshaped(node)
        return base if base is not None and base in self._body else node


class PythonExpressions(Expressions):
    """The expressions of one loop of a Numba kernel."""

    def __init__(self, context: EmitContext, body: Iterable[Node], stored: Iterable[Node]) -> None:
        super().__init__(context, body, stored)
        self._numbers = context.numbers

    def number(self, value: float) -> ExprText:
        """A variable of the kernel's dtype."""
        return ExprText(self._numbers.name(value))

    def as_number(self, condition: str) -> str:
        """A selection that Numba compiles without a branch."""
        return f"kernels.select({condition}, {self._numbers.name(1.0)}, {self._numbers.name(0.0)})"

    def assignment(self, node: Node, name: str, text: str) -> str:  # noqa: ARG002 - as in C
        """A plain assignment."""
        return f"{name} = {text}"

    def template(self, node: Node) -> tuple[str, int]:
        """The template in the table of operations."""
        op = node.op
        return op.code, COMPARISON if op.is_bool else PRECEDENCE.get(node.op, ATOM)


def _operand_text(operand: ExprText, precedence: int, op: str, index: int) -> str:
    """An operand with the parentheses it needs."""
    precedence = _OPERAND_PRECEDENCE.get(op, precedence)
    if precedence == ATOM:
        return operand.text
    associative = op in ("add", "multiply") or (op in ("subtract", "divide") and index == 0)
    return (
        operand.text if associative and operand.precedence >= precedence else operand.as_operand(precedence)
    )
