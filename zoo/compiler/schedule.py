"""When each value is computed, in which loop, and where it is stored."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from zoo.compiler.copies import is_computed
from zoo.compiler.dims import as_dim, product
from zoo.compiler.graph import Node, Shape
from zoo.compiler.structure import PRODUCTS, REDUCTIONS, SUMS
from zoo.compiler.views import ZERO, View, contiguous, view_of


class Store(enum.Enum):
    """What kind of array holds a value."""

    SHARED = "one array for all rows and steps"
    STEPS = "a row for every step and row of the batch"
    BATCH = "a row for every row of the batch"
    ROW = "one row, used over and over"
    SCALAR = "a local variable"


@dataclass
class Loop:
    """One nest of loops over a shape, and what is computed, summed and stored at each place.

    Args:
        shape: The shape.
        body: Values computed, inputs first; reductions and running sums among them.
        stores: Values stored: the value, what it is stored for, and where among its numbers.
    """

    shape: Shape
    body: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, View]] = field(default_factory=list)


@dataclass
class Rows:
    """Loops over one row after the other."""

    loops: list[Loop]


@dataclass
class Product:
    """A product of all rows with a matrix, or a sum of products over all rows."""

    node: Node


Item: TypeAlias = "Rows | Product"


@dataclass(frozen=True)
class Section:
    """A part of a pass.

    Args:
        items: What is done, in order.
        stores: What kind of array each value has that needs one.
    """

    items: list[Item]
    stores: Mapping[Node, Store]


def is_scalar(node: Node) -> bool:
    """Whether a row has one number of it."""
    return product(node.shape) == as_dim(1)


# Gates could be stored where their pre-activations were, which nobody needs any more: a third less memory for
# an LSTM. But a loop that writes to windows of the row it reads other windows of does not vectorise, since
# LLVM cannot tell that they lie apart: 28.1 ns for a unit, where separate arrays take 6.2.
def plan_section(
    nodes: Collection[Node], kept: Mapping[Node, Store], between: Store, shares: Mapping[Node, Node]
) -> Section:
    """Plan the computation of some values.

    Args:
        nodes: What is computed here, inputs first; views among them are skipped.
        kept: Values that others need, and the kind of array they want.
        between: The kind of array for what a product reads or makes.
        shares: Values that lie in the array of another: a sum grows in place.
    """
    computed = [node for node in nodes if is_computed(node)]
    inside = set(computed)
    phases = _phases(computed)
    stores = dict(kept)
    followers = _followers(computed)
    for node in computed:
        if node not in stores and _crosses(node, followers.get(node, ()), phases):
            stores[node] = between
    for base, node in shares.items():
        if base in phases and node in stores:
            stores[base] = stores[node]
    items: list[Item] = []
    for phase in range(max(phases.values(), default=-1) + 1):
        here = [node for node in computed if phases[node] == phase]
        whole = [node for node in here if is_product(node) or _is_whole_sum(node, inside, between)]
        loops = _loops([node for node in here if node not in whole], stores)
        items += [Rows(loops)] if loops else []
        items += [Product(node) for node in whole]
    return Section(items, stores)


def is_product(node: Node) -> bool:
    """Whether a node is made for all rows at once."""
    return node.op in PRODUCTS or node.op in ("outer", "outer_heads")


def _followers(computed: Iterable[Node]) -> dict[Node, list[Node]]:
    """For every value those that read it."""
    found: dict[Node, list[Node]] = {}
    for node in computed:
        for base in bases(node):
            found.setdefault(base, []).append(node)
    return found


def _is_whole_sum(node: Node, inside: set[Node], between: Store) -> bool:
    """Whether a sum over rows is of an array that has all of them already."""
    if node.op != "row_sum" or between != Store.STEPS:
        return False
    view = view_of(node.inputs[0])
    return view is not None and view.is_whole and view.base not in inside


def bases(node: Node) -> list[Node]:
    """What holds the numbers of a node's inputs."""
    views = (view_of(operand) for operand in node.inputs)
    return [view.base for view in views if view is not None]


def _phases(computed: list[Node]) -> dict[Node, int]:
    """Products run over all rows at once, so between them lie phases of work within a row.

    A value is computed as late as its users allow, since what is used in its own phase need not be stored.
    """
    early: dict[Node, int] = {}
    for node in computed:
        needs = [early[base] + is_product(base) for base in bases(node) if base in early]
        early[node] = max(needs, default=0)
    late: dict[Node, int] = {}
    followers = _followers(computed)
    for node in reversed(computed):
        if is_product(node):
            late[node] = early[node]
        else:
            late[node] = min((late[user] for user in followers.get(node, ())), default=early[node])
    return late


