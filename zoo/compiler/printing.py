"""Equations as a reader writes them: values by name, operations by sign, and as few brackets as will do."""

from __future__ import annotations

import re

from zoo.compiler.ir.dims import Dim
from zoo.compiler.ir.graph import Node, Shape
from zoo.compiler.ir.structural_ops import ONE, VIEWS
from zoo.compiler.ir.views import ZERO, view_of
from zoo.compiler.passes.insert_copies import LEAF_OPS

# Operations that are written with a sign, and how tightly it binds; the others are written as calls.
_SIGNS = {
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
    """A size as one writes it: ``4H``, ``8·H·I + 3H``."""
    text = str(dim).replace(" * ", "·").replace(" // ", "/")
    return re.sub(r"\b(\d+)·([A-Z])(?!·)", r"\1\2", text)


def format_shape(shape: Shape) -> str:
    """A shape in letters, ``(4H)``."""
    return f"({', '.join(map(format_dim, shape))})"


class EquationPrinter:
    """Writes values in terms of those that have a name; who derives from it says which have one."""

    def has_name(self, node: Node) -> bool:
        """Whether a value is told in an equation of its own."""
        raise NotImplementedError

    def has_own_text(self, node: Node) -> bool:
        """Whether a view is written by other means than the value that it is a view of."""
        return self.has_name(node)

    def give_name(self, node: Node) -> str:
        """The name of a value, which gets one if it has none."""
        raise NotImplementedError

    def equation(self, node: Node) -> str:
        """What a value is, in terms of what has a name."""
        return self._written(node)[0]

    def operand(self, node: Node, binding: int = 0) -> str:
        """A value within an equation."""
        if node.value is not None:
            return _format_number(node.value)
        if self.has_name(node):
            return self.give_name(node)
        written, own = self._written(node)
        return written if own >= binding else f"({written})"

    def _written(self, node: Node) -> tuple[str, int]:
        """An equation, and how tightly it binds."""
        if node.op in _SIGNS:
            return self._infix(node)
        if node.op == "negative":
            return f"-{self.operand(node.inputs[0], _NEGATIVE)}", _NEGATIVE
        return self._atom(node), _ATOM

    def _infix(self, node: Node) -> tuple[str, int]:
        sign, binding = _SIGNS[node.op]
        a, b = node.inputs
        left = self.operand(a, binding)
        if node.op == "add" and b.value is not None and b.value < 0:
            return f"{left} - {_format_number(-b.value)}", binding
        if node.op == "add" and b.op == "negative" and not self.has_name(b):
            return f"{left} - {self.operand(b.inputs[0], binding + 1)}", binding
        right = self.operand(b, binding + (b.op not in _ASSOCIATIVE.get(node.op, ())))
        return f"{left} {sign} {right}", binding

    def _atom(self, node: Node) -> str:
        if node.op in LEAF_OPS:
            return _format_leaf(node)
        if node.op in VIEWS:
            return self._view(node)
        listed = ", ".join(map(self.operand, node.inputs))
        if node.op == "copy":
            return listed
        return (
            f"[{listed}]"
            if node.op == "concat"
            else f"{'abs' if node.op == 'absolute' else node.op}({listed})"
        )

    def _view(self, node: Node) -> str:
        chain, inner = [node], node.inputs[0]
        while inner.op in VIEWS and inner.value is None and not self.has_own_text(inner):
            chain.append(inner)
            inner = inner.inputs[0]
        return self.operand(inner, _ATOM) + "".join(map(_format_view, reversed(chain)))


def _format_view(node: Node) -> str:
    """What a view adds to the text of its input."""
    if node.op == "slice":
        axis, start, stop = node.attr
        window = format_dim(start) if stop - start == ONE else f"{format_dim(start)}:{format_dim(stop)}"
        return f"[{', '.join([*[':'] * axis, window])}]"
    if node.op == "stride":
        axis, *rest = node.attr
        return f"[{', '.join([*[':'] * axis, _format_stride(node.inputs[0].shape[axis], *rest)])}]"
    return ".T" if node.op == "transpose" and not is_contiguous_view(node) else ""


def _format_stride(whole: Dim, start: Dim, step: Dim, length: Dim) -> str:
    """A slice with a step: ``1::2``, ``::-1``; an end is left out where it is that of the axis."""
    last = start + step * (length - ONE)
    if step.signs() == {-1}:
        first, is_all = whole - ONE, last == ZERO
        stop = last - ONE
    else:
        first, is_all = ZERO, (last + step - whole).signs() <= {0, 1}
        stop = last + ONE
    begin, end = "" if start == first else format_dim(start), "" if is_all else format_dim(stop)
    return f"{begin}:{end}:{format_dim(step)}"


def is_contiguous_view(node: Node) -> bool:
    """Whether a view has its numbers as they lie."""
    view = view_of(node)
    return view is not None and view.is_window


def _format_leaf(node: Node) -> str:
    """A leaf that nobody declared."""
    if node.op in ("size", "eye"):
        return format_dim(node.attr) if node.op == "size" else f"eye({format_dim(node.shape[0])})"
    return (
        f"[{', '.join(map(_format_number, node.attr))}]" if node.op == "array" else f"{node.op}({node.attr})"
    )


def _format_number(value: float) -> str:
    """A number as one writes it: ``0.3`` for ``1 - 0.7``, ``1e-6`` rather than ``1e-06``."""
    return re.sub(r"e([+-])0", r"e\1", f"{value:.12g}")
