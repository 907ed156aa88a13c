"""Lines and values of the functions in the code of a step."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zoo.compiler.ir.graph import Node

ConcreteShape = tuple[int, ...]


@dataclass(frozen=True)
class CodeValue:
    """A value in the code.

    Args:
        code: A name, or a number.
        axes: The axes of the node that the array has; it is constant along the others.
        lengths: Their lengths, or 1 where the array is constant.
        lead: Number of leading axes: none if all rows share the value.
        number: Its number, if it is one.
    """

    code: str
    axes: tuple[int, ...] = ()
    lengths: ConcreteShape = ()
    lead: int = 0
    number: Any = None


@dataclass(frozen=True)
class CodeLine:
    """A statement: its text, the names that it assigns, and the code that it reads."""

    text: str
    names: tuple[str, ...]
    reads: str


class CodeScope:
    """The lines of a function, with the values that it has.

    Args:
        lead: Lengths of the leading axes: ``(T, B)``, or ``(B,)`` in the loop.
        indent: Indentation.
        outer: The enclosing function, whose shared values are visible.
    """

    def __init__(self, lead: ConcreteShape, indent: str, outer: CodeScope | None = None) -> None:
        self.lead, self.indent, self.outer = lead, indent, outer
        self.lines: list[CodeLine] = []
        self.values: dict[Node, CodeValue] = {}
        self.aligned: dict[tuple[Any, ...], str] = {}
        self.sequences: dict[str, None] = {}

    def assign(self, name: str, expression: str) -> None:
        """Add a line that assigns an expression to a name."""
        self.lines.append(CodeLine(f"{self.indent}{name} = {expression}", (name,), expression))

    def text(self, results: Iterable[str]) -> list[str]:
        """The lines that the results depend on."""
        needed, kept = {word for code in results for word in identifiers(code)}, []
        for line in reversed(self.lines):
            if not needed.isdisjoint(line.names):
                needed |= identifiers(line.reads)
                kept.append(line.text)
        return kept[::-1]

    def value(self, node: Node) -> CodeValue:
        """The value of a node, in this function or in an enclosing one."""
        if node in self.values or self.outer is None:
            return self.values[node]
        return self.outer.values[node]


def identifiers(code: str) -> set[str]:
    """The names and numbers in code."""
    return set(re.findall(r"\w+", code))


def number_value(number: Any) -> CodeValue:
    """A number as a value."""
    code = repr(number)
    if isinstance(number, float) and not math.isfinite(number):
        code = f'float("{number}")'
    return CodeValue(f"({code})" if code.startswith("-") else code, number=number)


def tuple_code(codes: Iterable[str]) -> str:
    """The code of a tuple."""
    return f"({', '.join(codes)},)" if (codes := list(codes)) else "()"
