"""Values that share a box: parts of one value, as gates are, and real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from zoo.catalogue.picture.values import Values
from zoo.compiler.copies import LEAVES
from zoo.compiler.graph import Node

Group = tuple[Node, ...]
Read = Callable[[Group], Iterable[Node]]


def groups_of(values: Values) -> list[Group]:
    """The computed values with a name, those together that share a box, what a group reads before it."""
    nodes = [node for node in values.names if node.op not in LEAVES]
    found: dict[Hashable, list[Node]] = {}
    for node in sorted(nodes, key=_index):
        found.setdefault(_key(values, node), []).append(node)
    groups = [tuple(group) for group in found.values()]
    return in_order(groups, lambda group: read_by(values, group))


def read_by(values: Values, group: Group) -> list[Node]:
    """The named values that a group is written in, beside its own."""
    found = dict.fromkeys(node for member in group for node in values.read_by(member))
    return [node for node in found if node not in group]


def in_order(groups: list[Group], read: Read) -> list[Group]:
    """Groups in an order in which what one reads stands before it; without one, they are taken apart."""
    waiting, found = dict.fromkeys(groups), []
    while waiting:
        ahead = {node for group in waiting for node in group}
        ready = next((group for group in waiting if not ahead & set(read(group))), None)
        if ready is not None:
            del waiting[ready]
            found.append(ready)
        else:
            waiting = dict.fromkeys((node,) for node in sorted(ahead, key=_index))
    return found


def _key(values: Values, node: Node) -> Hashable:
    """What values that share a box have in common."""
    if node.op == "slice":
        return ("parts", node.inputs[0])
    if any(other.op == "slice" and other.inputs[0] is node for other in values.names):
        return ("parts", node)
    stem, _, side = values.names[node].rpartition("_")
    return ("complex", stem) if stem and side.rstrip("'") in ("re", "im") else node


def _index(node: Node) -> int:
    return node.index
