"""What one step of one row costs, counted on a plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.compiler.dims import Dim, as_dim, product
from zoo.compiler.fusion import Loop
from zoo.compiler.graph import Node
from zoo.compiler.program import Pass
from zoo.compiler.schedule import Product
from zoo.compiler.structure import REDUCTIONS, SCANS, SUMS

NOTHING = as_dim(0)


@dataclass(frozen=True)
class Cost:
    """What one step of one row costs; sizes are polynomials in I and H.

    Args:
        products: Floating point operations in products, two for each multiplication with its addition, where
            x is numbers.
        by_tokens: The same where x is tokens: rows of a matrix are picked, not multiplied.
        arithmetic: Element-wise operations and additions.
        functions: Values of tanh, exp and what else costs as much.
    """

    products: Dim
    by_tokens: Dim
    arithmetic: Dim
    functions: Dim


def cost_of(plan: Pass, dx: Node | None = None) -> Cost:
    """The cost of the sections that run for every step.

    Args:
        plan: The pass.
        dx: The gradient of x, which tokens do not have.
    """
    counts = _Counts()
    for when in ("sequence", "step", "after"):
        for item in plan.sections[when].items:
            if isinstance(item, Product):
                is_dx = when == "after" and plan.shares.get(item.node, item.node) is dx
                counts.add_product(item.node, is_dx)
            else:
                counts.add_loops(item.loops)
    return Cost(counts.products, counts.by_tokens, counts.arithmetic, counts.functions)


@dataclass
class _Counts:
    products: Dim = NOTHING
    by_tokens: Dim = NOTHING
    arithmetic: Dim = NOTHING
    functions: Dim = NOTHING

    def add_product(self, node: Node, is_dx: bool) -> None:
        if node.op == "row_sum":
            self.arithmetic += product(node.shape)
            return
        a, b, *_ = node.inputs
        flops = as_dim(2) * product(a.shape) * b.shape[-1]
        self.products += flops
        if a.op != "x" and not is_dx:
            self.by_tokens += flops

    def add_loops(self, loops: Iterable[Loop]) -> None:
        for loop in loops:
            for node in loop.body:
                self._add(node, product(loop.shape))

    def _add(self, node: Node, numbers: Dim) -> None:
        operation = node.graph.operations.get(node.op)
        if node.op == "copy":
            return
        if operation is not None and operation.dear:
            self.functions += numbers
        elif operation is not None or node.op in (*REDUCTIONS, *SUMS, *SCANS):
            self.arithmetic += numbers
