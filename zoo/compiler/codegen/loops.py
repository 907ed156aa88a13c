"""Emission of scans, running sums and recurrences, which go along their axis in order.

Innermost loops over many arrays, as functions of their own.

LLVM vectorises a loop only if no two of its arrays overlap. It cannot know that of arrays that a kernel made
itself, let alone of parts of a row, and has it tested at run time: for the dozen arrays of a gate 160
instructions, before every row or once for all. If once, it looks at all that the rows span, finds that the
parts of a row that lie side by side overlap, and goes number by number: an LSTM's way back took 7.5 cycles
a number so, and takes 2 where it is promised that arrays are disjoint, which only a function's arguments can
be. The whole way back took 16 % more at H=64, a GRU's 27 %, and neither compiles slower for it.

Emission of fused loops: one nest over a shape, its innermost loop over numbers that lie side by side.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from zoo.compiler.codegen.expressions import PythonExpressions
from zoo.compiler.codegen.storage import ArrayAccess, ArrayVar, LoopAxis, StorageMap, axes_of, merged_axes
from zoo.compiler.codegen.writer import Writer
from zoo.compiler.ir.graph import Node, Shape
from zoo.compiler.ir.structural_ops import ONE, REDUCTIONS
from zoo.compiler.ir.views import ZERO, View, contiguous, view_of
from zoo.compiler.schedule.fusion import FusedLoop, Storage

if TYPE_CHECKING:
    from zoo.compiler.codegen.pass_emitter import PassEmitter


def write_scan(loop: FusedLoop, function: PassEmitter, writer: Writer) -> None:
    """Write the loop of one scan."""
    (node,) = loop.body
    axis, _ = node.attr
    others = [other for other in axes_of(loop.shape) if other != axis]
    _write_from(loop, function, writer, others, {})


def _write_from(
    loop: FusedLoop, function: PassEmitter, writer: Writer, others: list[int], indices: dict[int, str]
) -> None:
    if others:
        name = f"i{len(indices)}"
        with writer.block(f"for {name} in range({loop.shape[others[0]]}):"):
            _write_from(loop, function, writer, others[1:], indices | {others[0]: name})
        return
    _write_entries(loop, function, writer, indices)


def _write_entries(loop: FusedLoop, function: PassEmitter, writer: Writer, indices: dict[int, str]) -> None:
    (node,) = loop.body
    axis, reverse = node.attr
    length, total = loop.shape[axis], function.label(node)
    target = ArrayAccess(function.array_of(node), ZERO, contiguous(node.shape))
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


def _value(loop: FusedLoop, function: PassEmitter, operand: Node, indices: dict[int, str]) -> str:
    """An operand at each place."""
    expressions = PythonExpressions(function, loop.body, ())
    for node, access in collect_loads(function, loop).items():
        expressions.load(node, f"{access.array.row}[{access.place(indices)}]")
    return expressions.operand(operand).text


_KNOWN = {"j", "range", "kernels", "np"}

MIN_OUTLINE_PAIRS = 4

"""Pairs of arrays that might overlap; with fewer, a test is nothing to speak of."""


class OutlinedLoop(NamedTuple):
    """A loop as a function.

    Args:
        lines: The function.
        call: The line that calls it.
    """

    lines: list[str]
    call: str


def is_worth_it(body: Sequence[str]) -> bool:
    """Whether a loop with this body writes to and reads from enough arrays."""
    read: set[str] = set()
    written: set[str] = set()
    for node in ast.walk(ast.parse("\n".join(body))):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            (written if isinstance(node.ctx, ast.Store) else read).add(node.value.id)
    return len(written) * (len(written) - 1) // 2 + len(written) * len(read - written) >= MIN_OUTLINE_PAIRS


def outline_loop(name: str, body: Sequence[str], length: str, sums: Sequence[str]) -> OutlinedLoop:
    """A loop over ``j`` as a function.

    Args:
        name: What to call it.
        body: The lines in the loop.
        length: How often it runs.
        sums: Variables that grow in it.
    """
    taken = [each for each in dict.fromkeys(_names([*body, length])) if each not in sums]
    arguments, grown = ", ".join([*taken, *sums]), ", ".join(sums)
    lines = [
        "@zoo.njit(inline=True, disjoint=True)",
        f"def {name}({arguments}):",
        f"    for j in range({length}):",
        *(f"        {line}" for line in body),
        *([f"    return {grown}"] if sums else []),
    ]
    return OutlinedLoop(lines, f"{grown} = {name}({arguments})" if sums else f"{name}({arguments})")


def _names(lines: Sequence[str]) -> Iterator[str]:
    """The variables that lines use and do not make, in their order."""
    names = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.Name)]
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)} | _KNOWN
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset)):
        if node.id not in made:
            yield node.id


def collect_loads(places: StorageMap, loop: FusedLoop) -> dict[Node, ArrayAccess]:
    """What a loop reads from arrays."""
    found: dict[Node, ArrayAccess] = {}
    body = set(loop.body)
    read = [operand for node in loop.body for operand in node.inputs]
    for node in [*read, *(value for value, _ in loop.stores)]:
        if node in body or node in found or node.value is not None:
            continue
        view = view_of(node)
        assert view is not None  # copies.py saw to it
        if view.base.op != "size" and places.array_of(view.base).store != Storage.SCALAR:
            found[node] = access_to(places, view)
    return found


def collect_stores(places: StorageMap, loop: FusedLoop) -> list[tuple[Node, ArrayAccess]]:
    """What a loop writes to arrays."""
    return [
        (value, access_to(places, view))
        for value, view in loop.stores
        if places.array_of(view.base).store != Storage.SCALAR
    ]


def access_to(places: StorageMap, view: View) -> ArrayAccess:
    """A view as an access to the array that holds its base."""
    return ArrayAccess(places.array_of(view.base), view.offset, view.strides)


def access_to_sum(array: ArrayVar, node: Node, shape: Shape) -> ArrayAccess:
    """Where a sum over axes of a shape goes: along those it stays in one place."""
    own = iter(contiguous(node.shape))
    axes = range(len(shape))
    return ArrayAccess(array, ZERO, tuple(ZERO if axis in node.attr else next(own) for axis in axes))


class LoopNestEmitter:
    """One loop of a plan, being written.

    Args:
        loop: The loop.
        function: The pass it belongs to, which knows arrays and names.
        writer: Where to.
    """

    def __init__(self, loop: FusedLoop, function: PassEmitter, writer: Writer) -> None:
        self.loop, self.function, self.writer = loop, function, writer
        self.windows: dict[str, str] = {}
        self.loads = collect_loads(function, loop)
        self.targets = {node: self._target(node) for node in loop.body if node.op in (*REDUCTIONS, "row_sum")}
        self.stores = collect_stores(function, loop)
        accesses = [*self.loads.values(), *self.targets.values(), *(access for _, access in self.stores)]
        self.axes: list[LoopAxis] = merged_axes(loop.shape, accesses)
        self.expressions = PythonExpressions(function, loop.body, [value for value, _ in self.stores])

    def _target(self, node: Node) -> ArrayAccess:
        """Where a sum goes."""
        array = self.function.array_of(node)
        if node.op == "row_sum":
            return ArrayAccess(array, ZERO, contiguous(node.shape))
        return access_to_sum(array, node, self.loop.shape)

    def write(self) -> None:
        """Write the nest."""
        self._write_starts()
        names = [f"i{depth}" if len(self.axes) > 2 else "i" for depth in range(len(self.axes) - 1)]
        self._write_from(0, names)

    def _write_from(self, depth: int, names: list[str]) -> None:
        if depth < len(names):
            with self.writer.block(f"for {names[depth]} in range({self.axes[depth].length}):"):
                self._write_from(depth + 1, names)
            return
        indices = {axis.last: name for axis, name in zip(self.axes, names, strict=False)}
        self._write_innermost(indices)

    def _write_innermost(self, indices: Mapping[int, str]) -> None:
        for node, access in self.loads.items():
            self.expressions.load(node, self._element(access, indices))
        targets = {node: self._sum_element(node, indices) for node in self.targets}
        places = [(value, self._element(access, indices)) for value, access in self.stores]
        if not self.axes:
            for line in self._body(targets, places):
                self.writer.line(line)
            return
        length, body = str(self.axes[-1].length), list(self._body(targets, places))
        if is_worth_it(body):
            sums = [name for name in targets.values() if name.isidentifier()]
            self.writer.line(self.function.outline(body, length, sums))
        else:
            with self.writer.block(f"for j in range({length}):"):
                for line in body:
                    self.writer.line(line)
        self._write_ends(indices)

    def _body(self, targets: Mapping[Node, str], places: list[tuple[Node, str]]) -> Iterator[str]:
        """What is done with each number."""
        for node in self.loop.body:
            if node in targets:
                yield _added(node, targets[node], self.expressions.operand(node.inputs[0]).text)
            elif (line := self.expressions.define(node)) is not None:
                yield line
        for value, place in places:
            yield f"{place} = {self.expressions.stored(value)}"

    # Elements.

    def _element(self, access: ArrayAccess, indices: Mapping[int, str]) -> str:
        """An element of an array; a window or a number is taken out of it before the innermost loop."""
        row, place = access.array.row, access.place(indices)
        stride = access.strides[self.axes[-1].last] if self.axes else None
        if stride is None:
            return f"{row}[{place}]"
        if stride == ZERO:
            name = self.function.names.fresh(f"{access.array.name}_value")
            self.writer.line(f"{name} = {row}[{place}]")
            return name
        if stride == ONE:
            return f"{self._window(access, place)}[j]"
        return f"{row}[{access.place({**indices, self.axes[-1].last: 'j'})}]"

    def _window(self, access: ArrayAccess, place: str) -> str:
        """Numbers side by side as a vector that begins with the first of them."""
        array, length = access.array, self.axes[-1].length
        if place == "0" and array.width == length:
            return array.row
        window = f"kernels.window({array.row}, {place}, {length})"
        if window not in self.windows:
            self.windows[window] = self.function.names.fresh(f"{array.name}_part")
            self.writer.line(f"{self.windows[window]} = {window}")
        return self.windows[window]

    # Sums.

    def _write_starts(self) -> None:
        """Zeros where sums begin; sums over all rows began before."""
        for node in self.targets:
            array = self.function.array_of(node)
            if node.op == "row_sum" or self._is_written_once(node):
                continue
            if array.store == Storage.SCALAR:
                self.writer.line(f"{array.name} = {self._start(node)}")
                continue
            with self.writer.block(f"for j in range({array.width}):"):
                self.writer.line(f"{array.row}[j] = {self._start(node)}")

    def _start(self, node: Node) -> str:
        return self.function.numbers.name(float("-inf") if node.op == "max" else 0.0)

    def _is_local(self, node: Node) -> bool:
        """Whether a sum grows in a variable of the innermost loop, on its way to an array."""
        is_array = self.function.array_of(node).store != Storage.SCALAR
        return bool(self.axes) and is_array and self.targets[node].strides[self.axes[-1].last] == ZERO

    def _is_written_once(self, node: Node) -> bool:
        """Whether a sum is complete when the innermost loop ends."""
        outer = [self.targets[node].strides[axis.last] for axis in self.axes[:-1]]
        return self._is_local(node) and ZERO not in outer

    def _sum_element(self, node: Node, indices: Mapping[int, str]) -> str:
        """What a sum is added to within the innermost loop."""
        if self._is_local(node):
            name = self.function.label(node)
            self.writer.line(f"{name} = {self._start(node)}")
            return name
        array = self.function.array_of(node)
        return array.name if array.store == Storage.SCALAR else self._element(self.targets[node], indices)

    def _write_ends(self, indices: Mapping[int, str]) -> None:
        """Sums that grew in variables go to their arrays."""
        for node, access in self.targets.items():
            if not self._is_local(node):
                continue
            place, name = f"{access.array.row}[{access.place(indices)}]", self.function.label(node)
            if self._is_written_once(node):
                self.writer.line(f"{place} = {name}")
            else:
                self.writer.line(_added(node, place, name))


def _added(node: Node, place: str, value: str) -> str:
    """The line that adds a value to a sum, or to a largest."""
    if node.op == "max":
        return f"{place} = kernels.maximum({place}, {value})"
    return f"{place} += {value}"
