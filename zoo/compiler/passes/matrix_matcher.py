"""Base class of the passes that find states of one matrix for each head, and the sums that read them.

Examples are the memory of ``gla`` and the state of ``mamba``. A matcher splits the matrix after a step, and
the matrices that sums read, into terms (:mod:`zoo.compiler.passes.matrix_terms`).
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, ZERO, Dim
from zoo.compiler.ir.elementwise_ops import ADD, NEGATIVE, SUBTRACT
from zoo.compiler.ir.graph import Node, ancestors, dependents
from zoo.compiler.ir.structural_ops import CONCAT, RESHAPE, SUM, concatenate
from zoo.compiler.passes.matrix_terms import MatrixTerm, MatrixTerms, Order
from zoo.compiler.passes.state_matcher import NoMatch, StateMatcher

# A step with more matrices has none of the known forms.
_MAX_MATRICES = 64


@dataclass(frozen=True)
class Read:
    """A sum over the rows or columns of a product with S or S'.

    Args:
        node: The sum, or the sum or difference of those of two planes.
        stage: Index of the matrix that it reads, in :attr:`MatrixMatcher.stages`.
        vector: The other factor, ``(heads, K)``.
        by_column: Whether it sums over columns.
        scale: A factor along the other axis, ``(heads, D)``; None for one.
        rest: Terms of the sum without S, ``(heads, D)``.
    """

    node: Node
    stage: int
    vector: Node
    by_column: bool
    scale: Node | None
    rest: Node | None

    def result(self, memory: Node) -> Node:
        """The value of the sum, given the sum of the product of S and the vector."""
        scaled = memory if self.scale is None else memory * self.scale
        return scaled if self.rest is None else scaled + self.rest


class MatrixMatcher(StateMatcher):
    """Finds the parts of the step of a state ``S`` of one or two matrices for each head.

    Attributes:
        planes: Real matrices of a state: two if it is complex, else one.
        terms: Splits matrices of the shape of S into terms.
        before: The matrices of S, one for each plane.
        after: The matrices of S'.
        stages: The matrices that reads may read: those of S, and those of S'. Subclasses add others between.
        dependents: S and the values that depend on it.
    """

    def __init__(self, step_graph: StepGraph, name: str) -> None:
        super().__init__(step_graph, name)
        self.planes = 2 if step_graph.cell.states[name].complex else 1
        self.terms = MatrixTerms(self.leaf.shape[self.planes - 1 :], self.leaf.graph, self.elements)
        self.before = [self.terms.add_core(node) for node in self._planes_before()]
        self.after = [self.terms.add_core(node) for node in self._planes_after()]
        self.stages = [self.before, self.after]
        matrices = [node for node in ancestors(step_graph.outputs) if self.terms.is_matrix(node)]
        if ONE in (self.terms.rows, self.terms.columns):
            raise NoMatch  # a vector
        if len(matrices) > _MAX_MATRICES:
            raise NoMatch(f"the step has more than {_MAX_MATRICES} matrices of its shape")
        self.dependents = set(dependents([self.leaf], step_graph.outputs))

    def elements(self, node: Node, order: Order) -> Node | None:  # noqa: ARG002 - for subclasses
        """A factor of the elements of S, ``(heads, R, C)``; None if the node is another one."""
        return None

    def _planes_before(self) -> list[Node]:
        """The matrices of S."""
        if self.planes == 1:
            return [self.leaf]
        return [ops.slice_axis(self.leaf, 0, start, start + ONE) for start in (ZERO, ONE)]

    def _planes_after(self) -> tuple[Node, ...]:
        """The matrices of S'."""
        new = self.step_graph.new_states[self.name]
        if self.planes == 1:
            return (new,)
        if new.op != CONCAT or new.attr != 0 or len(new.inputs) != 2:
            raise NoMatch("its new value is not the result of a complex operation")
        return new.inputs

    # Reads.

    def sums(self, nodes: Iterable[Node]) -> list[Node]:
        """The sums over the rows or columns of a matrix that depends on S."""
        return [
            node
            for node in nodes
            if node.op == SUM and node in self.dependents and self.terms.is_matrix(node.inputs[0])
        ]

    def reads(self) -> tuple[Read, list[Read]]:
        """The reads of the query, and of probes, which read matrices before S'."""
        update = set(ancestors(self.after))
        sums = self.sums(ancestors(self.step_graph.outputs))
        query, probes = ([node for node in sums if (node in update) == inside] for inside in (False, True))
        if not query:
            raise NoMatch("no query reads it, that is, no sum over its rows or columns is an output")
        read = self.read(*self.combined(query))
        groups = [probes] if self.planes > 1 else [[node] for node in probes]
        reads = [self.read(*self.combined(group)) for group in groups if group]
        last = len(self.stages) - 1
        if read.stage not in (0, last):
            raise NoMatch("the query reads it between two updates")
        if any(each.stage == last for each in reads):
            raise NoMatch("its update depends on a sum over its new value")
        if any(each.rest is not None or each.by_column != read.by_column for each in reads):
            raise NoMatch("the query and a probe sum over different axes")
        return read, reads

    def combined(self, sums: Sequence[Node]) -> tuple[Node, list[tuple[Node, bool]]]:
        """The value that a read returns, and the sums it consists of, with whether each is negative."""
        if len(sums) == 1:
            return sums[0], [(sums[0], False)]
        if len(sums) > self.planes:
            raise NoMatch("more than one query reads it, or a state of its shape that depends on it")
        for node in ancestors(self.step_graph.outputs):
            if node.op in (ADD, SUBTRACT):
                signed = [_signed(operand) for operand in node.inputs]
                if {each for each, _ in signed} == set(sums):
                    (first, a), (second, b) = signed
                    return node, [(first, a), (second, b != (node.op == SUBTRACT))]
        raise NoMatch("more than one query reads it, or a state of its shape that depends on it")

    def read(self, node: Node, sums: Iterable[tuple[Node, bool]]) -> Read:
        """The product that one or two sums read."""
        terms, by_column = self.summed_terms(sums)
        memory_terms = [term for term in terms if term.core is not None]
        stages = {
            number
            for number, matrices in enumerate(self.stages)
            for term in memory_terms
            if term.core in matrices
        }
        if {term.core for term in memory_terms} - {None, *itertools.chain(*self.stages)}:
            raise NoMatch("a query reads it together with another state of its shape")
        if len(stages) != 1:
            raise NoMatch("a query reads it before and after its update")
        (stage,) = stages
        scales = {term.split(by_column)[1] for term in memory_terms}
        if len(scales) != 1:
            raise NoMatch("a query varies along the axis over which it does not sum")
        vectors = [self.factor(memory_terms, matrix, by_column) for matrix in self.stages[stage]]
        length, _ = self.rows_and_width(by_column)
        vector = concatenate([self.terms.filled(each, length, 0.0) for each in vectors], 1)
        rest = [self.terms.summed(term, by_column) for term in terms if term.core is None]
        return Read(node, stage, vector, by_column, scales.pop(), _sum(rest))

    def summed_terms(self, sums: Iterable[tuple[Node, bool]]) -> tuple[list[MatrixTerm], bool]:
        """The terms of the matrices that sums read, and whether all of them sum over columns.

        Args:
            sums: The sums, with whether each is negative.
        """
        terms: list[MatrixTerm] = []
        directions: set[bool] = set()
        for each, negative in sums:
            summed, by_column = self._summed(each)
            terms += [term.negated() for term in summed] if negative else summed
            directions.add(by_column)
        if len(directions) != 1:
            raise NoMatch("queries sum over its rows and over its columns")
        return terms, directions.pop()

    def _summed(self, node: Node) -> tuple[list[MatrixTerm], bool]:
        """The terms of the matrix that a sum reads, and whether it sums over columns."""
        inner = node.inputs[0]
        order = self.terms.order(inner)
        if order is None:
            raise NoMatch("a query reads a function of it, or its axes are mixed by a reshape")
        *lead, row, column = self.terms.positions(inner, order)
        by_column = tuple(node.attr) == (column,)
        others = [*lead, row if by_column else column]
        if tuple(node.attr) not in ((row,), (column,)) or others != sorted(others):
            raise NoMatch("a sum over it is neither over its rows nor over its columns, with heads in front")
        return self.terms.expand(inner, order), by_column

    # Vectors.

    def rows_and_width(self, by_column: bool) -> tuple[Dim, Dim]:
        """Lengths of the axis over which the query sums, and of the other."""
        rows, columns = self.terms.rows, self.terms.columns
        return (columns, rows) if by_column else (rows, columns)

    def factor(self, terms: Iterable[MatrixTerm], core: Node, by_column: bool) -> Node | None:
        """The sum of the factors of a matrix of the state, ``(heads, K)``; None without one."""
        return self.sum_of_vectors([term for term in terms if term.core is core], by_column)

    def sum_of_vectors(self, terms: Iterable[MatrixTerm], by_column: bool) -> Node | None:
        """The sum of the vectors of some terms along the columns, or along the rows."""
        length, _ = self.rows_and_width(by_column)
        return _sum([self.terms.scaled(term, term.split(by_column)[0], length) for term in terms])

    def outer_product(self, outer: list[list[MatrixTerm]], by_column: bool) -> tuple[Node, Node]:
        """The key and the value written under it. One of the two is the sum over all terms."""
        if not any(outer):
            raise NoMatch("its update adds nothing")
        terms = self.terms
        rows, width = self.rows_and_width(by_column)
        keys = [{term.split(by_column)[0] for term in plane} for plane in outer]
        columns = {term.split(by_column)[1] for plane in outer for term in plane}
        written = {self.sum_of_vectors(plane, not by_column) for plane in outer if plane}
        if len(written) == 1 and all(len(each) <= 1 for each in keys):
            vectors = [terms.filled(each.pop(), rows, 1.0) if each else None for each in keys]
        elif len(columns) == 1:
            written = {terms.filled(columns.pop(), width, 1.0)}
            vectors = [self.sum_of_vectors(plane, by_column) for plane in outer]
        else:
            raise NoMatch("what its update adds is not an outer product")
        key = concatenate([terms.filled(each, rows, 0.0) for each in vectors], 1)
        return key, terms.filled(written.pop(), width, 0.0)


def _sum(nodes: Sequence[Node]) -> Node | None:
    return functools.reduce(operator.add, nodes) if nodes else None


def _signed(node: Node) -> tuple[Node, bool]:
    """A value without the reshapes and signs around it, and whether it is negative."""
    negative = False
    while node.op in (RESHAPE, NEGATIVE):
        negative ^= node.op == NEGATIVE
        node = node.inputs[0]
    return node, negative
