"""Emission of loops and matrix products in C: fused loops, scans, and calls of helper functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.codegen.storage import (
    ArrayAccess,
    ArrayVar,
    access_to_sum,
    axes_of,
    collect_loads,
    collect_stores,
    merged_axes,
)
from zoo.compiler.ir.dims import ONE, ZERO, as_dim, concrete_shape, product
from zoo.compiler.ir.graph import Node, View, contiguous, view_of
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import TRANSPOSE, X, transpose_last
from zoo.compiler.schedule.fusion import FusedLoop, Storage
from zoo.export.c.literals import CWriter, c_type
from zoo.export.c.operations import MATMULS, REDUCTIONS, SCANS
from zoo.export.c.step_emitter import CExpressions, CStepEmitter


def write_loop(loop: FusedLoop, step: CStepEmitter, writer: CWriter) -> None:
    """Write one loop of a plan."""
    if any(node.op.kind is Kind.SCAN for node in loop.body):
        _write_scan(loop, step, writer)
    else:
        _LoopNestEmitter(loop, step, writer).write()


class _LoopNestEmitter:
    """Writes one fused loop."""

    def __init__(self, loop: FusedLoop, step: CStepEmitter, writer: CWriter) -> None:
        self.loop, self.step, self.writer = loop, step, writer
        self.loads, self.stores = collect_loads(step, loop), collect_stores(step, loop)
        sums = [node for node in loop.body if node.op.kind is Kind.REDUCTION]
        self.sums = {node: access_to_sum(step.array_of(node), node, loop.shape) for node in sums}
        accesses = [*self.loads.values(), *self.sums.values(), *(access for _, access in self.stores)]
        self.axes = merged_axes(loop.shape, accesses)
        self.expressions = CExpressions(step, loop.body, [value for value, _ in self.stores])

    def write(self) -> None:
        for node, access in self.sums.items():
            self._write_initial_value(node, access)
        names = ["at"] if len(self.axes) == 1 else [f"at{depth}" for depth in range(len(self.axes))]
        self._write_nest(names)

    def _write_initial_value(self, node: Node, access: ArrayAccess) -> None:
        initial = self.expressions.number(REDUCTIONS[node.op].initial).text
        if access.array.storage == Storage.SCALAR:
            self.writer.line(f"{c_type(self.step.dtype)} {access.array.name} = {initial};")
            return
        with self.writer.block(f"for (size_t at = 0; at < {access.array.width}; at++)"):
            self.writer.line(f"{access.array.name}[at] = {initial};")

    def _write_nest(self, names: Sequence[str], depth: int = 0) -> None:
        if depth == len(names):
            indices = {axis.axis: name for axis, name in zip(self.axes, names, strict=True)}
            self._write_body(indices)
            return
        name = names[depth]
        with self.writer.block(f"for (size_t {name} = 0; {name} < {self.axes[depth].length}; {name}++)"):
            self._write_nest(names, depth + 1)

    def _write_body(self, indices: Mapping[int, str]) -> None:
        for node, access in self.loads.items():
            self.expressions.load(node, f"{access.array.name}[{access.index(indices)}]")
        for node in self.loop.body:
            if node in self.sums:
                self._write_sum(node, indices)
            elif (line := self.expressions.define(node)) is not None:
                self.writer.line(line)
        for value, access in self.stores:
            target = f"{access.array.name}[{access.index(indices)}]"
            self.writer.line(f"{target} = {self.expressions.stored(value)};")

    def _write_sum(self, node: Node, indices: Mapping[int, str]) -> None:
        access, value = self.sums[node], self.expressions.operand(node.inputs[0]).text
        is_scalar = access.array.storage == Storage.SCALAR
        target = access.array.name if is_scalar else f"{access.array.name}[{access.index(indices)}]"
        reduction = REDUCTIONS[node.op]
        helper = self.step.call(reduction.helper) if reduction.helper else ""
        self.writer.line(reduction.update.format(target, value, f=helper))


def _write_scan(loop: FusedLoop, step: CStepEmitter, writer: CWriter) -> None:
    (node,) = loop.body
    axis, _ = node.attr
    others = [other for other in axes_of(loop.shape) if other != axis]
    _write_scan_nest(loop, step, writer, others, {axis: "at"})


def _write_scan_nest(
    loop: FusedLoop, step: CStepEmitter, writer: CWriter, others: list[int], indices: dict[int, str]
) -> None:
    """The scan within loops over the other axes."""
    if others:
        name = f"at{others[0]}"
        with writer.block(f"for (size_t {name} = 0; {name} < {loop.shape[others[0]]}; {name}++)"):
            _write_scan_nest(loop, step, writer, others[1:], {**indices, others[0]: name})
        return
    (node,) = loop.body
    axis, reverse = node.attr
    length, total = loop.shape[axis], step.variable(node)
    expressions, target = CExpressions(step, loop.body, ()), step.array_of(node)
    for each, access in collect_loads(step, loop).items():
        expressions.load(each, f"{access.array.name}[{access.index(indices)}]")
    index = ArrayAccess(target, ZERO, contiguous(node.shape)).index(indices)
    zero, first = expressions.number(0.0).text, length - ONE if reverse else ZERO
    writer.line(f"{c_type(step.dtype)} {total} = {zero};")
    loop_head = f"size_t at = {length}; at-- > 0;" if reverse else f"size_t at = 0; at < {length}; at++"
    with writer.block(f"for ({loop_head})"):
        operands = [expressions.operand(operand).text for operand in node.inputs]
        for line in SCANS[node.op]:
            writer.line(line.format(*operands, total=total, zero=zero, first=first))
        writer.line(f"{target.name}[{index}] = {total};")


def write_matmul(node: Node, step: CStepEmitter, writer: CWriter) -> None:
    """Write ``a @ w``, added to the array of its addend if it has one."""
    a, _, *base = node.inputs
    target = step.array_of(node)
    if a.op == X and step.is_tokens:
        _write_lookup(node, step, writer)
        return
    if not base:
        writer.line(f"{step.call('clear')}({target.name}, {target.width});")
    elif step.array_of(_view(base[0]).base) != target:
        _write_copy(base[0], target, step, writer)
    _write_rows(node, step, writer)


def _write_lookup(node: Node, step: CStepEmitter, writer: CWriter) -> None:
    """The product of a one-hot row and a matrix: a row of the matrix."""
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
        helper = step.call("add" if base else "copy")
        writer.line(f"{helper}({matrix.text} + (size_t)token * {width}, {target}, {width});")


def _write_copy(source: Node, target: ArrayVar, step: CStepEmitter, writer: CWriter) -> None:
    view = _view(source)
    pointer = _pointer(step.array_of(view.base), view)
    writer.line(f"{step.call('copy')}({pointer}, {target.name}, {target.width});")


def _write_rows(node: Node, step: CStepEmitter, writer: CWriter) -> None:
    """The call for each row of ``a``; with heads, each row has its own matrix."""
    a, w, *_ = node.inputs
    matrix, view, target = _matrix(w, step), _view(a), step.array_of(node)
    depth, width = a.shape[-1], node.shape[-1]
    rows = product(a.shape[:-1])
    source = _pointer(step.array_of(view.base), view)
    helper = step.call("add_product_transposed" if matrix.is_transposed else "add_product")
    if rows == as_dim(1):
        writer.line(f"{helper}({source}, {matrix.text}, {target.name}, {depth}, {width});")
        return
    weights = MATMULS[node.op].format(matrix.text, depth * width)
    with writer.block(f"for (size_t at = 0; at < {rows}; at++)"):
        arguments = f"{source} + at * {depth}, {weights}, {target.name} + at * {width}, {depth}, {width}"
        writer.line(f"{helper}({arguments});")


@dataclass(frozen=True)
class _Matrix:
    """A matrix, or a stack of them.

    Args:
        text: Pointer to its first element.
        is_transposed: Whether the array holds the transpose.
    """

    text: str
    is_transposed: bool


def _matrix(w: Node, step: CStepEmitter) -> _Matrix:
    inner = transpose_last(w) if w.op == TRANSPOSE else w
    view = _view(inner)
    return _Matrix(_pointer(step.array_of(view.base), view), inner is not w)


def _pointer(array: ArrayVar, view: View) -> str:
    return array.name if view.offset == ZERO else f"{array.name} + {view.offset}"


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # insert_copies.py made sure of it
    return view
