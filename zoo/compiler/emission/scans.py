"""Emission of scans, running sums and recurrences, which go along their axis in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.compiler.emission.access import Access, axes_of
from zoo.compiler.emission.expressions import PythonExpressions
from zoo.compiler.emission.loops import collected_loads
from zoo.compiler.emission.writer import Writer
from zoo.compiler.fusion import Loop
from zoo.compiler.graph import Node
from zoo.compiler.views import ZERO, contiguous

if TYPE_CHECKING:
    from zoo.compiler.emission.function import Function


def write_scan(loop: Loop, function: Function, writer: Writer) -> None:
    """Write the loop of one scan."""
    (node,) = loop.body
    axis, _ = node.attr
    others = [other for other in axes_of(loop.shape) if other != axis]
    _write_from(loop, function, writer, others, {})


def _write_from(
    loop: Loop, function: Function, writer: Writer, others: list[int], indices: dict[int, str]
) -> None:
    if others:
        name = f"i{len(indices)}"
        with writer.block(f"for {name} in range({loop.shape[others[0]]}):"):
            _write_from(loop, function, writer, others[1:], indices | {others[0]: name})
        return
    _write_entries(loop, function, writer, indices)


def _write_entries(loop: Loop, function: Function, writer: Writer, indices: dict[int, str]) -> None:
    (node,) = loop.body
    axis, reverse = node.attr
    length, total = loop.shape[axis], function.label(node)
    target = Access(function.array_of(node), ZERO, contiguous(node.shape))
    indices = indices | {axis: "k"}
    zero = function.numbers.name(0.0)
    writer.line(f"{total} = {zero}")
    with writer.block(f"for j in range({length}):"):
        writer.line(f"k = {f'{length} - 1 - j' if reverse else 'j'}")
        *factors, term = (_value(loop, function, operand, indices) for operand in node.inputs)
        for factor in factors:  # of a recurrence; the first entry has none before it, whatever its factor is
            writer.line(f"{total} = {total} * {factor} if j > 0 else {zero}")
        writer.line(f"{total} += {term}")
        writer.line(f"{target.array.row}[{target.place(indices)}] = {total}")


def _value(loop: Loop, function: Function, operand: Node, indices: dict[int, str]) -> str:
    """An operand at each place."""
    expressions = PythonExpressions(function, loop.body, ())
    for node, access in collected_loads(function, loop).items():
        expressions.load(node, f"{access.array.row}[{access.place(indices)}]")
    return expressions.operand(operand).text
