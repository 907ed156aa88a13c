"""Printing of equations with names, operators and few parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from zoo.compiler.ir.dims import ONE, ZERO, Dim
from zoo.compiler.ir.elementwise_ops import ABSOLUTE, ADD, COPY, NEGATIVE
from zoo.compiler.ir.graph import Node, Shape, view_of
from zoo.compiler.ir.op_table import Kind, Op
from zoo.compiler.ir.structural_ops import (
    ARRAY,
    BROADCAST,
    CONCAT,
    EYE,
    RESHAPE,
    SIZE,
    SLICE,
    STRIDE,
    TRANSPOSE,
)

# Operations with an operator, and its precedence; the others are written as calls.
_OPERATORS = {
    "logical_or": ("or", 0),
    "logical_and": ("and", 1),
    "less": ("<", 2),
    "less_equal": ("<=", 2),
    "greater": (">", 2),
    "greater_equal": (">=", 2),
    "equal": ("==", 2),
    "not_equal": ("!=", 2),
    "add": ("+", 3),
    "subtract": ("-", 3),
    "multiply": ("*", 4),
    "divide": ("/", 4),
    "remainder": ("%", 4),
    "power": ("**", 6),
}
_NEGATIVE, _ATOM = 5, 7
_ASSOCIATIVE = {"add": ("add", "subtract"), "multiply": ("multiply",)}


def format_dim(dim: Dim) -> str:
    """A size as text: ``4H``, ``8·H·I + 3H``."""
    text = str(dim).replace(" * ", "·").replace(" // ", "/").replace("_per_", "/")
    return re.sub(r"\b(\d+)·([A-Z])(?!·)", r"\1\2", text)


def format_shape(shape: Shape) -> str:
    """A shape in letters, ``(4H)``."""
    return f"({', '.join(map(format_dim, shape))})"


class EquationPrinter:
    """Writes values in terms of named values; subclasses choose which have a name."""

    def has_name(self, node: Node) -> bool:
        """Whether a value has an equation of its own."""
        raise NotImplementedError

    def has_own_text(self, node: Node) -> bool:
        """Whether a view is not written as an index into its base."""
        return self.has_name(node)

    def give_name(self, node: Node) -> str:
        """The name of a value; assigned if it has none."""
        raise NotImplementedError

    def equation(self, node: Node) -> str:
        """The equation of a value in terms of named values."""
        return self._format(node)[0]

    def operand(self, node: Node, precedence: int = 0) -> str:
        """A value as an operand of an operator with a precedence."""
        if node.value is not None:
            return _format_number(node.value)
        if self.has_name(node):
            return self.give_name(node)
        text, own = self._format(node)
        return text if own >= precedence else f"({text})"

    def _format(self, node: Node) -> tuple[str, int]:
        """An equation and its precedence."""
        if node.op in _OPERATORS:
            return self._infix(node)
        if node.op == NEGATIVE:
            return f"-{self.operand(node.inputs[0], _NEGATIVE)}", _NEGATIVE
        return self._atom(node), _ATOM

    def _infix(self, node: Node) -> tuple[str, int]:
        sign, precedence = _OPERATORS[node.op]
        a, b = node.inputs
        left = self.operand(a, precedence)
        if node.op == ADD and b.value is not None and b.value < 0:
            return f"{left} - {_format_number(-b.value)}", precedence
        if node.op == ADD and b.op == NEGATIVE and not self.has_name(b):
            return f"{left} - {self.operand(b.inputs[0], precedence + 1)}", precedence
        right = self.operand(b, precedence + (b.op not in _ASSOCIATIVE.get(node.op, ())))
        return f"{left} {sign} {right}", precedence

    def _atom(self, node: Node) -> str:
        if node.op.kind is Kind.LEAF:
            return _format_leaf(node)
        if node.op.kind is Kind.VIEW:
            return self._view(node)
        operands = ", ".join(map(self.operand, node.inputs))
        if node.op == COPY:
            return operands
        return (
            f"[{operands}]"
            if node.op == CONCAT
            else f"{'abs' if node.op == ABSOLUTE else node.op}({operands})"
        )

    def _view(self, node: Node) -> str:
        chain, inner = [node], node.inputs[0]
        while inner.op.kind is Kind.VIEW and inner.value is None and not self.has_own_text(inner):
            chain.append(inner)
            inner = inner.inputs[0]
        return self.operand(inner, _ATOM) + "".join(_view_suffix(view) for view in reversed(chain))


def _format_slice(node: Node) -> str:
    axis, start, stop = node.attr
    window = format_dim(start) if stop - start == ONE else f"{format_dim(start)}:{format_dim(stop)}"
    return f"[{', '.join([*[':'] * axis, window])}]"


def _format_strided_slice(node: Node) -> str:
    axis, *rest = node.attr
    return f"[{', '.join([*[':'] * axis, _format_stride(node.inputs[0].shape[axis], *rest)])}]"


def _view_suffix(node: Node) -> str:
    """The suffix that a view adds to its input: that of the table, or its name."""
    return VIEW_SUFFIXES[node.op](node) if node.op in VIEW_SUFFIXES else f".{node.op}({node.attr})"


# The suffix that a view adds to its input.
VIEW_SUFFIXES: Mapping[Op, Callable[[Node], str]] = {
    BROADCAST: lambda node: "",  # noqa: ARG005
    RESHAPE: lambda node: "",  # noqa: ARG005
    SLICE: _format_slice,
    STRIDE: _format_strided_slice,
    TRANSPOSE: lambda node: "" if is_row_as_column(node) else ".T",
}


def _format_stride(whole: Dim, start: Dim, step: Dim, length: Dim) -> str:
    """A slice with a step: ``1::2``, ``::-1``; ends of the axis are omitted."""
    last = start + step * (length - ONE)
    if step.signs() == {-1}:
        first, is_all = whole - ONE, last == ZERO
        stop = last - ONE
    else:
        first, is_all = ZERO, (last + step - whole).signs() <= {0, 1}
        stop = last + ONE
    begin, end = "" if start == first else format_dim(start), "" if is_all else format_dim(stop)
    return f"{begin}:{end}:{format_dim(step)}"


def is_row_as_column(node: Node) -> bool:
    """Whether a transposed value has the order of its base: a vector, and no declared ``(H, 1)`` matrix."""
    view, base = view_of(node), node.inputs[0]
    is_declared_matrix = base.op.kind is Kind.LEAF and len(base.shape) == 2
    return view is not None and view.is_contiguous and not is_declared_matrix


def _format_leaf(node: Node) -> str:
    """A leaf without a declaration."""
    if node.op in (SIZE, EYE):
        size = format_dim(node.attr if node.op == SIZE else node.shape[0])
        return f"eye({size})" if node.op == EYE else size if size.isalnum() else f"({size})"
    return f"[{', '.join(map(_format_number, node.attr))}]" if node.op == ARRAY else f"{node.op}({node.attr})"


def _format_number(value: float) -> str:
    """A number as text: ``0.3`` for ``1 - 0.7``, ``1e-6`` rather than ``1e-06``."""
    return re.sub(r"e([+-])0", r"e\1", f"{value:.12g}")
