"""Find diagonal filters: states with steps ``S' = keep * S + take * value``, of which one sum is read.

``keep`` and ``take`` are matrices that are the same at every step, ``value`` varies along one axis of the
state, and the sum runs over the other, of the product with a matrix that is the same at every step. The state
may be complex. The state of S4D has this form. It is found from the operations, like a matrix memory
(:mod:`zoo.compiler.passes.matrix_memory`), and becomes one value of the graph, which
:mod:`zoo.kernels.diagonal_filter` computes for all steps. A step stays as it is if anything else reads the
state, if the sum reads the state before the step, or if the value depends on another state, and that
state on the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.memory_ops import FilterForm, read_with_factors
from zoo.compiler.ir.structural_ops import BROADCAST, concatenate
from zoo.compiler.passes.matrix_matcher import MatrixMatcher
from zoo.compiler.passes.matrix_terms import MatrixTerm, Order, times
from zoo.compiler.passes.state_matcher import NoMatch, replace_states


def find_diagonal_filters(step_graph: StepGraph) -> StepGraph:
    """Replace states that are diagonal filters by reads of all steps; their new states have no nodes."""
    return replace_states(step_graph, _FilterMatcher)


class _FilterMatcher(MatrixMatcher):
    """Finds the parts of a diagonal filter."""

    def elements(self, node: Node, order: Order) -> Node | None:
        """A matrix that is the same at every step."""
        if node.level != Level.ONCE or node.op == BROADCAST:
            return None
        return self.terms.canonical(node, order)

    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state is no diagonal filter.
        """
        node, by_column, read = self._fixed_read()
        terms = [self.terms.expand(matrix, inside=True) for matrix in self.after]
        keep = self._keep([[term for term in each if term.core is not None] for each in terms])
        outer = [[term for term in each if term.core is None] for each in terms]
        value, take = self._take(outer, by_column)
        rows, width = self.rows_and_width(by_column)
        form = FilterForm(self.name, self.terms.heads, self.planes, rows, width, transposed=by_column)
        factors = concatenate([self._oriented(each, by_column) for each in (*keep, *take, *read)], 0)
        memory = read_with_factors(value, factors, form)
        return self.without_state(node, memory, memory)

    def _oriented(self, factor: Node | None, by_column: bool) -> Node:
        """A factor of the elements, ``(heads, K, D)``; zeros for None."""
        shape = (self.terms.heads, self.terms.rows, self.terms.columns)
        graph = self.leaf.graph
        matrix = graph.constant(0.0, shape) if factor is None else graph.broadcast(factor, shape)
        return ops.transpose(matrix, (0, 2, 1)) if by_column else matrix

    def _of_elements(self, term: MatrixTerm) -> Node:
        """The product of all factors of a term, ``(heads, R, C)``, the same at every step."""
        heads, rows, columns = self.terms.heads, self.terms.rows, self.terms.columns
        row = None if term.row is None else ops.reshape(term.row, (heads, rows, ONE))
        column = None if term.column is None else ops.reshape(term.column, (heads, ONE, columns))
        head = None if term.head is None else ops.reshape(term.head, (heads, ONE, ONE))
        factor = times(times(term.elements, row), times(column, head))
        if factor is None:
            factor = self.leaf.graph.constant(1.0, (heads, ONE, ONE))
        if factor.level != Level.ONCE:
            raise NoMatch
        return factor if term.number == 1.0 else factor * term.number

    def _total(self, terms: Iterable[MatrixTerm]) -> Node | None:
        total: Node | None = None
        for term in terms:
            factor = self._of_elements(term)
            total = factor if total is None else total + factor
        return total

    def _fixed_read(self) -> tuple[Node, bool, list[Node | None]]:
        """The sum that is read, whether it sums over columns, and the factors of the planes of S'."""
        sums = self.sums(ancestors(self.step_graph.outputs))
        if not sums:
            raise NoMatch
        node, signed = self.combined(sums)
        terms, by_column = self.summed_terms(signed)
        if any(term.core not in self.after for term in terms):
            raise NoMatch
        # The real part of a product has minus the imaginary part of the factor.
        read = [
            self._total(term.negated() if plane else term for term in terms if term.core is matrix)
            for plane, matrix in enumerate(self.after)
        ]
        return node, by_column, read

    def _keep(self, old: list[list[MatrixTerm]]) -> list[Node | None]:
        """Factors of S: one, or the real and imaginary part of a complex number."""
        factors = [
            [self._total(term for term in terms if term.core is matrix) for matrix in self.before]
            for terms in old
        ]
        if any(term.core not in self.before for terms in old for term in terms):
            raise NoMatch
        if self.planes == 1:
            return factors[0]
        (a, minus_b), (b, also_a) = factors
        negated = self._total(term.negated() for term in old[0] if term.core is self.before[1])
        if a is not also_a or negated is not b or (minus_b is None) != (b is None):
            raise NoMatch
        return [a, b]

    def _take(self, outer: list[list[MatrixTerm]], by_column: bool) -> tuple[Node, list[Node | None]]:
        """The value that is added at every step, ``(heads, D)``, and its factors for each plane."""
        values: set[Node | None] = set()
        factors: list[Node | None] = []
        for terms in outer:
            fixed = []
            for term in terms:
                values.add(term.row if by_column else term.column)
                fixed.append(replace(term, row=None) if by_column else replace(term, column=None))
            factors.append(self._total(fixed))
        if len(values) != 1 or None in values:
            raise NoMatch
        value = values.pop()
        assert value is not None
        return value, factors
