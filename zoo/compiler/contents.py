"""What a plan computes, in order, and which of it is worth an equation of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator

from zoo.compiler.derivation import Derivation
from zoo.compiler.fusion import Loop
from zoo.compiler.graph import Node, ancestors
from zoo.compiler.program import Pass
from zoo.compiler.schedule import Rows, bases, is_product
from zoo.compiler.structure import REDUCTIONS, SCANS, SUMS

# Concatenations within each other that one equation tells.
_DEEPEST = 3


def computed(plan: Pass) -> Iterator[Node]:
    """Every value that a pass computes, in order."""
    for section in plan.sections.values():
        for item in section.items:
            if isinstance(item, Rows):
                for loop in item.loops:
                    yield from (*loop.body, *joined(loop))
            else:
                yield item.node


def joined(loop: Loop) -> list[Node]:
    """The concatenations that parts of a loop's values are stored for."""
    return list(dict.fromkeys(view.base for _, view in loop.stores if view.base.op == "concat"))


def recomputed(derivation: Derivation, backward: Pass) -> set[Node]:
    """Values of the step forward that the step back computes again."""
    return set(computed(backward)) & set(ancestors(derivation.forward_outputs))


def read_by_others(plan: Pass, inner: Container[Node]) -> set[Node]:
    """Those of some values that others read."""
    return {base for node in computed(plan) if node not in inner for base in bases(node) if base in inner}


def told(plan: Pass) -> set[Node]:
    """Values that are told in equations of their own; a concatenation is told by its parts, or if deep."""
    nodes = list(dict.fromkeys(computed(plan)))
    uses = Counter(base for node in nodes for base in bases(node))
    several = {node for node, number in uses.items() if number > 1}
    parts = {base for node in nodes if node.op == "concat" for base in bases(node)}
    sums = {node for node in nodes if is_product(node) or node.op in (*REDUCTIONS, *SUMS, *SCANS)}
    plain = {node for node in nodes if node.op != "concat"}
    return plain & (sums | several | parts | plan.stores.keys()) | _deep(nodes, several)


def _deep(nodes: Iterable[Node], several: Container[Node]) -> set[Node]:
    """Concatenations of concatenations that are read twice or nested deep, too long to inline."""
    deep: set[Node] = set()
    depth: dict[Node, int] = {}
    for node in nodes:
        if node.op == "concat":
            inlined = [base for base in bases(node) if base not in deep]
            depth[node] = 1 + max((depth.get(base, 0) for base in inlined), default=0)
            if depth[node] > 1 and (node in several or depth[node] > _DEEPEST):
                deep.add(node)
    return deep
