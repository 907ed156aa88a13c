"""When each value is computed, and what kind of array it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.structural_ops import MATRIX_FUNCTIONS, PRODUCTS
from zoo.compiler.ir.views import view_of
from zoo.compiler.passes.insert_copies import is_computed
from zoo.compiler.schedule.fusion import FusedLoop, Storage, fused_loops


@dataclass
class RowLoops:
    """Loops over one row after the other."""

    loops: list[FusedLoop]


@dataclass
class MatmulItem:
    """A product of all rows with a matrix, or a sum of products over all rows."""

    node: Node


Item: TypeAlias = "RowLoops | MatmulItem"


@dataclass(frozen=True)
class Section:
    """A part of a pass.

    Args:
        items: What is done, in order.
        stores: What kind of array each value has that needs one.
    """

    items: list[Item]
    stores: Mapping[Node, Storage]


# Gates could be stored where their pre-activations were, which nobody needs any more: a third less memory for
# an LSTM. But a loop that writes to windows of the row it reads other windows of does not vectorise, since
# LLVM cannot tell that they lie apart: 28.1 ns for a unit, where separate arrays take 6.2.
def plan_section(
    nodes: Collection[Node], kept: Mapping[Node, Storage], between: Storage, shares: Mapping[Node, Node]
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
    followers = _users(computed)
    for node in computed:
        if node not in stores and _leaves_phase(node, followers.get(node, ()), phases):
            stores[node] = between
    for base, node in shares.items():
        if base in phases and node in stores:
            stores[base] = stores[node]
    items: list[Item] = []
    by_phase: list[list[Node]] = [[] for _ in range(max(phases.values(), default=-1) + 1)]
    for node in computed:
        by_phase[phases[node]].append(node)
    for here in by_phase:
        whole = [node for node in here if is_matmul_item(node) or _sums_stored_rows(node, inside, between)]
        apart = set(whole)
        loops = fused_loops([node for node in here if node not in apart], stores)
        items += [RowLoops(loops)] if loops else []
        items += [MatmulItem(node) for node in whole]
    return Section(items, stores)


def is_matmul_item(node: Node) -> bool:
    """Whether a node is made for all rows at once, or of whole matrices."""
    return node.op in (*PRODUCTS, *MATRIX_FUNCTIONS) or node.op in ("outer", "outer_heads")


def _users(computed: Iterable[Node]) -> dict[Node, list[Node]]:
    """For every value those that read it."""
    found: dict[Node, list[Node]] = {}
    for node in computed:
        for base in storage_bases(node):
            found.setdefault(base, []).append(node)
    return found


def _sums_stored_rows(node: Node, inside: set[Node], between: Storage) -> bool:
    """Whether a sum over rows is of an array that has all of them already."""
    if node.op != "row_sum" or between != Storage.STEPS:
        return False
    view = view_of(node.inputs[0])
    return view is not None and view.is_whole and view.base not in inside


def storage_bases(node: Node) -> list[Node]:
    """What holds the numbers of a node's inputs."""
    views = (view_of(operand) for operand in node.inputs)
    return [view.base for view in views if view is not None]


def _phases(computed: list[Node]) -> dict[Node, int]:
    """Products run over all rows at once, so between them lie phases of work within a row.

    A value is computed as late as its users allow, since what is used in its own phase need not be stored.
    """
    early: dict[Node, int] = {}
    for node in computed:
        needs = [early[base] + is_matmul_item(base) for base in storage_bases(node) if base in early]
        early[node] = max(needs, default=0)
    late: dict[Node, int] = {}
    followers = _users(computed)
    for node in reversed(computed):
        if is_matmul_item(node):
            late[node] = early[node]
        else:
            late[node] = min((late[user] for user in followers.get(node, ())), default=early[node])
    return late


def inplace_sums(nodes: Iterable[Node], kept: Collection[Node]) -> dict[Node, Node]:
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


def _leaves_phase(node: Node, followers: Iterable[Node], phases: Mapping[Node, int]) -> bool:
    """Whether a value leaves the phase it is computed in, or meets a product."""
    return is_matmul_item(node) or any(
        is_matmul_item(user) or phases[user] != phases[node] for user in followers
    )
