"""Rewrites of a graph that make it run faster: sums of products, slices, markers of derivatives.

Products that share an operand are merged: ``x Wz + h Uz`` and ``x Wr + h Ur`` become
``x [Wz Wr] + h [Uz Ur]``.

Each rewrite takes the outputs of a graph and maps every node that they depend on to its replacement. Nodes in
``fixed`` stay as they are: the backward pass reads values of the forward pass, which it must not change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import as_dim
from zoo.compiler.ir.elementwise_ops import ADD, STOP_GRADIENT, WITH_DERIVATIVE
from zoo.compiler.ir.graph import Level, Node, ancestors, users
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import DOT, SLICE, X, concatenate, slice_axis

# From a node and its new inputs to its replacement, or None for the same operation.
Rule = Callable[[Node, tuple[Node, ...]], "Node | None"]
NO_NODES: frozenset[Node] = frozenset()


def rewrite(
    outputs: Iterable[Node],
    rule: Rule,
    fixed: Collection[Node] = NO_NODES,
    new: dict[Node, Node] | None = None,
) -> dict[Node, Node]:
    """Apply a rule to every ancestor of the outputs, inputs first; ``new`` collects the replacements."""
    new = {} if new is None else new
    for node in ancestors(outputs):
        if node in fixed:
            new[node] = node
            continue
        inputs = tuple(new[operand] for operand in node.inputs)
        replacement = rule(node, inputs)
        new[node] = replacement if replacement is not None else rebuild(node, inputs)
    return new


def rebuild(node: Node, inputs: tuple[Node, ...]) -> Node:
    """Apply the operation of a node to other inputs of the same shapes."""
    return node if inputs == node.inputs else node.graph.build(node.op, inputs, node.attr, node.shape)


def drop_derivative_markers(outputs: Iterable[Node]) -> dict[Node, Node]:
    """Remove the operations that only change the derivative, after differentiation."""

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        return inputs[0] if node.op in (STOP_GRADIENT, WITH_DERIVATIVE) else None

    return rewrite(outputs, rule)


def fuse_accumulations(outputs: Iterable[Node], fixed: Collection[Node] = NO_NODES) -> dict[Node, Node]:
    """Turn a sum of products into a chain of accumulations: ``b``, then ``+ x Wx``, then ``+ h Wh``.

    A product adds to an array in place, so the chain needs no additions. Terms that depend on x alone come
    first, so that they are computed for all steps at once.
    """
    outputs = list(outputs)
    nodes = [node for node in ancestors(outputs) if node not in fixed]
    uses = {node: len(each) for node, each in users(nodes).items()}
    for output in outputs:
        uses[output] = uses.get(output, 0) + 1
    inner = {
        operand
        for node in nodes
        if node.op == ADD
        for operand in node.inputs
        if operand.op == ADD and uses[operand] == 1 and operand not in fixed
    }
    new: dict[Node, Node] = {}  # the rule reads terms deeper than a node's own inputs

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - the signature of a rule
        if node.op != ADD or node in inner:
            return None
        terms = _terms(node, inner)
        products = [term for term in terms if _is_product(term) and uses[term] == 1 and term not in fixed]
        if not products:
            return None
        gathered = set(products)
        others = [term for term in terms if term not in gathered]
        return _running_sum([new[term] for term in products], [new[term] for term in others], node in outputs)

    return rewrite(outputs, rule, fixed, new)


def _terms(node: Node, inner: set[Node]) -> list[Node]:
    """The terms of a sum, in order."""
    terms: list[Node] = []
    waiting = [*reversed(node.inputs)]
    while waiting:
        operand = waiting.pop()
        if operand in inner:
            waiting += reversed(operand.inputs)
        else:
            terms.append(operand)
    return terms


def _is_product(node: Node) -> bool:
    return node.op.kind is Kind.MATMUL and len(node.inputs) == 2 and node.level != Level.ONCE


def _running_sum(products: list[Node], others: list[Node], is_output: bool) -> Node:
    """Terms known before the loop over time, then the products, then the rest.

    An output is written in any case, so there all other terms come first; elsewhere the rest is better added
    where the sum is read. Only one product of x is in the chain: it does not add in place.
    """
    order = sorted(products, key=lambda node: (node.level, node.index))
    input_products = [node for node in order if node.inputs[0].op == X]
    others = others + input_products[1:]
    order = input_products[:1] + [node for node in order if node not in input_products]
    early = order[0].level == Level.SEQUENCE
    first = [
        node for node in others if (early and node.level == Level.ONCE) or (is_output and not input_products)
    ]
    total = _sum(first)
    for product in order:
        inputs = product.inputs if total is None else (*product.inputs, total)
        total = product.graph.node(product.op, inputs, None, product.shape)
    rest = _sum([node for node in others if node not in first])
    assert total is not None
    return total if rest is None else total + rest


def _sum(nodes: list[Node]) -> Node | None:
    total = None
    for node in sorted(nodes, key=lambda node: (node.level, node.index)):
        total = node if total is None else total + node
    return total


def push_slices_down(outputs: Iterable[Node], fixed: Collection[Node] = NO_NODES) -> dict[Node, Node]:
    """Slice operands in place of results, where only slices of an element-wise result are used."""
    outputs = list(outputs)
    nodes = [node for node in ancestors(outputs) if node not in fixed]
    used_by = users(nodes)
    only_sliced: set[Node] = set()
    for node in reversed(nodes):
        through = (user.op == SLICE or user in only_sliced for user in used_by.get(node, ()))
        if node.op.kind is Kind.ELEMENTWISE and node not in outputs and all(through):
            only_sliced.add(node)

    narrow: set[Node] = set()
    slices: dict[Hashable, dict[Node, Node]] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        pushed = None
        if node.op == SLICE:
            pushed = _pushed_slice(inputs[0], node.attr, narrow, slices.setdefault(node.attr, {}))
        if node in only_sliced:
            pushed = rebuild(node, inputs)
            narrow.add(pushed)
        return pushed

    return rewrite(outputs, rule, fixed)


def _pushed_slice(node: Node, attr: Any, narrow: set[Node], slices: dict[Node, Node]) -> Node:
    """A slice of a value; ``slices`` collects the same slice of other values."""
    waiting = [node]
    while waiting:
        each = waiting[-1]
        if each not in narrow or each.op.kind is not Kind.ELEMENTWISE:
            slices[each] = ops.slice_axis(each, *attr)
        elif missing := [operand for operand in each.inputs if operand not in slices]:
            waiting += reversed(missing)
            continue
        elif each not in slices:
            slices[each] = each.graph.apply(each.op, *(slices[operand] for operand in each.inputs))
        waiting.pop()
    return slices[node]


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
