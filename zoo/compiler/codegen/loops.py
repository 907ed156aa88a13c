"""Emission of fused loops, scans, and innermost loops as functions.

A fused loop is one nest over a shape whose innermost loop runs over contiguous elements. A scan, a running
sum or recurrence, runs along its axis in order.

An innermost loop over many arrays becomes a function of its own. LLVM vectorises a loop only if no two of its
arrays overlap. It cannot know that of arrays that a kernel allocated, let alone of parts of a row, and tests
it at run time: for the dozen arrays of a gate 160 instructions, before every row or once for all. If once, it
compares all that the rows span, finds that adjacent parts of a row overlap, and computes element by element:
an LSTM's backward pass took 7.5 cycles an element so, and takes 2 with arrays that are declared disjoint,
which only a function's arguments can be. The whole backward pass took 16 % more at H=64, a GRU's 27 %, and
neither compiles slower for it.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from zoo.compiler.codegen.array_variables import (
    ArrayAccess,
    LoopAxis,
    access_to_sum,
    axes_of,
    collect_loads,
    collect_stores,
    merged_axes,
)
from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.codegen.expressions import PythonExpressions
from zoo.compiler.codegen.writer import Writer
from zoo.compiler.ir.dims import ONE, ZERO, Dim
from zoo.compiler.ir.graph import Node, contiguous, squeezed
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import ROW_SUM
from zoo.compiler.schedule.fusion import ArrayLayout, FusedLoop


def write_loop(loop: FusedLoop, context: EmitContext, writer: Writer) -> None:
    """Write one loop of a schedule."""
    if loop.is_axis_scan:
        _write_scan(loop, context, writer)
    else:
        _LoopNestEmitter(loop, context, writer).write()


def _write_scan(loop: FusedLoop, context: EmitContext, writer: Writer) -> None:
    (node,) = loop.body
    axis, _ = node.attr
    others = [other for other in axes_of(loop.shape) if other != axis]
    _write_scan_nest(loop, context, writer, others, {})


def _write_scan_nest(
    loop: FusedLoop, context: EmitContext, writer: Writer, others: list[int], indices: dict[int, str]
) -> None:
    """Loops over the other axes around the scan."""
    if others:
        name = f"i{len(indices)}"
        with writer.block(f"for {name} in range({loop.shape[others[0]]}):"):
            _write_scan_nest(loop, context, writer, others[1:], indices | {others[0]: name})
        return
    _write_scan_loop(loop, context, writer, indices)


def _write_scan_loop(loop: FusedLoop, context: EmitContext, writer: Writer, indices: dict[int, str]) -> None:
    (node,) = loop.body
    axis, reverse = node.attr
    length, total = loop.shape[axis], context.variable(node)
    target = ArrayAccess(context.array_of(node), ZERO, contiguous(node.shape))
    indices = indices | {axis: "entry"}
    zero = context.numbers.name(0.0)
    writer.line(f"{total} = {zero}")
    with writer.block(f"for j in range({length}):"):
        writer.line(f"entry = {f'{length} - 1 - j' if reverse else 'j'}")
        operands = [_scan_operand(loop, context, operand, indices) for operand in node.inputs]
        for line in node.op.code.splitlines():
            writer.line(line.format(*operands, total=total, zero=zero))
        writer.line(f"{target.array.row}[{target.index(indices)}] = {total}")


def _scan_operand(loop: FusedLoop, context: EmitContext, operand: Node, indices: dict[int, str]) -> str:
    expressions = PythonExpressions(context, loop.body, ())
    for node, access in collect_loads(context, loop).items():
        expressions.load(node, f"{access.array.row}[{access.index(indices)}]")
    return expressions.operand(operand).text


# As an argument, a builtin such as `abs` would have another type in the next process: a loop from the cache
# could not be called with it.
_GLOBALS = {"j", "kernels", "np", *dir(builtins)}

MIN_OUTLINE_PAIRS = 4
"""Pairs of arrays that might overlap; with fewer, the run time test costs next to nothing."""


def index_range(length: str) -> str:
    """The range of ``j``, the index of an innermost loop, which is unsigned.

    Numba adds the length of an axis to negative indices. LLVM could not prove that there are none in a loop
    over 23 arrays of ``comba``, and loaded and stored single elements: the backward pass took 1.2 times as
    long.
    """
    return f"range(np.uint64({length}))"


def strided_index(start: str, stride: Dim) -> str:
    """The index of element ``j`` from ``start`` on, in unsigned numbers unless the sign of the stride varies.

    With signed numbers, the loop that separates the real and imaginary parts of ``retnet`` took 2.5 times as
    long (AMD EPYC, Zen 4), see :func:`index_range`. Every number is unsigned, since the sum of an int64 and a
    uint64 is a float64. In Python, ``j`` is an int.
    """
    signs = stride.signs()
    if signs >= {-1, 1}:  # for example 2 - H, of rows of H - 2 elements backwards
        return f"{start} + np.int64(j) * ({stride})"
    is_negative = -1 in signs
    term = f"np.uint64(j) * np.uint64({ZERO - stride if is_negative else stride})"
    if start == "0":
        return term
    return f"np.uint64({start}) {'-' if is_negative else '+'} {term}"


class OutlinedLoop(NamedTuple):
    """A loop as a function.

    Args:
        lines: The function.
        call: The line that calls it.
    """

    lines: list[str]
    call: str


def _is_worth_outlining(body: Sequence[str]) -> bool:
    """Whether a loop with this body reads and writes enough arrays."""
    read: set[str] = set()
    written: set[str] = set()
    for node in _nodes_of("\n".join(body)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            (written if isinstance(node.ctx, ast.Store) else read).add(node.value.id)
    pairs = len(written) * (len(written) - 1) // 2 + len(written) * len(read - written)
    return pairs >= MIN_OUTLINE_PAIRS


def outline_loop(name: str, body: Sequence[str], length: str, sums: Sequence[str]) -> OutlinedLoop:
    """A loop over ``j`` as a function.

    Args:
        name: Name of the function.
        body: Lines in the loop.
        length: Number of iterations.
        sums: Variables that accumulate.
    """
    variables = [*_free_variables("\n".join(body)), *_free_variables(length)]
    free = [each for each in dict.fromkeys(variables) if each not in sums]
    arguments, results = ", ".join([*free, *sums]), ", ".join(sums)
    lines = [
        "@zoo.njit(inline=True, noalias=True)",
        f"def {name}({arguments}):",
        f"    for j in {index_range(length)}:",
        *(f"        {line}" for line in body),
        *([f"    return {results}"] if sums else []),
    ]
    return OutlinedLoop(lines, f"{results} = {name}({arguments})" if sums else f"{name}({arguments})")


@functools.lru_cache(maxsize=1)
def _nodes_of(code: str) -> list[ast.AST]:
    """The nodes of the body of a loop, for both functions that read them."""
    return list(ast.walk(ast.parse(code)))


def _free_variables(code: str) -> Iterator[str]:
    """The variables that code reads and does not assign, in order."""
    names = [node for node in _nodes_of(code) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | _GLOBALS
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset)):
        if node.id not in bound:
            yield node.id


class _LoopNestEmitter:
    """Writes one fused loop."""

    def __init__(self, loop: FusedLoop, context: EmitContext, writer: Writer) -> None:
        self.loop, self.context, self.writer = loop, context, writer
        self.slices: dict[str, str] = {}
        self.loads = collect_loads(context, loop)
        reductions = [node for node in loop.body if node.op.kind in (Kind.REDUCTION, Kind.ROW_SUM)]
        self.targets = {node: self._target(node) for node in reductions}
        self.stores = collect_stores(context, loop)
        accesses = [*self.loads.values(), *self.targets.values(), *(access for _, access in self.stores)]
        self.axes: list[LoopAxis] = merged_axes(loop.shape, accesses)
        self.expressions = PythonExpressions(context, loop.body, [value for value, _ in self.stores])

    def _target(self, node: Node) -> ArrayAccess:
        array = self.context.array_of(node)
        if node.op == ROW_SUM:
            return ArrayAccess(array, ZERO, contiguous(squeezed(node.shape)))
        return access_to_sum(array, node)

    def write(self) -> None:
        self._write_initial_values()
        names = [f"i{depth}" if len(self.axes) > 2 else "outer" for depth in range(len(self.axes) - 1)]
        self._write_nest(0, names)

    def _write_nest(self, depth: int, names: list[str]) -> None:
        if depth < len(names):
            with self.writer.block(f"for {names[depth]} in range({self.axes[depth].length}):"):
                self._write_nest(depth + 1, names)
            return
        indices = {axis.axis: name for axis, name in zip(self.axes, names, strict=False)}
        self._write_innermost(indices)

    def _write_innermost(self, indices: Mapping[int, str]) -> None:
        for node, access in self.loads.items():
            self.expressions.load(node, self._element(access, indices))
        targets = {node: self._sum_element(node, indices) for node in self.targets}
        stores = [(value, self._element(access, indices)) for value, access in self.stores]
        if not self.axes:
            for line in self._body(targets, stores):
                self.writer.line(line)
            return
        length, body = str(self.axes[-1].length), list(self._body(targets, stores))
        if _is_worth_outlining(body):
            self.writer.line(
                self._outline(body, length, [name for name in targets.values() if name.isidentifier()])
            )
        else:
            with self.writer.block(f"for j in {index_range(length)}:"):
                for line in body:
                    self.writer.line(line)
        self._write_sums(indices)

    def _outline(self, body: list[str], length: str, sums: list[str]) -> str:
        """Add the loop to the functions of the kernel; the line that calls it."""
        context = self.context
        loop = outline_loop(
            context.names.fresh(f"{context.name}_loop_{len(context.loops) + 1}"), body, length, sums
        )
        context.loops.append(loop.lines)
        return loop.call

    def _body(self, targets: Mapping[Node, str], stores: list[tuple[Node, str]]) -> Iterator[str]:
        """Lines for one element."""
        for node in self.loop.body:
            if node in targets:
                yield _accumulate(node, targets[node], self.expressions.operand(node.inputs[0]).text)
            elif (line := self.expressions.define(node)) is not None:
                yield line
        for value, target in stores:
            yield f"{target} = {self.expressions.stored(value)}"

    # Elements.

    def _element(self, access: ArrayAccess, indices: Mapping[int, str]) -> str:
        """An element of an array; slices and constant elements are taken before the innermost loop."""
        row, index = access.array.row, access.index(indices)
        stride = access.strides[self.axes[-1].axis] if self.axes else None
        if stride is None:
            return f"{row}[{index}]"
        if stride == ZERO:
            name = self.context.names.fresh(f"{access.array.name}_value")
            self.writer.line(f"{name} = {row}[{index}]")
            return name
        if stride == ONE:
            return f"{self._slice(access, index)}[j]"
        return f"{row}[{strided_index(index, stride)}]"

    def _slice(self, access: ArrayAccess, index: str) -> str:
        """Contiguous elements as a vector."""
        array, length = access.array, self.axes[-1].length
        if index == "0" and array.width == length:
            return array.row
        text = f"kernels.flat_slice({array.row}, {index}, {length})"
        if text not in self.slices:
            self.slices[text] = self.context.names.fresh(f"{array.name}_slice")
            self.writer.line(f"{self.slices[text]} = {text}")
        return self.slices[text]

    # Sums.

    def _write_initial_values(self) -> None:
        """Initial values of reductions in arrays; sums over all rows were zeroed at the allocation."""
        for node in self.targets:
            array = self.context.array_of(node)
            if node.op == ROW_SUM or self._is_written_once(node):
                continue
            if array.layout == ArrayLayout.SCALAR:
                self.writer.line(f"{array.name} = {self._initial_value(node)}")
                continue
            with self.writer.block(f"for j in range({array.width}):"):
                self.writer.line(f"{array.row}[j] = {self._initial_value(node)}")

    def _initial_value(self, node: Node) -> str:
        return self.context.numbers.name(node.op.initial)

    def _is_local(self, node: Node) -> bool:
        """Whether a sum accumulates in a variable of the innermost loop before it goes to an array."""
        is_array = self.context.array_of(node).layout != ArrayLayout.SCALAR
        return bool(self.axes) and is_array and self.targets[node].strides[self.axes[-1].axis] == ZERO

    def _is_written_once(self, node: Node) -> bool:
        """Whether a sum is complete at the end of the innermost loop."""
        outer = [self.targets[node].strides[axis.axis] for axis in self.axes[:-1]]
        return self._is_local(node) and ZERO not in outer

    def _sum_element(self, node: Node, indices: Mapping[int, str]) -> str:
        """The accumulator of a sum in the innermost loop."""
        if self._is_local(node):
            name = self.context.variable(node)
            self.writer.line(f"{name} = {self._initial_value(node)}")
            return name
        array = self.context.array_of(node)
        return (
            array.name if array.layout == ArrayLayout.SCALAR else self._element(self.targets[node], indices)
        )

    def _write_sums(self, indices: Mapping[int, str]) -> None:
        """Store the sums that accumulated in variables."""
        for node, access in self.targets.items():
            if not self._is_local(node):
                continue
            target, name = f"{access.array.row}[{access.index(indices)}]", self.context.variable(node)
            if self._is_written_once(node):
                self.writer.line(f"{target} = {name}")
            else:
                self.writer.line(_accumulate(node, target, name))


def _accumulate(node: Node, target: str, value: str) -> str:
    """The line that adds a value to an accumulator."""
    return node.op.code.format(target, value)
