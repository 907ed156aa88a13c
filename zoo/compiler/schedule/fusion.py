"""Loop fusion: the values of one phase in as few loops as their dependencies allow."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from zoo.compiler.ir.dims import ZERO, as_dim, product
from zoo.compiler.ir.graph import Node, Shape, View, contiguous, squeezed, view_of
from zoo.compiler.ir.op_table import Kind


class ArrayLayout(enum.Enum):
    """Kind of array that holds a value."""

    SHARED = "one array for all steps and sequences"
    STEPS = "a row for every step and sequence"
    BATCH = "a row for every sequence"
    ROW = "one row that is overwritten"
    SCALAR = "a local variable"


# No loop has single elements of these results while it runs.
_COMPLETE_AFTER_THEIR_LOOPS = (Kind.REDUCTION, Kind.SCAN, Kind.CONCAT)

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

    @property
    def is_scan(self) -> bool:
        """Whether it computes one scan, along an axis of its operand in order."""
        return any(node.op.kind is Kind.SCAN for node in self.body)


def element_base(node: Node) -> Node | None:
    """The value that a node is, except for axes of length one; None for a part and for a complete sum.

    A loop that computes the value has the elements of the node. So an outer product and the vectors around it
    share a loop.
    """
    view = view_of(node)
    if view is None or view.base.op.kind in _COMPLETE_AFTER_THEIR_LOOPS or not view.is_whole:
        return None
    return view.base if squeezed(view.base.shape) == squeezed(node.shape) else None


def is_scalar(node: Node) -> bool:
    """Whether a value has one element per row."""
    return product(node.shape) == as_dim(1)


def fused_loops(nodes: list[Node], layouts: dict[Node, ArrayLayout]) -> list[FusedLoop]:
    """Fuse the values of one phase into loops.

    Args:
        nodes: The values, inputs first.
        layouts: Kinds of arrays of values; extended by those that one loop stores for another.
    """
    builder = _LoopBuilder(nodes, layouts)
    builder.add_stores()
    return builder.loops


@dataclass(frozen=True)
class _Read:
    """An operand that the same phase computes.

    Args:
        base: The value whose array holds the operand.
        distance: 0 if the user can be in the loop of the base, 1 if it needs a later one.
    """

    base: Node
    distance: int


class _Levels:
    """Levels of the values of a phase: a loop reads arrays that loops of lower levels store.

    A value is computed at the last level that its users allow and at which its shape has a loop, since a
    value that is used in its own loop is not stored. But it is computed at its first level if its operands
    would otherwise need as many arrays as the value itself. When each value was in the first loop that could
    compute it, in the order of the operations, the backward pass of layer_norm_lstm took 16 % longer, of
    gsa 15 %, and a rewritten graph of longhorn 30 %.

    Args:
        nodes: The values, inputs first.
        stored: Values that have an array in any case.
    """

    def __init__(self, nodes: list[Node], stored: Collection[Node]) -> None:
        inside = set(nodes)
        self._stored = stored
        self._reads = {node: list(_reads(node, inside)) for node in nodes}
        self._users: dict[Node, list[Node]] = {node: [] for node in nodes}
        self._earliest: dict[Node, int] = {}
        self._of_shape: dict[Shape, set[int]] = {}
        for node in nodes:
            self._earliest[node] = self._first_level(node, self._earliest)
            if _shares_loop(node):
                self._of_shape.setdefault(_loop_shape(node), set()).add(self._earliest[node])
            for read in self._reads[node]:
                self._users[read.base].append(node)
        self._level: dict[Node, int] = {}
        limits: dict[Node, int] = {}
        for node in reversed(nodes):
            self._level[node] = self._last_level(node, limits.get(node))
            for read in self._reads[node]:
                limit = self._level[node] - read.distance
                limits[read.base] = min(limit, limits.get(read.base, limit))
        for node in nodes:
            first = self._first_level(node, self._level)
            if _shares_loop(node) and self._saves_arrays(node, first):
                self._level[node] = first

    def __contains__(self, node: Node) -> bool:
        return node in self._level

    def __getitem__(self, node: Node) -> int:
        """The level of the loop of a value; for a concatenation the last at which parts may be stored."""
        return self._level[node]

    def _first_level(self, node: Node, levels: Mapping[Node, int]) -> int:
        """The first level of a value, given those of its operands."""
        return max((levels[read.base] + read.distance for read in self._reads[node]), default=0)

    def _last_level(self, node: Node, limit: int | None) -> int:
        """The last level of a value, given the limit of its users if it has any."""
        first = self._earliest[node]
        if _shares_loop(node):
            levels = self._of_shape[_loop_shape(node)]
            return max(level for level in levels if first <= level and (limit is None or level <= limit))
        if limit is not None:
            return limit
        shapes = {squeezed(each.shape) for each in node.inputs} if node.op.kind is Kind.CONCAT else ()
        return max([first, *(level for shape in shapes for level in self._of_shape.get(shape, ()))])

    def _saves_arrays(self, node: Node, first: int) -> bool:
        """Whether computing a value later would add at least as many arrays of operands as it saves."""
        if first == self._level[node]:
            return False
        operands = {read.base for read in self._reads[node] if read.distance == 0}
        new = [each for each in operands if self._level[each] == first and not self._has_array(each, node)]
        own = 0 if self._has_array(node) or not self._users[node] else 1
        return bool(new) and len(new) >= own

    def _has_array(self, node: Node, except_for: Node | None = None) -> bool:
        """Whether a value is stored, even if one of its users were in its loop."""
        if node in self._stored or node.op.kind in (Kind.REDUCTION, Kind.ROW_SUM):
            return True
        others = (user for user in self._users[node] if user is not except_for)
        return any(
            user.op.kind is not Kind.CONCAT and self._level[user] > self._level[node] for user in others
        )


def _reads(node: Node, inside: Collection[Node]) -> Iterator[_Read]:
    """The operands of a value that are computed in the same phase."""
    for operand in node.inputs:
        view = view_of(operand)
        if view is not None and view.base in inside:
            # A scan reads its operand in its own order, and alone.
            is_in_loop = node.op.kind is Kind.CONCAT or (
                squeezed(operand.shape) == _loop_shape(node) and node.op.kind is not Kind.SCAN
            )
            yield _Read(view.base, 0 if is_in_loop and element_base(operand) is not None else 1)


def _loop_shape(node: Node) -> Shape:
    """The shape of the loop that computes a value."""
    if node.op.kind is Kind.SCAN:
        return node.shape
    is_sum = node.op.kind is Kind.REDUCTION or node.op.sums_rows
    return squeezed(node.inputs[0].shape if is_sum else node.shape)


def _shares_loop(node: Node) -> bool:
    """Whether a value is computed in a loop together with others of its shape."""
    return node.op.kind not in (Kind.SCAN, Kind.CONCAT)


class _LoopBuilder:
    """Puts each value into a loop of its shape and level."""

    def __init__(self, nodes: list[Node], layouts: dict[Node, ArrayLayout]) -> None:
        self.layouts = layouts
        self.loop_of: dict[Node, FusedLoop] = {}  # the loop that computes a value
        self._levels = _Levels(nodes, layouts)
        self._loops: dict[tuple[int, Shape, Node | None], FusedLoop] = {}
        for node in nodes:
            if node.op.kind is not Kind.CONCAT:
                alone = None if _shares_loop(node) else node
                self.loop_of[node] = self._loop(self._levels[node], _loop_shape(node), alone)
                self.loop_of[node].body.append(node)
        for node in nodes:
            if node.op.kind is Kind.CONCAT:
                self._add_concat(node)
        self.loops = [self._loops[key] for key in sorted(self._loops, key=itemgetter(0))]

    def _loop(self, level: int, shape: Shape, alone: Node | None = None) -> FusedLoop:
        return self._loops.setdefault((level, shape, alone), FusedLoop(shape))

    def _add_concat(self, node: Node) -> None:
        """Store each operand at its position, in the loop that computes it if there is one."""
        start = ZERO
        strides = contiguous(node.shape)
        for operand in node.inputs:
            view = View(node, start * strides[node.attr], strides, operand.shape)
            self._loop_of_part(operand, self._levels[node]).stores.append((operand, view))
            start = start + operand.shape[node.attr]
        self.layouts.setdefault(node, ArrayLayout.ROW)

    def _loop_of_part(self, operand: Node, last: int) -> FusedLoop:
        """The loop that computes an operand of a concatenation, or the first one that can read it."""
        base = element_base(operand)
        if base is not None and base in self.loop_of:
            return self.loop_of[base]
        view, shape = view_of(operand), squeezed(operand.shape)
        first = self._levels[view.base] + 1 if view is not None and view.base in self._levels else 0
        levels = [level for level in range(first, last + 1) if (level, shape, None) in self._loops]
        return self._loop(levels[0] if levels else first, shape)

    def add_stores(self) -> None:
        """Store the values that another loop reads or that have an array."""
        for loop in self.loops:
            read = [operand for node in loop.body for operand in node.inputs]
            for operand in [*read, *(value for value, _ in loop.stores)]:
                self._store(operand, loop)
        for node in self.loop_of:
            if node.op.kind in (Kind.REDUCTION, Kind.SCAN):
                self.layouts.setdefault(node, ArrayLayout.SCALAR if is_scalar(node) else ArrayLayout.ROW)
        for node, loop in self.loop_of.items():
            if node in self.layouts and node.op.kind not in _STORED_BY_THEIR_LOOPS:
                strides = contiguous(node.shape)
                loop.stores.append((node, View(node, ZERO, strides, node.shape)))

    def _store(self, operand: Node, loop: FusedLoop) -> None:
        """Give an operand of a loop an array if it does not stay a variable of that loop."""
        view = view_of(operand)
        if view is None or view.base not in self.loop_of or view.base in self.layouts:
            return
        base = view.base
        if element_base(operand) is not base or self.loop_of[base] is not loop:
            self.layouts[base] = ArrayLayout.SCALAR if is_scalar(base) else ArrayLayout.ROW
