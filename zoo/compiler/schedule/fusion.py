"""Loop fusion: the values of one phase in as few loops as their dependencies allow."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

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


# These results are complete only after their loop, so only later loops can read them.
_COMPLETE_AFTER_THEIR_LOOPS = (Kind.REDUCTION, Kind.SCAN, Kind.CONCAT)

# Loops write these results themselves.
_STORED_BY_THEIR_LOOPS = (Kind.REDUCTION, Kind.SCAN, Kind.ROW_SUM)


@dataclass
class FusedLoop:
    """One nest of loops over a shape.

    Args:
        shape: The shape, for all but scans without axes of length one.
        body: Values that it computes, inputs first; reductions and scans are among them.
        stores: Values that it stores, and the elements of the array where each goes.
    """

    shape: Shape
    body: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, View]] = field(default_factory=list)

    @property
    def is_axis_scan(self) -> bool:
        """Whether it computes one scan, along an axis of its operand in order."""
        return any(node.op.kind is Kind.SCAN for node in self.body)


def unreshaped(node: Node) -> Node | None:
    """The computed value whose elements a node has in the same order, apart from axes of length one.

    None for slices, transposes and broadcasts, and for results that are complete only after their loop.
    """
    view = view_of(node)
    if view is None or view.base.op.kind in _COMPLETE_AFTER_THEIR_LOOPS:
        return None
    if view.base is node:
        return node
    if not view.is_whole:
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


class _Dependency(NamedTuple):
    """An operand that the same phase computes.

    Args:
        base: The value whose array holds the operand.
        distance: 0 if the user can be in the loop of the base, 1 if it needs a later one.
    """

    base: Node
    distance: int


def _dependencies(node: Node, inside: Collection[Node]) -> Iterator[_Dependency]:
    """The operands of a value that are computed in the same phase."""
    for operand in node.inputs:
        view = view_of(operand)
        if view is not None and view.base in inside:
            needs_later_loop = node.op.kind is Kind.SCAN or unreshaped(operand) is None
            yield _Dependency(view.base, int(needs_later_loop))


class _Levels:
    """Levels of the values of a phase: a loop reads arrays that loops of lower levels store.

    A value moves to the last level that its users allow and at which its shape has a loop, because a value
    needs no array if it is used in its own loop. It stays at its first level if moving it would give arrays
    to at least as many operands. When each value went into the first loop that could compute it, in the order
    of the operations, the backward pass of layer_norm_lstm took 16 % longer and of gsa 15 %, and an order
    that a rewrite changed cost longhorn 30 %.

    Args:
        nodes: The values, inputs first.
        stored: Values that have an array in any case.
    """

    def __init__(self, nodes: list[Node], stored: Collection[Node]) -> None:
        inside = set(nodes)
        self._stored = frozenset(stored)
        self._dependencies = {node: list(_dependencies(node, inside)) for node in nodes}
        self._users: dict[Node, list[Node]] = {node: [] for node in nodes}
        for node in nodes:
            for each in self._dependencies[node]:
                self._users[each.base].append(node)
        self._earliest = self._earliest_levels(nodes)
        self._levels_by_shape: dict[Shape, set[int]] = {}
        for node in filter(_shares_loop, nodes):
            self._levels_by_shape.setdefault(_loop_shape(node), set()).add(self._earliest[node])
        self._level = self._latest_levels(nodes)
        for node in filter(_shares_loop, nodes):
            first = self._first_level(node, self._level)
            if self._is_cheaper_at(node, first):
                self._level[node] = first

    def __contains__(self, node: Node) -> bool:
        return node in self._level

    def __getitem__(self, node: Node) -> int:
        """The level of the loop of a value; for a concatenation the last at which parts may be stored."""
        return self._level[node]

    def _earliest_levels(self, nodes: Iterable[Node]) -> dict[Node, int]:
        levels: dict[Node, int] = {}
        for node in nodes:
            levels[node] = self._first_level(node, levels)
        return levels

    def _first_level(self, node: Node, levels: Mapping[Node, int]) -> int:
        """The first level of a value, given the levels of its operands."""
        return max((levels[each.base] + each.distance for each in self._dependencies[node]), default=0)

    def _latest_levels(self, nodes: Sequence[Node]) -> dict[Node, int]:
        levels: dict[Node, int] = {}
        limits: dict[Node, int] = {}
        for node in reversed(nodes):
            levels[node] = self._last_level(node, limits.get(node))
            for each in self._dependencies[node]:
                limit = levels[node] - each.distance
                limits[each.base] = min(limit, limits.get(each.base, limit))
        return levels

    def _last_level(self, node: Node, limit: int | None) -> int:
        """The last level of a value, given the limit of its users if it has any."""
        first = self._earliest[node]
        if _shares_loop(node):
            levels = self._levels_by_shape[_loop_shape(node)]
            return max(level for level in levels if first <= level and (limit is None or level <= limit))
        if limit is not None:
            return limit
        parts = node.inputs if node.op.kind is Kind.CONCAT else ()
        part_levels = (self._levels_by_shape.get(squeezed(part.shape), ()) for part in parts)
        return max([first, *itertools.chain(*part_levels)])

    def _is_cheaper_at(self, node: Node, first: int) -> bool:
        """Whether fewer arrays, or as many, are needed if a value is at its first level."""
        if first == self._level[node]:
            return False
        operands = {each.base for each in self._dependencies[node] if each.distance == 0}
        new = [each for each in operands if self._level[each] == first and not self._has_array(each, node)]
        own = 0 if self._has_array(node) or not self._users[node] else 1
        return bool(new) and len(new) >= own

    def _has_array(self, node: Node, ignored_user: Node | None = None) -> bool:
        """Whether a value needs an array even if a user joins its loop."""
        if node in self._stored or node.op.kind in (Kind.REDUCTION, Kind.ROW_SUM):
            return True
        return any(
            user is not ignored_user
            and user.op.kind is not Kind.CONCAT
            and self._level[user] > self._level[node]
            for user in self._users[node]
        )


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
                scan = None if _shares_loop(node) else node
                self.loop_of[node] = self._loop(self._levels[node], _loop_shape(node), scan)
                self.loop_of[node].body.append(node)
        for node in nodes:
            if node.op.kind is Kind.CONCAT:
                self._add_concat(node)
        self.loops = [self._loops[key] for key in sorted(self._loops, key=itemgetter(0))]

    def _loop(self, level: int, shape: Shape, scan: Node | None = None) -> FusedLoop:
        return self._loops.setdefault((level, shape, scan), FusedLoop(shape))

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
        base = unreshaped(operand)
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
        if unreshaped(operand) is not base or self.loop_of[base] is not loop:
            self.layouts[base] = ArrayLayout.SCALAR if is_scalar(base) else ArrayLayout.ROW
