"""Products in C: calls of a helper, a row of the matrix for a token."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.compiler.dims import as_dim, product
from zoo.compiler.emission.arrays import Array
from zoo.compiler.graph import Node
from zoo.compiler.settled import lengths
from zoo.compiler.structure import swap_last
from zoo.compiler.views import ZERO, View, view_of
from zoo.export.c.step import Step
from zoo.export.c.text import CWriter


def write_product(node: Node, step: Step, writer: CWriter) -> None:
    """Write ``a @ w``, or that much more in the array of what it is added to."""
    a, _, *base = node.inputs
    target = step.array_of(node)
    if a.op == "x" and step.is_tokens:
        _write_lookup(node, step, writer)
        return
    if not base:
        writer.line(f"{step.call('clear')}({target.name}, {target.width});")
    elif step.array_of(_view(base[0]).base) != target:
        _write_copy(base[0], target, step, writer)
    _write_rows(node, step, writer)


def _write_lookup(node: Node, step: Step, writer: CWriter) -> None:
    """A one-hot row times a matrix is a row of it."""
    _, w, *base = node.inputs
    matrix, target = _matrix(w, step), step.array_of(node).name
    symbols, width = lengths(w.shape)
    if base:
        _write_copy(base[0], step.array_of(node), step, writer)
    elif matrix.is_transposed:
        writer.line(f"{step.call('clear')}({target}, {width});")
    if matrix.is_transposed:
        writer.line(f"{step.call('add_column')}({matrix.text} + token, {target}, {symbols}, {width});")
    else:
        verb = step.call("add" if base else "copy")
        writer.line(f"{verb}({matrix.text} + (size_t)token * {width}, {target}, {width});")


def _write_copy(source: Node, target: Array, step: Step, writer: CWriter) -> None:
    view = _view(source)
    text = _pointer(step.array_of(view.base), view)
    writer.line(f"{step.call('copy')}({text}, {target.name}, {target.width});")


def _write_rows(node: Node, step: Step, writer: CWriter) -> None:
    """The call for each row of ``a``; a row of heads has a matrix for each."""
    a, w, *_ = node.inputs
    matrix, view, target = _matrix(w, step), _view(a), step.array_of(node)
    depth, width = a.shape[-1], node.shape[-1]
    rows = product(a.shape[:-1])
    source = _pointer(step.array_of(view.base), view)
    helper = step.call("add_product_transposed" if matrix.is_transposed else "add_product")
    if rows == as_dim(1):
        writer.line(f"{helper}({source}, {matrix.text}, {target.name}, {depth}, {width});")
        return
    weights = f"{matrix.text} + at * {depth * width}" if node.op == "dot_heads" else matrix.text
    with writer.block(f"for (size_t at = 0; at < {rows}; at++)"):
        given = f"{source} + at * {depth}, {weights}, {target.name} + at * {width}, {depth}, {width}"
        writer.line(f"{helper}({given});")


@dataclass(frozen=True)
class _Matrix:
    """A matrix, or a stack of them.

    Args:
        text: A pointer to its first number.
        is_transposed: Whether its transpose lies there.
    """

    text: str
    is_transposed: bool


def _matrix(w: Node, step: Step) -> _Matrix:
    inner = swap_last(w) if w.op == "transpose" else w
    view = _view(inner)
    return _Matrix(_pointer(step.array_of(view.base), view), inner is not w)


def _pointer(array: Array, view: View) -> str:
    """Where numbers that lie side by side begin."""
    return array.name if view.offset == ZERO else f"{array.name} + {view.offset}"


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # copies.py saw to it
    return view
