"""Values as Python expressions: what is written out where it is used, and what gets a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.compiler.fusion import Store
from zoo.compiler.graph import Node
from zoo.compiler.views import view_of

if TYPE_CHECKING:
    from zoo.compiler.emission.function import Function

# How tightly a piece of code binds: operators, then what needs no parentheses anywhere.
COMPARISON, SUM, TERM, SIGN, POWER, ATOM = range(6)
_BINDING = {
    "add": SUM,
    "subtract": SUM,
    "multiply": TERM,
    "divide": TERM,
    "remainder": SUM,
    "negative": SIGN,
    "power": POWER,
}
# `a * b % c` is not `a * (b % c)`, so % binds loosely to the outside and tightly to the inside.
_INSIDE = {"remainder": TERM}
# Longer expressions get a variable of their own.
_LONGEST = 60


@dataclass(frozen=True)
class Code:
    """A piece of an expression, and how tightly it binds."""

    text: str
    binding: int = ATOM

    def inside(self, binding: int) -> str:
        """The text as an operand of something that binds so."""
        return self.text if self.binding > binding else f"({self.text})"


class Expressions:
    """The expressions of one loop.

    Args:
        function: The pass, which knows names, numbers and arrays.
        body: What the loop computes.
        stored: What it stores.
    """

    def __init__(self, function: Function, body: Iterable[Node], stored: Iterable[Node]) -> None:
        self.function = function
        self.codes: dict[Node, Code] = {}
        self.uses = _uses(body, stored)

    def load(self, node: Node, address: str) -> None:
        """Say where a value is read, which is one or zero if it is true or false."""
        zero = self.function.numbers.name(0.0) if node.truth else ""
        self.codes[node] = Code(f"{address} != {zero}", COMPARISON) if node.truth else Code(address)

    def define(self, node: Node) -> str | None:
        """The line that computes a value; None if it is written out where it is used."""
        code = self._expression(node)
        if self._stays(node, code):
            self.codes[node] = code
            return None
        name = self.function.label(node)
        self.codes[node] = Code(name)
        return f"{name} = {code.text}"

    def operand(self, node: Node) -> Code:
        """A value where it is used."""
        if node in self.codes:
            return self.codes[node]
        if node.value is not None:
            return Code(self.function.numbers.name(node.value))
        view = view_of(node)
        assert view is not None  # what is neither here nor in an array is a variable
        return Code(self.function.label(view.base))

    def stored(self, node: Node) -> str:
        """A value as it is stored: true and false as one and zero."""
        text, numbers = self.operand(node).text, self.function.numbers
        if node.truth:
            return f"kernels.choose({text}, {numbers.name(1.0)}, {numbers.name(0.0)})"
        return text

    def _stays(self, node: Node, code: Code) -> bool:
        function = self.function
        local = function.has_array(node) and function.array_of(node).store == Store.SCALAR
        named = local or node in function.equations.names
        return self.uses.get(node, 0) <= 1 and not named and len(code.text) <= _LONGEST

    def _expression(self, node: Node) -> Code:
        if node.op == "copy":
            return self.operand(node.inputs[0])
        operation = node.graph.operations[node.op]
        binding = COMPARISON if operation.truth else _BINDING.get(node.op, ATOM)
        operands = [self.operand(operand) for operand in node.inputs]
        texts = [_fitted(operand, binding, node.op, place) for place, operand in enumerate(operands)]
        return Code(operation.code.format(*texts), binding)


def _fitted(operand: Code, binding: int, op: str, place: int) -> str:
    """An operand with the parentheses it needs."""
    binding = _INSIDE.get(op, binding)
    if binding == ATOM:
        return operand.text
    associative = op in ("add", "multiply") or (op in ("subtract", "divide") and place == 0)
    return operand.text if associative and operand.binding >= binding else operand.inside(binding)


def _uses(body: Iterable[Node], stored: Iterable[Node]) -> dict[Node, int]:
    """How often each value is written in the expressions of a loop."""
    found: dict[Node, int] = {}
    for node in body:
        operation = node.graph.operations.get(node.op)
        for place, operand in enumerate(node.inputs):
            times = operation.code.count(f"{{{place}}}") if operation else 1
            found[operand] = found.get(operand, 0) + times
    for value in stored:
        found[value] = found.get(value, 0) + 1
    return found