def sums_in_place(nodes: Iterable[Node], kept: Collection[Node]) -> dict[Node, Node]:
    """Values that lie in the array of another: what a product is added to becomes the sum.

    Args:
        nodes: All values of a pass.
        kept: Values that others need as they are.
    """
    found = {
        node.inputs[2]: node
        for node in nodes
        if node.op in PRODUCTS
        and len(node.inputs) == 3
        and node.inputs[0].op != "x"
        and node.inputs[2] not in kept
    }
    for base in sorted(found, key=lambda node: -node.index):  # a chain of sums lies in the array of its last
        found[base] = found.get(found[base], found[base])
    return found


def _crosses(node: Node, followers: Iterable[Node], phases: Mapping[Node, int]) -> bool:
    """Whether a value leaves the phase it is computed in, or meets a product."""
    return is_product(node) or any(is_product(user) or phases[user] != phases[node] for user in followers)


def _loops(nodes: list[Node], stores: dict[Node, Store]) -> list[Loop]:
    """The values of one phase in as few loops as their dependencies allow."""
    builder = _Builder(stores)
    for node in nodes:
        builder.add(node)
    builder.finish()
    return builder.loops


class _Builder:
    """Puts values into loops, each into the first of its shape in which all it needs is there."""

    def __init__(self, stores: dict[Node, Store]) -> None:
        self.stores = stores
        self.loops: list[Loop] = []
        self.closed: set[int] = set()
        self.place: dict[Node, int] = {}  # the loop after which, or within which, a value is known

    def add(self, node: Node) -> None:
        """Place one value."""
        if node.op == "concat":
            self._add_concat(node)
            return
        shape = node.inputs[0].shape if node.op in (*REDUCTIONS, *SUMS) else node.shape
        first = self._ready(node, shape)
        index = self._own_loop(shape) if node.op == "cumsum" else self._loop(shape, first)
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
        self.stores.setdefault(node, Store.ROW)

    def _ready(self, node: Node, shape: Shape) -> int:
        """The first loop in which all inputs of a value are known."""
        own = 1 if node.op == "cumsum" else 0
        needs = [self._needed(operand, shape, own) for operand in node.inputs]
        return max(needs, default=0)

    def _needed(self, operand: Node, shape: Shape, later: int = 0) -> int:
        """The first loop of a shape in which an operand is known; it is stored if another loop made it."""
        view = view_of(operand)
        if view is None or view.base not in self.place:
            return 0
        base, place = view.base, self.place[view.base]
        fused = operand is base and base.op not in (*REDUCTIONS, "cumsum", "concat") and shape == base.shape
        if fused and not later:
            return place
        return place + 1

    def _own_loop(self, shape: Shape) -> int:
        """A loop that nothing else runs in: a running sum goes along its axis in order."""
        self.loops.append(Loop(shape))
        self.closed.add(len(self.loops) - 1)
        return len(self.loops) - 1

    def _loop(self, shape: Shape, first: int) -> int:
        for index in range(first, len(self.loops)):
            if self.loops[index].shape == shape and index not in self.closed:
                return index
        self.loops.append(Loop(shape))
        return len(self.loops) - 1

    def finish(self) -> None:
        """Store what another loop reads, and what is asked for."""
        for index, loop in enumerate(self.loops):
            read = [operand for node in loop.body for operand in node.inputs]
            for operand in [*read, *(value for value, _ in loop.stores)]:
                self._keep(operand, index)
        for node in self.place:
            if node.op in (*REDUCTIONS, "cumsum"):
                self.stores.setdefault(node, Store.SCALAR if is_scalar(node) else Store.ROW)
        for node, index in self.place.items():
            if node in self.stores and node.op not in (*REDUCTIONS, *SUMS, "concat", "cumsum"):
                strides = contiguous(node.shape)
                self.loops[index].stores.append((node, View(node, ZERO, strides, node.shape)))

    def _keep(self, operand: Node, index: int) -> None:
        view = view_of(operand)
        if view is None or view.base not in self.place or view.base in self.stores:
            return
        base = view.base
        if operand is not base or self.place[base] != index or base.op == "cumsum":
            self.stores[base] = Store.SCALAR if is_scalar(base) else Store.ROW
