"""Values as expressions: what is written out where it is used, and what gets a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.compiler.codegen.storage import StorageMap
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.views import view_of
from zoo.compiler.schedule.fusion import Storage

if TYPE_CHECKING:
    from zoo.compiler.codegen.pass_emitter import PassEmitter

# How tightly a piece of code binds: operators, then what needs no parentheses anywhere.
COMPARISON, SUM, TERM, SIGN, POWER, ATOM = range(6)
BINDING = {
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
class ExprText:
    """A piece of an expression, and how tightly it binds."""

    text: str
    binding: int = ATOM

    def inside(self, binding: int) -> str:
        """The text as an operand of something that binds so."""
        return self.text if self.binding > binding else f"({self.text})"


class Expressions:
    """The expressions of one loop; who derives from it says in what language.

    Args:
        places: Where values are, and what they are called.
        body: What the loop computes.
        stored: What it stores.
    """

    def __init__(self, places: StorageMap, body: Iterable[Node], stored: Iterable[Node]) -> None:
        self.places = places
        self.codes: dict[Node, ExprText] = {}
        self.uses = self._uses(body, stored)

    def load(self, node: Node, address: str) -> None:
        """Say where a value is read, which is one or zero if it is true or false."""
        truth = f"{address} != {self.number(0.0).text}" if node.is_bool else ""
        self.codes[node] = ExprText(truth, COMPARISON) if truth else ExprText(address)

    def define(self, node: Node) -> str | None:
        """The line that computes a value; None if it is written out where it is used."""
        code = self._expression(node)
        if self._stays(node, code):
            self.codes[node] = code
            return None
        name = self.places.label(node)
        self.codes[node] = ExprText(name)
        return self.assignment(node, name, code.text)

    def operand(self, node: Node) -> ExprText:
        """A value where it is used."""
        if node in self.codes:
            return self.codes[node]
        if node.value is not None:
            return self.number(node.value)
        view = view_of(node)
        assert view is not None  # what is neither here nor in an array is a variable
        return ExprText(self.places.label(view.base))

    def stored(self, node: Node) -> str:
        """A value as it is stored: true and false as one and zero."""
        text = self.operand(node).text
        return self.as_number(text) if node.is_bool else text

    # What every language has in its own way.

    def number(self, value: float) -> ExprText:
        """A number as code."""
        raise NotImplementedError

    def as_number(self, condition: str) -> str:
        """One where a condition holds, else zero."""
        raise NotImplementedError

    def assignment(self, node: Node, name: str, text: str) -> str:
        """The line that gives a variable the value of an expression."""
        raise NotImplementedError

    def template(self, node: Node) -> tuple[str, int]:
        """How an operation is written, ``{0}`` for its first operand, and how tightly that binds."""
        raise NotImplementedError

    def _stays(self, node: Node, code: ExprText) -> bool:
        places = self.places
        local = places.has_array(node) and places.array_of(node).store == Storage.SCALAR
        named = local or node in places.step_graph.names
        return self.uses.get(node, 0) <= 1 and not named and len(code.text) <= _LONGEST

    def _expression(self, node: Node) -> ExprText:
        if node.op == "copy":
            return self.operand(node.inputs[0])
        template, binding = self.template(node)
        operands = [self.operand(operand) for operand in node.inputs]
        texts = [_fitted(operand, binding, node.op, place) for place, operand in enumerate(operands)]
        return ExprText(template.format(*texts), binding)

    def _uses(self, body: Iterable[Node], stored: Iterable[Node]) -> dict[Node, int]:
        """How often each value is written in the expressions of the loop."""
        found: dict[Node, int] = {}
        for node in body:
            template = self.template(node)[0] if node.op in node.graph.operations else None
            for place, operand in enumerate(node.inputs):
                times = 1 if template is None else template.count(f"{{{place}}}")
                found[operand] = found.get(operand, 0) + times
        for value in stored:
            found[value] = found.get(value, 0) + 1
        return found


class PythonExpressions(Expressions):
    """The expressions of one loop of a kernel."""

    def __init__(self, function: PassEmitter, body: Iterable[Node], stored: Iterable[Node]) -> None:
        super().__init__(function, body, stored)
        self._numbers = function.numbers

    def number(self, value: float) -> ExprText:
        """A variable of the kernel's dtype."""
        return ExprText(self._numbers.name(value))

    def as_number(self, condition: str) -> str:
        """A call: a choice that Numba makes without a branch."""
        return f"kernels.choose({condition}, {self._numbers.name(1.0)}, {self._numbers.name(0.0)})"

    def assignment(self, node: Node, name: str, text: str) -> str:  # noqa: ARG002 - as every language
        """A variable is made by giving it a value."""
        return f"{name} = {text}"

    def template(self, node: Node) -> tuple[str, int]:
        """As the table of operations has it."""
        operation = node.graph.operations[node.op]
        return operation.code, COMPARISON if operation.is_bool else BINDING.get(node.op, ATOM)


def _fitted(operand: ExprText, binding: int, op: str, place: int) -> str:
    """An operand with the parentheses it needs."""
    binding = _INSIDE.get(op, binding)
    if binding == ATOM:
        return operand.text
    associative = op in ("add", "multiply") or (op in ("subtract", "divide") and place == 0)
    return operand.text if associative and operand.binding >= binding else operand.inside(binding)
