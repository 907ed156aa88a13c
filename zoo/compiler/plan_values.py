"""Values and costs of a schedule: which values it computes, which are explained, and what one step costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from zoo.compiler.ir.dims import Dim, as_dim, product
from zoo.compiler.ir.elementwise_ops import COPY
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import CONCAT, ROW_SUM, X
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.schedule.fusion import FusedLoop
from zoo.compiler.schedule.phases import MatmulItem, RowLoops, is_matmul_item, storage_bases
from zoo.compiler.schedule.sections import PassSchedule

# Nesting of concatenations in one equation.
_MAX_DEPTH = 3

_SUM_KINDS = (Kind.REDUCTION, Kind.SCAN, Kind.OUTER, Kind.ROW_SUM)


def computed_values(schedule: PassSchedule) -> Iterator[Node]:
    """The values that a pass computes, in order."""
    for section in schedule.sections.values():
        for item in section.items:
            if isinstance(item, RowLoops):
                for loop in item.loops:
                    yield from (*loop.body, *concatenations(loop))
            else:
                yield item.node


def concatenations(loop: FusedLoop) -> list[Node]:
    """The concatenations whose parts a loop stores."""
    return list(dict.fromkeys(view.base for _, view in loop.stores if view.base.op == CONCAT))


def recomputed_values(derivation: StepGradient, backward: PassSchedule) -> set[Node]:
    """Values of the forward pass that the backward pass recomputes."""
    return set(computed_values(backward)) & set(ancestors(derivation.forward_outputs))


def values_read_outside(schedule: PassSchedule, inner: Container[Node]) -> set[Node]:
    """The values among ``inner`` that other values read."""
    return {
        base
        for node in computed_values(schedule)
        if node not in inner
        for base in storage_bases(node)
        if base in inner
    }


def explained_values(schedule: PassSchedule) -> set[Node]:
    """The values with an equation of their own; a concatenation only if it is deeply nested."""
    nodes = list(dict.fromkeys(computed_values(schedule)))
    uses = Counter(base for node in nodes for base in storage_bases(node))
    several = {node for node, count in uses.items() if count > 1}
    parts = {base for node in nodes if node.op == CONCAT for base in storage_bases(node)}
    sums = {node for node in nodes if is_matmul_item(node) or node.op.kind in _SUM_KINDS}
    plain = {node for node in nodes if node.op != CONCAT}
    return plain & (sums | several | parts | schedule.storage.keys()) | _deep_concatenations(nodes, several)


def _deep_concatenations(nodes: Iterable[Node], several: Container[Node]) -> set[Node]:
    """Nested concatenations that are read twice or are too deep to inline."""
    deep: set[Node] = set()
    depth: dict[Node, int] = {}
    for node in nodes:
        if node.op == CONCAT:
            inlined = [base for base in storage_bases(node) if base not in deep]
            depth[node] = 1 + max((depth.get(base, 0) for base in inlined), default=0)
            if depth[node] > 1 and (node in several or depth[node] > _MAX_DEPTH):
                deep.add(node)
    return deep


ZERO_COST = as_dim(0)


@dataclass(frozen=True)
class Cost:
    """The cost of one step of one row, as polynomials in I and H.

    Args:
        products: Floating point operations in matrix products, two for each multiply-add, for a dense x.
        by_tokens: The same for tokens, which select rows of a matrix.
        arithmetic: Element-wise operations and additions.
        functions: Evaluations of tanh, exp and other expensive functions.
    """

    products: Dim
    by_tokens: Dim
    arithmetic: Dim
    functions: Dim


def cost_of(schedule: PassSchedule, dx: Node | None = None) -> Cost:
    """Count the sections that run for every step.

    Args:
        schedule: The pass.
        dx: The gradient of x, which tokens do not need.
    """
    counts = _CostCounter()
    for section in ("sequence", "step", "after"):
        for item in schedule.sections[section].items:
            if isinstance(item, MatmulItem):
                is_dx = section == "after" and schedule.shares.get(item.node, item.node) is dx
                counts.add_product(item.node, is_dx)
            else:
                counts.add_loops(item.loops)
    return Cost(counts.products, counts.by_tokens, counts.arithmetic, counts.functions)


@dataclass
class _CostCounter:
    products: Dim = ZERO_COST
    by_tokens: Dim = ZERO_COST
    arithmetic: Dim = ZERO_COST
    functions: Dim = ZERO_COST

    def add_product(self, node: Node, is_dx: bool) -> None:
        if node.op == ROW_SUM:
            self.arithmetic += product(node.shape)
            return
        a, b, *_ = node.inputs
        flops = as_dim(2) * product(a.shape) * b.shape[-1]
        self.products += flops
        if a.op != X and not is_dx:
            self.by_tokens += flops

    def add_loops(self, loops: Iterable[FusedLoop]) -> None:
        for loop in loops:
            for node in loop.body:
                self._add(node, product(loop.shape))

    def _add(self, node: Node, elements: Dim) -> None:
        if node.op == COPY:
            return
        if node.op.kind is Kind.ELEMENTWISE and node.op.expensive:
            self.functions += elements
        elif node.op.kind in (Kind.ELEMENTWISE, *_SUM_KINDS):
            self.arithmetic += elements
