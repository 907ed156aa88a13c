"""Values seen through: views of all of another value, and what a function was called with."""

from __future__ import annotations

from zoo.compiler.graph import Node
from zoo.compiler.naming import Call
from zoo.compiler.notation import is_in_order
from zoo.compiler.reading import Equations


def calls_of(equations: Equations, new: dict[Node, Node]) -> dict[Node, Call]:
    """Values that a function made, by what holds their numbers, with what the function was given."""
    found: dict[Node, Call] = {}
    for node, (name, given) in equations.calls.items():
        made, *operands = (new.get(whole(each)) for each in (node, *given))
        known = tuple(operand for operand in operands if operand is not None)
        if made is not None and made.value is None and made not in known and 0 < len(known) == len(given):
            found[made] = (name, known)
    return found


def whole(node: Node) -> Node:
    """What a view shows all of; a view of a part stays itself."""
    while is_whole(node):
        node = node.inputs[0]
    return node


def is_whole(node: Node) -> bool:
    """Whether a node is a view of all numbers of another, as they lie or repeated."""
    return node.op in ("reshape", "broadcast") or (node.op == "transpose" and is_in_order(node))
