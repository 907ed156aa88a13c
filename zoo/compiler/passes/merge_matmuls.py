"""Merge products that share an operand: ``x Wz + h Uz``, ``x Wr + h Ur`` become ``x [Wz Wr] + h [Uz Ur]``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.compiler.ir.dims import as_dim
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.structural_ops import DOT, concatenate, slice_axis
from zoo.compiler.passes.simplify import rewrite


@dataclass(frozen=True)
class MatmulChain:
    """A chain of accumulated products of vectors and matrices.

    Args:
        result: The last product, which holds the sum.
        operands: The vectors, first to last.
        matrices: The matrices, first to last.
        initial: The value to which the products are added, shared by all rows; None for zero.
    """

    result: Node
    operands: tuple[Node, ...]
    matrices: tuple[Node, ...]
    initial: Node | None

    @property
    def signature(self) -> tuple[object, ...]:
        """The key of chains that can be merged."""
        return (*(node.index for node in self.operands), self.initial is None)


def merge_matmuls(outputs: Iterable[Node]) -> dict[Node, Node]:
    """Concatenate the matrices of chains of the same operands; each chain becomes a slice of the result."""
    outputs = list(outputs)
    nodes = ancestors(outputs)
    inner = {node.inputs[2] for node in nodes if node.op == DOT and len(node.inputs) == 3}
    groups: dict[tuple[object, ...], list[MatmulChain]] = {}
    for node in nodes:
        is_last = node.op == DOT and node.level != Level.ONCE and node not in inner
        if is_last and (chain := _matmul_chain(node)) is not None:
            groups.setdefault(chain.signature, []).append(chain)
    group_of = {each.result: group for group in groups.values() if len(group) > 1 for each in group}
    new: dict[Node, Node] = {}
    merged: dict[Node, Node] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - the signature of a rule
        if node not in group_of:
            return None
        group = group_of[node]
        first = group[0].result
        if first not in merged:
            merged[first] = _merge_group(group, new)
        return _slice_of(merged[first], group, node)

    return rewrite(outputs, rule, new=new)


def _matmul_chain(result: Node) -> MatmulChain | None:
    """The chain that ends in a product; None if it has operands other than vectors."""
    operands: list[Node] = []
    matrices: list[Node] = []
    node: Node | None = result
    while node is not None and node.op == DOT and node.level != Level.ONCE:
        a, w, *base = node.inputs
        if a.ndim != 1:
            return None
        operands.insert(0, a)
        matrices.insert(0, w)
        node = base[0] if base else None
    if node is not None and node.level != Level.ONCE:
        return None
    return MatmulChain(result, tuple(operands), tuple(matrices), node)


def _merge_group(group: list[MatmulChain], new: dict[Node, Node]) -> Node:
    """The merged chain. Initial values and matrices contain no chain, so they need no rewriting."""
    initial = [each.initial for each in group if each.initial is not None]
    total = concatenate(initial, 0) if initial else None
    for index, operand in enumerate(group[0].operands):
        w = concatenate([each.matrices[index] for each in group], 1)
        inputs = (new[operand], w) if total is None else (new[operand], w, total)
        total = operand.graph.node(DOT, inputs, None, (w.shape[1],))
    assert total is not None  # a group has operands
    return total


def _slice_of(total: Node, group: list[MatmulChain], result: Node) -> Node:
    start = as_dim(0)
    for each in group:
        stop = start + each.result.shape[0]
        if each.result is result:
            return slice_axis(total, 0, start, stop)
        start = stop
    raise AssertionError("a chain is in its own group")
