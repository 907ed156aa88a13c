"""Find selective scans: states with steps ``S' = exp(rates * time) * S + outer(key, value)``.

``rates`` is a matrix that is the same at every step, and ``time`` varies along the axis over which the query
does not sum. The state of Mamba has this form. It is found from the operations, like a matrix memory
(:mod:`zoo.compiler.passes.matrix_memory`), and becomes one value of the graph, which
:mod:`zoo.kernels.selective_scan` computes for all steps. A step stays as it is if the state is complex, if
anything but one query reads it, or if the operands depend on another state, and that state on the result.
"""

from __future__ import annotations

from dataclasses import replace

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.elementwise_ops import EXP
from zoo.compiler.ir.graph import Level, Node
from zoo.compiler.ir.memory_ops import ScanForm, read_with_factors
from zoo.compiler.ir.structural_ops import BROADCAST, concatenate
from zoo.compiler.passes.matrix_matcher import MatrixMatcher
from zoo.compiler.passes.matrix_terms import MatrixTerm, Order, times
from zoo.compiler.passes.state_matcher import NoMatch, replace_states


def find_selective_scans(step_graph: StepGraph) -> StepGraph:
    """Replace states that are selective scans by reads of all steps; their new states have no nodes."""
    return replace_states(step_graph, _ScanMatcher)


class _ScanMatcher(MatrixMatcher):
    """Finds the parts of a selective scan."""

    def __init__(self, step_graph: StepGraph, name: str) -> None:
        super().__init__(step_graph, name)
        self.exponents: dict[Node, tuple[Node, Order]] = {}

    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state is no selective scan.
        """
        query, probes = self.reads()
        if probes or self.planes > 1:
            raise NoMatch
        by_column, terms = query.by_column, self.terms
        update = terms.expand(self.after[0], inside=True)
        old = [term for term in update if term.core is not None]
        if len(old) != 1 or replace(old[0], core=None, elements=None) != MatrixTerm():
            raise NoMatch
        rates, time = self._exponent(old[0].elements, by_column)
        key, value = self.outer_product([[term for term in update if term.core is None]], by_column)
        depth, width = self.rows_and_width(by_column)
        operands = concatenate([value, key, query.vector, terms.filled(time, width, 1.0)], 1)
        form = ScanForm(
            self.name, terms.heads, depth, width, query_first=query.stage == 0, transposed=by_column
        )
        memory = read_with_factors(operands, rates, form)
        return self.without_state(query.node, query.result(memory), memory)

    def elements(self, node: Node, order: Order) -> Node | None:
        """A matrix that is the same at every step, or an exponential function, whose exponent is kept."""
        if node in self.dependents or node.op == BROADCAST:
            return None
        if node.level != Level.ONCE and node.op != EXP:
            return None
        elements = self.terms.canonical(node, order)
        if node.level != Level.ONCE:
            self.exponents[elements] = (node.inputs[0], order)
        return elements

    def _exponent(self, decay: Node | None, by_column: bool) -> tuple[Node, Node | None]:
        """``rates (heads, K, D)`` and ``time (heads, D)`` of ``exp(rates * time)``; None for one."""
        if decay is None or decay not in self.exponents:
            raise NoMatch
        terms = self.terms.expand(*self.exponents[decay])
        if len(terms) != 1:
            raise NoMatch
        (term,) = terms
        by_depth, by_width = (term.column, term.row) if by_column else (term.row, term.column)
        rates = self._rates(term.elements, by_depth, by_column)
        if rates.level != Level.ONCE:
            raise NoMatch
        return rates * term.number, times(term.head, by_width)

    def _rates(self, elements: Node | None, by_depth: Node | None, by_column: bool) -> Node:
        """Rates ``(heads, K, D)``, from factors of the elements and of the rows that queries sum over."""
        depth, width = self.rows_and_width(by_column)
        shape = (self.terms.heads, depth, width)
        if elements is not None and by_column:
            elements = ops.transpose(elements, (0, 2, 1))
        if by_depth is not None:
            by_depth = ops.reshape(by_depth, (self.terms.heads, depth, ONE))
        rates = times(elements, by_depth)
        graph = self.leaf.graph
        return graph.constant(1.0, shape) if rates is None else graph.broadcast(rates, shape)
