"""Find matrix memories: states with steps ``S' = decay * S + outer(key, u)``, which one query reads.

The pattern is found from the operations, however the step is written. An outer product is a product of an
array that varies along the rows and one that varies along the columns. A read is a sum over rows or columns
of a product with S. ``u`` may depend on S through one read before the update, of which it is an affine
function: this is the delta rule. The memory of a cell such as ``gla``, ``delta_net`` or ``matrix_lstm`` thus
becomes one value of the graph, which :mod:`zoo.kernels.matrix_memory` computes for all steps.

A step stays as it is if anything else reads the state, or if what the query reads affects a state: then the
steps must be computed one after the other.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, Dim, product
from zoo.compiler.ir.elementwise_ops import ADD, DIVIDE, MULTIPLY, NEGATIVE, SUBTRACT
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.memory_ops import MemoryForm, matrix_memory
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BROADCAST, RESHAPE, SUM, TRANSPOSE, concatenate
from zoo.compiler.passes.simplify import rewrite

Order: TypeAlias = tuple[int, ...]


# A step with more terms, or with more matrices in all, is none of the known forms.
_MAX_TERMS, _MAX_MATRICES = 4, 64


class NoMatch(Exception):
    """The state has another form."""


def find_matrix_memories(step_graph: StepGraph) -> StepGraph:
    """Replace states that are matrix memories by reads of all steps; their new states have no nodes."""
    for name, leaf in step_graph.states.items():
        state = step_graph.cell.states[name]
        if leaf.ndim >= 2 and not state.discrete and not state.complex:
            try:
                step_graph = MemoryMatcher(step_graph, name).replaced()
            except NoMatch:
                continue
    return step_graph


@dataclass(frozen=True)
class _Term:
    """A term of a matrix: a product of factors, and of S or S' if it has a core.

    Args:
        core: The leaf S, the new state, or None.
        head: Factor of a head, ``(heads, 1)``; None for one.
        row: Factors of the rows, ``(heads, R)``.
        column: Factors of the columns, ``(heads, C)``.
        elements: Factors of the elements, ``(heads, R, C)``.
    """

    core: Node | None = None
    head: Node | None = None
    row: Node | None = None
    column: Node | None = None
    elements: Node | None = None


@dataclass(frozen=True)
class _Read:
    """A sum over the rows or columns of a product with S or S'.

    Args:
        node: The sum.
        core: The leaf S, or the new state.
        vector: The other factor, ``(heads, K)``.
        by_column: Whether it sums over columns.
        rest: Terms of the sum without S, ``(heads, D)``.
    """

    node: Node
    core: Node
    vector: Node
    by_column: bool
    rest: Node | None


def times(a: Node | None, b: Node | None) -> Node | None:
    """The product; None stands for one."""
    return b if a is None else a if b is None else a * b


class MemoryMatcher:
    """Finds the parts of a matrix memory."""

    def __init__(self, step_graph: StepGraph, name: str) -> None:
        self.step_graph, self.name = step_graph, name
        self.leaf, self.new = step_graph.states[name], step_graph.new_states[name]
        while self.new.op == RESHAPE:
            self.new = self.new.inputs[0]
        *lead, self.rows, self.columns = self.leaf.shape
        self.heads = product(lead)
        self.axes = [dim for dim in self.leaf.shape if dim != ONE]
        matrices = [node for node in ancestors(step_graph.outputs) if self._is_matrix(node)]
        if ONE in (self.rows, self.columns) or len(matrices) > _MAX_MATRICES:
            raise NoMatch
        self.orders: dict[Node, Order | None] = {}
        self.dependents = _dependents(self.leaf, step_graph.outputs)

    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state is no matrix memory.
        """
        query, probe = self._reads()
        decay, key, written = self._update(query.by_column)
        value, rate = _affine(written, probe.node if probe else None)
        if (rate is None) != (probe is None):
            raise NoMatch
        depth, width = (self.columns, self.rows) if query.by_column else (self.rows, self.columns)
        parts = [self._filled(value, width, 0.0), key, query.vector]
        parts += [] if decay is None else [decay]
        parts += [] if probe is None or rate is None else [probe.vector, self._filled(rate, width, 0.0)]
        form = MemoryForm(
            self.name,
            self.heads,
            depth,
            width,
            decays=decay is not None,
            has_probe=probe is not None,
            query_first=query.core is self.leaf,
            transposed=query.by_column,
        )
        memory = matrix_memory(concatenate(parts, 1), form)
        return self._without_state(query, memory)

    def _without_state(self, query: _Read, memory: Node) -> StepGraph:
        graph = self.step_graph
        states = {name: node for name, node in graph.new_states.items() if name != self.name}
        result = memory if query.rest is None else memory + query.rest

        def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - signature of a rule
            return ops.reshape(result, node.shape) if node is query.node else None

        new = rewrite([graph.y, *states.values()], rule)
        replaced = replace(graph, new_states=states).map_nodes(new)
        replaced = replace(replaced, memories={**graph.memories, self.name: memory})
        self._check(replaced, memory)
        return replaced

    def _check(self, step_graph: StepGraph, memory: Node) -> None:
        """Check that only the memory needs the state, and that no state needs what the query reads."""
        reached = ancestors([step_graph.y])
        if (
            self.leaf in ancestors(step_graph.outputs)
            or memory not in reached
            or memory in ancestors(step_graph.new_states.values())
        ):
            raise NoMatch

    # Reads.

    def _reads(self) -> tuple[_Read, _Read | None]:
        """The reads of the query, and of the probe if there is one."""
        update = set(ancestors([self.new]))
        query: list[_Read] = []
        probe: list[_Read] = []
        for node in ancestors(self.step_graph.outputs):
            if node.op == SUM and node in self.dependents and self._is_matrix(node.inputs[0]):
                (probe if node in update else query).append(self._read(node))
        if len(query) != 1 or len(probe) > 1 or any(each.rest is not None for each in probe):
            raise NoMatch
        if probe and (probe[0].by_column != query[0].by_column or probe[0].core is not self.leaf):
            raise NoMatch
        return query[0], probe[0] if probe else None

    def _read(self, node: Node) -> _Read:
        """The product that a sum reads."""
        order = self._order(node.inputs[0])
        if order is None:
            raise NoMatch
        *_, row, column = self._positions(node.inputs[0], order)
        terms = self._expand(node.inputs[0], order)
        of_memory = [term for term in terms if term.core is not None]
        if len(of_memory) != 1 or tuple(node.attr) not in ((row,), (column,)):
            raise NoMatch
        by_column = tuple(node.attr) == (column,)
        vector, other = self._split(of_memory[0], by_column)
        if other is not None or of_memory[0].core is None:
            raise NoMatch
        depth = self.columns if by_column else self.rows
        rest = [self._summed(term, by_column) for term in terms if term.core is None]
        total = functools.reduce(operator.add, rest) if rest else None
        return _Read(
            node, of_memory[0].core, self._vector(of_memory[0].head, vector, depth), by_column, total
        )

    def _split(self, term: _Term, by_column: bool) -> tuple[Node | None, Node | None]:
        """The factors along the axis that reads sum over, and along the other."""
        if term.elements is not None:
            raise NoMatch
        return (term.column, term.row) if by_column else (term.row, term.column)

    def _summed(self, term: _Term, by_column: bool) -> Node:
        """The sum of an outer product, ``(heads, D)``."""
        vector, other = self._split(term, by_column)
        if vector is None or other is None:
            raise NoMatch
        total = ops.reshape(ops.reduce_sum(vector, (1,)), (self.heads, ONE))
        return (total if term.head is None else total * term.head) * other

    # Axes.

    def _is_matrix(self, node: Node) -> bool:
        return Counter(dim for dim in node.shape if dim != ONE) == Counter(self.axes)

    def _long_axes(self, node: Node) -> list[int]:
        if not self._is_matrix(node):
            raise NoMatch
        return [axis for axis, dim in enumerate(node.shape) if dim != ONE]

    def _positions(self, node: Node, order: Order) -> list[int]:
        """The axes of a matrix that are the heads, the rows and the columns."""
        axes = self._long_axes(node)
        return [axes[index] for index in order]

    def _order(self, node: Node) -> Order | None:
        """The order of the long axes of a matrix: heads, rows and columns; None without S in it."""
        if node not in self.orders:
            self.orders[node] = self._find_order(node)
        return self.orders[node]

    def _find_order(self, node: Node) -> Order | None:
        if node in (self.leaf, self.new):
            return tuple(range(len(self.axes)))
        if node.op == RESHAPE:
            return self._order(node.inputs[0])
        if node.op == TRANSPOSE and (inner := self._order(node.inputs[0])) is not None:
            own, axes = self._long_axes(node), self._positions(node.inputs[0], inner)
            return tuple(own.index(node.attr.index(axis)) for axis in axes)
        if node.op.kind is Kind.ELEMENTWISE:
            return next(filter(None, map(self._order, node.inputs)), None)
        return None

    # Terms.

    def _expand(self, node: Node, order: Order, inside: bool = False) -> list[_Term]:
        """The terms of a matrix; inside the new state, its own."""
        if node is self.leaf or (node is self.new and not inside):
            if order != tuple(range(len(self.axes))):
                raise NoMatch
            return [_Term(core=node)]
        if (elements := self._elements(node, order)) is not None:
            return [_Term(elements=elements)]
        if node.op == BROADCAST:
            return [self._factor(node, order)]
        if node.op == TRANSPOSE:
            inner, axes = self._long_axes(node.inputs[0]), self._positions(node, order)
            order = tuple(inner.index(node.attr[axis]) for axis in axes)
            return self._expand(node.inputs[0], order)
        if node.op == RESHAPE:
            shapes = [[each.shape[axis] for axis in self._long_axes(each)] for each in (node, node.inputs[0])]
            if shapes[0] != shapes[1]:  # such as (3, H) to (H, 3), which is no transpose
                raise NoMatch
            return self._expand(node.inputs[0], order)
        if node.op == DIVIDE and node.inputs[1].op == BROADCAST:
            divisor = self._inverse(self._factor(node.inputs[1], order))
            return [self._product(each, divisor) for each in self._expand(node.inputs[0], order)]
        if node.op not in (ADD, SUBTRACT, NEGATIVE, MULTIPLY):
            raise NoMatch
        left, *others = (self._expand(operand, order) for operand in node.inputs)
        if len(left) + len(others[0] if others else ()) > _MAX_TERMS:
            raise NoMatch
        if node.op == MULTIPLY:
            return [self._product(a, b) for a in left for b in others[0]]
        if node.op == ADD:
            return left + others[0]
        return [*left, *map(self._negated, others[0])] if others else list(map(self._negated, left))

    def _negated(self, term: _Term) -> _Term:
        return self._product(term, _Term(head=self.leaf.graph.constant(-1.0, (self.heads, ONE))))

    def _product(self, a: _Term, b: _Term) -> _Term:
        if a.core is not None and b.core is not None:
            raise NoMatch
        core = b.core if a.core is None else a.core
        factors = (
            times(getattr(a, name), getattr(b, name)) for name in ("head", "row", "column", "elements")
        )
        return _Term(core, *factors)

    def _inverse(self, factor: _Term) -> _Term:
        def inverse(node: Node | None) -> Node | None:
            return None if node is None else 1.0 / node

        return _Term(None, inverse(factor.head), inverse(factor.row), inverse(factor.column))

    def _elements(self, node: Node, order: Order) -> Node | None:  # noqa: ARG002 - for subclasses
        """A factor of the elements of S, ``(heads, R, C)``; None if the node is another one."""
        return None

    def _factor(self, node: Node, order: Order) -> _Term:
        """A factor that varies along rows, columns or neither."""
        positions = self._positions(node, order)
        row, column = positions[-2:]
        inner = node.inputs[0]
        shape = (ONE,) * (node.ndim - inner.ndim) + inner.shape
        varies = (shape[row] != ONE, shape[column] != ONE)
        if all(varies):
            raise NoMatch
        kept = tuple(shape[axis] if axis in (row, column) else dim for axis, dim in enumerate(node.shape))
        short = [axis for axis in range(node.ndim) if axis not in positions]
        vector = ops.transpose(node.graph.broadcast(inner, kept), (*short, *positions))
        if varies == (True, False):
            return _Term(row=ops.reshape(vector, (self.heads, self.rows)))
        if varies == (False, True):
            return _Term(column=ops.reshape(vector, (self.heads, self.columns)))
        return _Term(head=ops.reshape(vector, (self.heads, ONE)))

    def _vector(self, head: Node | None, vector: Node | None, length: Dim) -> Node:
        """A vector of each head, ``(heads, length)``, times a factor of the head."""
        return self._filled(times(head, vector), length, 1.0)

    def _filled(self, vector: Node | None, length: Dim, value: float) -> Node:
        """A vector of each head; the same number everywhere without one."""
        shape = (self.heads, length)
        graph = self.leaf.graph
        return graph.constant(value, shape) if vector is None else graph.broadcast(vector, shape)

    # The update.

    def _update(self, by_column: bool) -> tuple[Node | None, Node, Node]:
        """Factors of S, the key, and what is written under it."""
        order = tuple(range(len(self.axes)))
        terms = self._expand(self.new, order, inside=True)
        old = [term for term in terms if term.core is not None]
        if len(old) != 1 or old[0].core is not self.leaf:
            raise NoMatch
        depth = self.columns if by_column else self.rows
        factors, others = self._split(old[0], by_column)
        if others is not None:
            raise NoMatch
        decay = None
        if factors is not None or old[0].head is not None:
            decay = self._vector(old[0].head, factors, depth)
        return (decay, *self._written(terms, by_column))

    def _written(self, terms: Iterable[_Term], by_column: bool) -> tuple[Node, Node]:
        """The key and what is written under it."""
        depth, width = (self.columns, self.rows) if by_column else (self.rows, self.columns)
        outer = [term for term in terms if term.core is None]
        keys = {self._split(term, by_column)[0] for term in outer}
        if len(keys) != 1:
            raise NoMatch
        written = [self._vector(term.head, self._split(term, by_column)[1], width) for term in outer]
        return self._vector(None, keys.pop(), depth), functools.reduce(operator.add, written)


