"""Loop fusion: the values of one phase in as few loops as their dependencies allow."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from zoo.compiler.ir.dims import ZERO, as_dim, product
from zoo.compiler.ir.graph import Node, Shape, View, contiguous, view_of
from zoo.compiler.ir.op_table import Kind


class ArrayLayout(enum.Enum):
    """Kind of array that holds a value."""

    SHARED = "one array for all steps and sequences"
    STEPS = "a row for every step and sequence"
    BATCH = "a row for every sequence"
    ROW = "one row that is overwritten"
    SCALAR = "a local variable"


# Loops write these results themselves.
_STORED_BY_THEIR_LOOPS = (Kind.REDUCTION, Kind.SCAN, Kind.OUTER, Kind.ROW_SUM, Kind.CONCAT)


@dataclass
class FusedLoop:
    """One nest of loops over a shape.

    Args:
        shape: The shape.
        body: Values that it computes, inputs first; reductions and scans are among them.
        stores: Values that it stores, and the elements of the array where each goes.
    """

    shape: Shape
    body: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, View]] = field(default_factory=list)


def is_scalar(node: Node) -> bool:
    """Whether a value has one element per row."""
    return product(node.shape) == as_dim(1)


def fused_loops(nodes: list[Node], layouts: dict[Node, ArrayLayout]) -> list[FusedLoop]:
    """Fuse the values of one phase into loops.

    Args:
        nodes: The values, inputs first.
        layouts: Kinds of arrays of values; extended by those that one loop stores for another.
    """
    builder = _LoopBuilder(layouts)
    for node in nodes:
        builder.add(node)
    builder.add_stores()
    return builder.loops


class _LoopBuilder:
    """Puts each value into the first loop of its shape where its inputs are available."""

    def __init__(self, layouts: dict[Node, ArrayLayout]) -> None:
        self.layouts = layouts
        self.loops: list[FusedLoop] = []
        self.closed: set[int] = set()
        self.loop_of: dict[Node, int] = {}  # index of the loop that computes a value

    def add(self, node: Node) -> None:
        if node.op.kind is Kind.CONCAT:
            self._add_concat(node)
            return
        shape = node.inputs[0].shape if node.op.kind is Kind.REDUCTION or node.op.sums_rows else node.shape
        first = self._first_loop(node, shape)
        index = self._closed_loop(shape) if node.op.kind is Kind.SCAN else self._loop(shape, first)
        self.loops[index].body.append(node)
        self.loop_of[node] = index

    def _add_concat(self, node: Node) -> None:
        """Store each operand at its position, in the loop that computes it if there is one."""
        start, last = ZERO, 0
        strides = contiguous(node.shape)
        for operand in node.inputs:
            view = View(node, start * strides[node.attr], strides, operand.shape)
            index = self._loop(operand.shape, self._available_from(operand, operand.shape))
            self.loops[index].stores.append((operand, view))
            last = max(last, index)
            start = start + operand.shape[node.attr]
        self.loop_of[node] = last
        self.layouts.setdefault(node, ArrayLayout.ROW)

    def _first_loop(self, node: Node, shape: Shape) -> int:
        """The first loop in which all inputs of a value are available."""
        is_scan = node.op.kind is Kind.SCAN
        return max((self._available_from(operand, shape, is_scan) for operand in node.inputs), default=0)

    def _available_from(self, operand: Node, shape: Shape, in_later_loop: bool = False) -> int:
        """The first loop of a shape in which an operand is available; another loop reads it from an array."""
        view = view_of(operand)
        if view is None or view.base not in self.loop_of:
            return 0
        base, index = view.base, self.loop_of[view.base]
        is_fused = (
            operand is base
            and base.op.kind not in (Kind.REDUCTION, Kind.SCAN, Kind.CONCAT)
            and shape == base.shape
        )
        return index if is_fused and not in_later_loop else index + 1

    def _closed_loop(self, shape: Shape) -> int:
        """A loop for one scan alone, which runs along its axis in order."""
        self.loops.append(FusedLoop(shape))
        self.closed.add(len(self.loops) - 1)
        return len(self.loops) - 1

    def _loop(self, shape: Shape, first: int) -> int:
        for index in range(first, len(self.loops)):
            if self.loops[index].shape == shape and index not in self.closed:
                return index
        self.loops.append(FusedLoop(shape))
        return len(self.loops) - 1

    def add_stores(self) -> None:
        """Store the values that another loop reads or that have an array."""
        for index, loop in enumerate(self.loops):
            read = [operand for node in loop.body for operand in node.inputs]
            for operand in [*read, *(value for value, _ in loop.stores)]:
                self._store(operand, index)
        for node in self.loop_of:
            if node.op.kind in (Kind.REDUCTION, Kind.SCAN):
                self.layouts.setdefault(node, ArrayLayout.SCALAR if is_scalar(node) else ArrayLayout.ROW)
        for node, index in self.loop_of.items():
            if node in self.layouts and node.op.kind not in _STORED_BY_THEIR_LOOPS:
                strides = contiguous(node.shape)
                self.loops[index].stores.append((node, View(node, ZERO, strides, node.shape)))

    def _store(self, operand: Node, index: int) -> None:
        """Give an operand of a loop an array if it does not stay a variable of that loop."""
        view = view_of(operand)
        if view is None or view.base not in self.loop_of or view.base in self.layouts:
            return
        base = view.base
        if operand is not base or self.loop_of[base] != index or base.op.kind is Kind.SCAN:
            self.layouts[base] = ArrayLayout.SCALAR if is_scalar(base) else ArrayLayout.ROW
