"""Fused loops in C, and scans, running sums and recurrences, which go along their axis in order.

Products in C: calls of a helper, a row of the matrix for a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.codegen.loops import access_to_sum, collect_loads, collect_stores
from zoo.compiler.codegen.storage import ArrayAccess, ArrayVar, axes_of, merged_axes
from zoo.compiler.ir.dims import as_dim, product
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.structural_ops import ONE, REDUCTIONS, SCANS, transpose_last
from zoo.compiler.ir.views import ZERO, View, contiguous, view_of
from zoo.compiler.passes.specialise import concrete_shape
from zoo.compiler.schedule.fusion import FusedLoop, Storage
from zoo.export.c.literals import CWriter, c_type
from zoo.export.c.step_emitter import CExpressions, CStepEmitter


def write_loop(loop: FusedLoop, step: CStepEmitter, writer: CWriter) -> None:
    """Write one loop of a plan."""
    if any(node.op in SCANS for node in loop.body):
        _write_scan(loop, step, writer)
    else:
        _LoopNestEmitter(loop, step, writer).write()


class _LoopNestEmitter:
    """Loops over a shape, and what is computed, summed and stored at each place."""

    def __init__(self, loop: FusedLoop, step: CStepEmitter, writer: CWriter) -> None:
        self.loop, self.step, self.writer = loop, step, writer
        self.loads, self.stores = collect_loads(step, loop), collect_stores(step, loop)
        sums = [node for node in loop.body if node.op in REDUCTIONS]
        self.sums = {node: access_to_sum(step.array_of(node), node, loop.shape) for node in sums}
        accesses = [*self.loads.values(), *self.sums.values(), *(access for _, access in self.stores)]
        self.axes = merged_axes(loop.shape, accesses)
        self.expressions = CExpressions(step, loop.body, [value for value, _ in self.stores])

    def write(self) -> None:
        """Write them."""
        for node, access in self.sums.items():
            self._write_start(node, access)
        names = ["at"] if len(self.axes) == 1 else [f"at{depth}" for depth in range(len(self.axes))]
        self._write_from(names)

    def _write_start(self, node: Node, access: ArrayAccess) -> None:
        """What a sum grows from."""
        start = self.expressions.number(float("-inf") if node.op == "max" else 0.0).text
        if access.array.store == Storage.SCALAR:
            self.writer.line(f"{c_type(self.step.dtype)} {access.array.name} = {start};")
            return
        with self.writer.block(f"for (size_t at = 0; at < {access.array.width}; at++)"):
            self.writer.line(f"{access.array.name}[at] = {start};")

    def _write_from(self, names: Sequence[str], depth: int = 0) -> None:
        if depth == len(names):
            indices = {axis.last: name for axis, name in zip(self.axes, names, strict=True)}
            self._write_body(indices)
            return
        name = names[depth]
        with self.writer.block(f"for (size_t {name} = 0; {name} < {self.axes[depth].length}; {name}++)"):
            self._write_from(names, depth + 1)

    def _write_body(self, indices: Mapping[int, str]) -> None:
        for node, access in self.loads.items():
            self.expressions.load(node, f"{access.array.name}[{access.place(indices)}]")
        for node in self.loop.body:
            if node in self.sums:
                self._write_sum(node, indices)
            elif (line := self.expressions.define(node)) is not None:
                self.writer.line(line)
        for value, access in self.stores:
            target = f"{access.array.name}[{access.place(indices)}]"
            self.writer.line(f"{target} = {self.expressions.stored(value)};")

    def _write_sum(self, node: Node, indices: Mapping[int, str]) -> None:
        access, value = self.sums[node], self.expressions.operand(node.inputs[0]).text
        scalar = access.array.store == Storage.SCALAR
        place = access.array.name if scalar else f"{access.array.name}[{access.place(indices)}]"
        if node.op == "max":
            self.writer.line(f"{place} = {self.step.call('larger')}({place}, {value});")
        else:
            self.writer.line(f"{place} += {value};")


def _write_scan(loop: FusedLoop, step: CStepEmitter, writer: CWriter) -> None:
    (node,) = loop.body
    axis, _ = node.attr
    others = [place for place in axes_of(loop.shape) if place != axis]
    _write_entries(loop, step, writer, others, {axis: "at"})


def _write_entries(
    loop: FusedLoop, step: CStepEmitter, writer: CWriter, others: list[int], indices: dict[int, str]
) -> None:
    """One scan for each place along the other axes."""
    if others:
        name = f"at{others[0]}"
        with writer.block(f"for (size_t {name} = 0; {name} < {loop.shape[others[0]]}; {name}++)"):
            _write_entries(loop, step, writer, others[1:], {**indices, others[0]: name})
        return
    (node,) = loop.body
    axis, reverse = node.attr
    length, total = loop.shape[axis], step.label(node)
    expressions, target = CExpressions(step, loop.body, ()), step.array_of(node)
    for each, access in collect_loads(step, loop).items():
        expressions.load(each, f"{access.array.name}[{access.place(indices)}]")
    place = ArrayAccess(target, ZERO, contiguous(node.shape)).place(indices)
    zero, first = expressions.number(0.0).text, length - ONE if reverse else ZERO
    writer.line(f"{c_type(step.dtype)} {total} = {zero};")
    counting = f"size_t at = {length}; at-- > 0;" if reverse else f"size_t at = 0; at < {length}; at++"
    with writer.block(f"for ({counting})"):
        *factors, term = (expressions.operand(operand).text for operand in node.inputs)
        for factor in factors:  # of a recurrence; the first entry has none before it, whatever its factor is
            writer.line(f"{total} = at == {first} ? {zero} : {total} * {factor};")
        writer.line(f"{total} += {term};")
        writer.line(f"{target.name}[{place}] = {total};")


def write_matmul(node: Node, step: CStepEmitter, writer: CWriter) -> None:
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


def _write_lookup(node: Node, step: CStepEmitter, writer: CWriter) -> None:
    """A one-hot row times a matrix is a row of it."""
    _, w, *base = node.inputs
    matrix, target = _matrix(w, step), step.array_of(node).name
    symbols, width = concrete_shape(w.shape)
    if base:
        _write_copy(base[0], step.array_of(node), step, writer)
    elif matrix.is_transposed:
        writer.line(f"{step.call('clear')}({target}, {width});")
    if matrix.is_transposed:
        writer.line(f"{step.call('add_column')}({matrix.text} + token, {target}, {symbols}, {width});")
    else:
        verb = step.call("add" if base else "copy")
        writer.line(f"{verb}({matrix.text} + (size_t)token * {width}, {target}, {width});")


def _write_copy(source: Node, target: ArrayVar, step: CStepEmitter, writer: CWriter) -> None:
    view = _view(source)
    text = _pointer(step.array_of(view.base), view)
    writer.line(f"{step.call('copy')}({text}, {target.name}, {target.width});")


def _write_rows(node: Node, step: CStepEmitter, writer: CWriter) -> None:
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


def _matrix(w: Node, step: CStepEmitter) -> _Matrix:
    inner = transpose_last(w) if w.op == "transpose" else w
    view = _view(inner)
    return _Matrix(_pointer(step.array_of(view.base), view), inner is not w)


def _pointer(array: ArrayVar, view: View) -> str:
    """Where numbers that lie side by side begin."""
    return array.name if view.offset == ZERO else f"{array.name} + {view.offset}"


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # copies.py saw to it
    return view
