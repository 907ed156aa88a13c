"""Products that share an operand made one: ``x Wz + h Uz``, ``x Wr + h Ur`` as ``x [Wz Wr] + h [Uz Ur]``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.compiler.ir.dims import as_dim
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.structural_ops import concatenate, slice_axis
from zoo.compiler.passes.simplify import rewrite


@dataclass(frozen=True)
class MatmulChain:
    """A running sum of products with vectors.

    Args:
        top: The last product, which is the sum.
        operands: What is multiplied, first to last.
        matrices: By what.
        first: What the sum starts from, shared by all rows; None for zero.
    """

    top: Node
    operands: tuple[Node, ...]
    matrices: tuple[Node, ...]
    first: Node | None

    @property
    def signature(self) -> tuple[object, ...]:
        """What sums have in common that can be made one."""
        return (*(node.index for node in self.operands), self.first is None)


def merge_matmuls(outputs: Iterable[Node]) -> dict[Node, Node]:
    """Put the matrices of sums of the same operands side by side; each sum is a part of the sum of all."""
    outputs = list(outputs)
    nodes = ancestors(outputs)
    inner = {node.inputs[2] for node in nodes if node.op == "dot" and len(node.inputs) == 3}
    groups: dict[tuple[object, ...], list[MatmulChain]] = {}
    for node in nodes:
        is_top = node.op == "dot" and node.level != Level.ONCE and node not in inner
        if is_top and (found := _matmul_chain(node)) is not None:
            groups.setdefault(found.signature, []).append(found)
    member = {each.top: group for group in groups.values() if len(group) > 1 for each in group}
    new: dict[Node, Node] = {}
    merged: dict[Node, Node] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - as every rule
        if node not in member:
            return None
        group = member[node]
        first = group[0].top
        if first not in merged:
            merged[first] = _merge_group(group, new)
        return _slice_of(merged[first], group, node)

    return rewrite(outputs, rule, new=new)


def _matmul_chain(top: Node) -> MatmulChain | None:
    """The running sum that ends in a product; None if it is of more than vectors."""
    operands: list[Node] = []
    matrices: list[Node] = []
    node: Node | None = top
    while node is not None and node.op == "dot" and node.level != Level.ONCE:
        a, w, *base = node.inputs
        if a.ndim != 1:
            return None
        operands.insert(0, a)
        matrices.insert(0, w)
        node = base[0] if base else None
    if node is not None and node.level != Level.ONCE:
        return None
    return MatmulChain(top, tuple(operands), tuple(matrices), node)


def _merge_group(group: list[MatmulChain], new: dict[Node, Node]) -> Node:
    """The sum of all; what is shared by all rows holds no sum, so it needs no rewriting."""
    firsts = [each.first for each in group if each.first is not None]
    total = concatenate(firsts, 0) if firsts else None
    for place, operand in enumerate(group[0].operands):
        w = concatenate([each.matrices[place] for each in group], 1)
        inputs = (new[operand], w) if total is None else (new[operand], w, total)
        total = operand.graph.node("dot", inputs, None, (w.shape[1],))
    assert total is not None  # a group has operands
    return total


def _slice_of(total: Node, group: list[MatmulChain], top: Node) -> Node:
    start = as_dim(0)
    for each in group:
        stop = start + each.top.shape[0]
        if each.top is top:
            return slice_axis(total, 0, start, stop)
        start = stop
    raise AssertionError("a sum is in its own group")
