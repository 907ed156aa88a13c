"""Phases within a section: loops over rows between the matrix products of all rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from zoo.compiler.ir.graph import Node, view_of
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import ROW_SUM, X
from zoo.compiler.passes.insert_copies import is_computed
from zoo.compiler.schedule.fusion import ArrayLayout, FusedLoop, fused_loops


@dataclass
class RowLoops:
    """Loops that run for one row after the other."""

    loops: list[FusedLoop]


@dataclass
class MatmulItem:
    """A product of all rows with a matrix, or a sum over all rows."""

    node: Node


Item: TypeAlias = "RowLoops | MatmulItem"


@dataclass(frozen=True)
class Section:
    """One section of a pass.

    Args:
        items: Loops and products, in order.
        layouts: Kinds of arrays of the values that are stored.
    """

    items: list[Item]
    layouts: Mapping[Node, ArrayLayout]


# Gates could overwrite their pre-activations, which nothing reads any more: a third less memory for an LSTM.
# But a loop that writes slices of the row whose other slices it reads does not vectorise, since LLVM cannot
# tell that they are disjoint: 28.1 ns for a unit, where separate arrays take 6.2.
def plan_section(
    nodes: Collection[Node],
    stored: Mapping[Node, ArrayLayout],
    matmul_layout: ArrayLayout,
    shares: Mapping[Node, Node],
    delayed: Mapping[Node, Node],
) -> Section:
    """Schedule the computation of some values.

    Args:
        nodes: Values to compute, inputs first; views are skipped.
        stored: Arrays of the values that other sections read.
        matmul_layout: Kind of array for operands and results of products.
        shares: Values that share the array of another: a sum accumulates in place.
        delayed: Values of the step that is computed before, by the leaf that holds them.
    """
    computed = [node for node in nodes if is_computed(node)]
    inside = set(computed)
    phases = _phases(computed, delayed)
    layouts = dict(stored)
    users = _users(computed)
    for node in computed:
        if node not in layouts and _leaves_phase(node, users.get(node, ()), phases):
            layouts[node] = matmul_layout
    for base, node in shares.items():
        if base in phases and node in layouts:
            layouts[base] = layouts[node]
    items: list[Item] = []
    by_phase: list[list[Node]] = [[] for _ in range(max(phases.values(), default=-1) + 1)]
    for node in computed:
        by_phase[phases[node]].append(node)
    for phase in by_phase:
        matmuls = [
            node for node in phase if is_matmul_item(node) or _sums_stored_rows(node, inside, matmul_layout)
        ]
        loops = fused_loops([node for node in phase if node not in set(matmuls)], layouts)
        items += [RowLoops(loops)] if loops else []
        items += [MatmulItem(node) for node in matmuls]
    return Section(items, layouts)


def is_matmul_item(node: Node) -> bool:
    """Whether a value is computed for all rows at once, or from whole matrices."""
    return node.op.kind in (Kind.MATMUL, Kind.MATRIX_FUNCTION, Kind.OUTER, Kind.MEMORY)


def _users(computed: Iterable[Node]) -> dict[Node, list[Node]]:
    users: dict[Node, list[Node]] = {}
    for node in computed:
        for base in storage_bases(node):
            users.setdefault(base, []).append(node)
    return users


def _sums_stored_rows(node: Node, inside: set[Node], matmul_layout: ArrayLayout) -> bool:
    """Whether a value sums the rows of an array that is complete before the section."""
    if node.op != ROW_SUM or matmul_layout != ArrayLayout.STEPS:
        return False
    view = view_of(node.inputs[0])
    return view is not None and view.is_whole and view.base not in inside


def storage_bases(node: Node) -> list[Node]:
    """The values whose arrays hold the inputs of a node."""
    views = (view_of(operand) for operand in node.inputs)
    return [view.base for view in views if view is not None]


def _phases(computed: list[Node], delayed: Mapping[Node, Node]) -> dict[Node, int]:
    """The phase of each value; products of all rows separate the phases.

    A value is computed as late as its users allow, since a value that is used in its own phase is not stored.
    A value may depend on its own leaf of the step before, so with delays the phases are computed until they
    are constant.
    """
    operands = {node: [delayed.get(base, base) for base in storage_bases(node)] for node in computed}
    users: dict[Node, list[Node]] = {}
    for node in computed:
        for base in operands[node]:
            users.setdefault(base, []).append(node)

    def update_early(early: dict[Node, int]) -> None:
        for node in computed:
            needs = [early[base] + is_matmul_item(base) for base in operands[node] if base in early]
            early[node] = max(needs, default=0)

    def update_late(late: dict[Node, int]) -> None:
        for node in reversed(computed):
            later = [late[user] for user in users.get(node, ()) if user in late]
            late[node] = early[node] if is_matmul_item(node) else min(later, default=early[node])

    updates = len(computed) + 1 if delayed else 1
    early = _until_constant(update_early, updates)
    return _until_constant(update_late, updates)


def _until_constant(update: Callable[[dict[Node, int]], None], most: int) -> dict[Node, int]:
    """The phases after one update, or after as many as change a phase, at most ``most``."""
    phases: dict[Node, int] = {}
    for _ in range(most):
        before = dict(phases)
        update(phases)
        if phases == before:
            return phases
    assert most == 1, "a product adds to a value of the step before: its state is no delay"
    return phases


def inplace_sums(nodes: Iterable[Node], stored: Collection[Node]) -> dict[Node, Node]:
    """Values that share the array of another: the addend of a product becomes the sum.

    Args:
        nodes: All values of a pass.
        stored: Values that must not be overwritten.
    """
    shares = {
        node.inputs[2]: node
        for node in nodes
        if node.op.kind is Kind.MATMUL
        and len(node.inputs) == 3
        and node.inputs[0].op != X
        and node.inputs[2] not in stored
    }
    for base in sorted(shares, key=lambda node: -node.index):  # a chain of sums shares the array of its last
        shares[base] = shares.get(shares[base], shares[base])
    return shares


def _leaves_phase(node: Node, users: Iterable[Node], phases: Mapping[Node, int]) -> bool:
    """Whether a value is read in another phase, or is an operand or result of a product."""
    return is_matmul_item(node) or any(is_matmul_item(user) or phases[user] != phases[node] for user in users)