def _dependents(source: Node, outputs: Iterable[Node]) -> set[Node]:
    """The ancestors of the outputs that depend on a node, and the node."""
    dependents = {source}
    for node in ancestors(outputs):
        if any(operand in dependents for operand in node.inputs):
            dependents.add(node)
    return dependents


def _affine(node: Node, variable: Node | None) -> tuple[Node | None, Node | None]:
    """``a`` and ``b`` of ``node = a + b * variable``, element by element; None for zero.

    Raises:
        NoMatch: if the node has another form.
    """
    if variable is None:
        return node, None
    dependents = _dependents(variable, [node])
    known: dict[Node, tuple[Node | None, Node | None]] = {
        variable: (None, node.graph.constant(1.0, variable.shape))
    }
    for each in ancestors([node], stop=lambda each: each not in dependents or each is variable):
        if each not in dependents:
            known[each] = (each, None)
        elif each is not variable:
            known[each] = _affine_of(each, [known[operand] for operand in each.inputs])
    return known[node]


def _affine_of(
    node: Node, operands: list[tuple[Node | None, Node | None]]
) -> tuple[Node | None, Node | None]:
    """The form of an operation, given those of its operands."""
    (a, b), (c, d) = operands[0], operands[-1]
    if node.op in (ADD, SUBTRACT):
        return _signed_sum(node, a, c), _signed_sum(node, b, d)
    if node.op in (NEGATIVE, RESHAPE, TRANSPOSE, BROADCAST):
        return _rebuilt(node, a), _rebuilt(node, b)
    if node.op == MULTIPLY and (b is None or d is None):
        factor, (e, f) = (a, (c, d)) if b is None else (c, (a, b))
        return (None if e is None else times(factor, e)), (None if f is None else times(factor, f))
    if node.op == DIVIDE and d is None and c is not None:
        return (None if a is None else a / c), (None if b is None else b / c)
    raise NoMatch


def _rebuilt(node: Node, operand: Node | None) -> Node | None:
    """The operation of a node, applied to another operand."""
    return None if operand is None else node.graph.build(node.op, (operand,), node.attr, node.shape)


def _signed_sum(node: Node, a: Node | None, b: Node | None) -> Node | None:
    """``a + b`` or ``a - b``."""
    if b is not None and node.op == SUBTRACT:
        b = -b
    return b if a is None else a if b is None else a + b
