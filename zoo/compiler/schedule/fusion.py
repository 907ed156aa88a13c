"""Fusion: the values of one phase in as few loops as their dependencies allow."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from zoo.compiler.ir.dims import as_dim, product
from zoo.compiler.ir.graph import Node, Shape
from zoo.compiler.ir.structural_ops import REDUCTIONS, SCANS, SUMS
from zoo.compiler.ir.views import ZERO, View, contiguous, view_of


class Storage(enum.Enum):
    """What kind of array holds a value."""

    SHARED = "one array for all rows and steps"
    STEPS = "a row for every step and row of the batch"
    BATCH = "a row for every row of the batch"
    ROW = "one row, used over and over"
    SCALAR = "a local variable"


@dataclass
class FusedLoop:
    """One nest of loops over a shape, and what is computed, summed and stored at each place.

    Args:
        shape: The shape.
        body: Values computed, inputs first; reductions and running sums among them.
        stores: Values stored: the value, what it is stored for, and where among its numbers.
    """

    shape: Shape
    body: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, View]] = field(default_factory=list)


def is_scalar(node: Node) -> bool:
    """Whether a row has one number of it."""
    return product(node.shape) == as_dim(1)


def fused_loops(nodes: list[Node], stores: dict[Node, Storage]) -> list[FusedLoop]:
    """The values of one phase in as few loops as their dependencies allow.

    Args:
        nodes: The values, inputs first.
        stores: What kind of array each value has; what a loop must store for another is added.
    """
    builder = _LoopBuilder(stores)
    for node in nodes:
        builder.add(node)
    builder.finish()
    return builder.loops


class _LoopBuilder:
    """Puts values into loops, each into the first of its shape in which all it needs is there."""

    def __init__(self, stores: dict[Node, Storage]) -> None:
        self.stores = stores
        self.loops: list[FusedLoop] = []
        self.closed: set[int] = set()
        self.place: dict[Node, int] = {}  # the loop after which, or within which, a value is known

    def add(self, node: Node) -> None:
        """Place one value."""
        if node.op == "concat":
            self._add_concat(node)
            return
        shape = node.inputs[0].shape if node.op in (*REDUCTIONS, *SUMS) else node.shape
        first = self._ready(node, shape)
        index = self._own_loop(shape) if node.op in SCANS else self._loop(shape, first)
        self.loops[index].body.append(node)
        self.place[node] = index

    def _add_concat(self, node: Node) -> None:
        """Each part is stored where it belongs, in the loop that computes it if there is one."""
        start, last = ZERO, 0
        strides = contiguous(node.shape)
        for operand in node.inputs:
            view = View(node, start * strides[node.attr], strides, operand.shape)
            index = self._loop(operand.shape, self._needed(operand, operand.shape))
            self.loops[index].stores.append((operand, view))
            last = max(last, index)
            start = start + operand.shape[node.attr]
        self.place[node] = last
        self.stores.setdefault(node, Storage.ROW)

    def _ready(self, node: Node, shape: Shape) -> int:
        """The first loop in which all inputs of a value are known."""
        own = 1 if node.op in SCANS else 0
        needs = [self._needed(operand, shape, own) for operand in node.inputs]
        return max(needs, default=0)

    def _needed(self, operand: Node, shape: Shape, later: int = 0) -> int:
        """The first loop of a shape in which an operand is known; it is stored if another loop made it."""
        view = view_of(operand)
        if view is None or view.base not in self.place:
            return 0
        base, place = view.base, self.place[view.base]
        fused = operand is base and base.op not in (*REDUCTIONS, *SCANS, "concat") and shape == base.shape
        if fused and not later:
            return place
        return place + 1

    def _own_loop(self, shape: Shape) -> int:
        """A loop that nothing else runs in: a scan goes along its axis in order."""
        self.loops.append(FusedLoop(shape))
        self.closed.add(len(self.loops) - 1)
        return len(self.loops) - 1

    def _loop(self, shape: Shape, first: int) -> int:
        for index in range(first, len(self.loops)):
            if self.loops[index].shape == shape and index not in self.closed:
                return index
        self.loops.append(FusedLoop(shape))
        return len(self.loops) - 1

    def finish(self) -> None:
        """Store what another loop reads, and what is asked for."""
        for index, loop in enumerate(self.loops):
            read = [operand for node in loop.body for operand in node.inputs]
            for operand in [*read, *(value for value, _ in loop.stores)]:
                self._keep(operand, index)
        for node in self.place:
            if node.op in (*REDUCTIONS, *SCANS):
                self.stores.setdefault(node, Storage.SCALAR if is_scalar(node) else Storage.ROW)
        for node, index in self.place.items():
            if node in self.stores and node.op not in (*REDUCTIONS, *SUMS, *SCANS, "concat"):
                strides = contiguous(node.shape)
                self.loops[index].stores.append((node, View(node, ZERO, strides, node.shape)))

    def _keep(self, operand: Node, index: int) -> None:
        view = view_of(operand)
        if view is None or view.base not in self.place or view.base in self.stores:
            return
        base = view.base
        if operand is not base or self.place[base] != index or base.op in SCANS:
            self.stores[base] = Storage.SCALAR if is_scalar(base) else Storage.ROW
