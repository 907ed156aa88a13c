"""Find matrix memories: states with steps ``S' = decay * S + outer(key, u)``, which one query reads.

The pattern is found from the operations, however the step is written. An outer product is a product of an
array that varies along the rows and one that varies along the columns. A read is a sum over rows or columns
of a product with S. ``u`` may depend on S through one read before the update, of which it is an affine
function: this is the delta rule. The memory of a cell such as ``gla``, ``delta_net`` or ``matrix_lstm`` thus
becomes one value of the graph, which :mod:`zoo.kernels.matrix_memory` computes for all steps.

An update may add several outer products, as in ``rwkv7`` and ``mamba3``. A step may have several updates:
``gated_delta_product`` reads the memory again after the first one.

A complex state, such as the memory of ``retnet``, is two real matrices, its planes. Its decay may be a
complex number ``gamma * exp(i theta)`` (:mod:`zoo.compiler.passes.memory_rotation`). Its key is complex. A
read is the real part or the imaginary part of a product.

A step stays as it is if anything else reads the state, or if what the query reads affects a state: then the
steps must be computed one after the other.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, ZERO, Dim
from zoo.compiler.ir.elementwise_ops import ADD, DIVIDE, MULTIPLY, NEGATIVE, SUBTRACT
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.memory_ops import Decays, MemoryForm, Turns, matrix_memory
from zoo.compiler.ir.structural_ops import BROADCAST, CONCAT, RESHAPE, SUM, TRANSPOSE, concatenate
from zoo.compiler.passes.memory_rotation import polar_form, real_decay
from zoo.compiler.passes.memory_terms import MatrixTerm, MatrixTerms, NoMatch, Order, times
from zoo.compiler.passes.simplify import rewrite

# A step with more matrices or updates, or an update with more outer products, is none of the known forms.
_MAX_MATRICES = 64
_MAX_UPDATES = 4


def find_matrix_memories(step_graph: StepGraph) -> StepGraph:
    """Replace states that are matrix memories by reads of all steps; their new states have no nodes."""
    return replace_states(step_graph, MemoryMatcher)


def replace_states(step_graph: StepGraph, matcher: type[MemoryMatcher]) -> StepGraph:
    """Replace all states that a matcher recognises, except those that another one has replaced."""
    for name, leaf in step_graph.states.items():
        state = step_graph.cell.states[name]
        if leaf.ndim >= 2 + state.complex and not state.discrete and name not in step_graph.memories:
            with contextlib.suppress(NoMatch):
                step_graph = matcher(step_graph, name).replaced()
    return step_graph


@dataclass(frozen=True)
class _Read:
    """A sum over the rows or columns of a product with S or S'.

    Args:
        node: The sum, or the sum or difference of those of two planes.
        stage: Index of the matrix that it reads, in :attr:`MemoryMatcher.stages`.
        vector: The other factor, ``(heads, K)``.
        by_column: Whether it sums over columns.
        rest: Terms of the sum without S, ``(heads, D)``.
    """

    node: Node
    stage: int
    vector: Node
    by_column: bool
    rest: Node | None


class _Factors(NamedTuple):
    """Factors of S in a step; None for none."""

    decay: Node | None = None
    decays: Decays = Decays.NONE
    turn: Node | None = None
    turns: Turns = Turns.NONE


class _Update(NamedTuple):
    """One update of S: it decays and turns, and outer products are added. A probe reads it before.

    Args:
        factors: Factors of S.
        keys: Keys of the outer products, ``(heads, K)``.
        values: Their values without the read of the probe, ``(heads, D)``; None for zero.
        probe: ``(heads, K)``; None without one.
        rate: Factor of what the probe reads in the last value, ``(heads, D)``; None without probe.
    """

    factors: _Factors
    keys: Sequence[Node]
    values: Sequence[Node | None]
    probe: Node | None = None
    rate: Node | None = None


class MemoryMatcher:
    """Finds the parts of a matrix memory.

    Attributes:
        stages: The matrices of S, matrices that probes read between two updates, and the matrices of S'.
    """

    def __init__(self, step_graph: StepGraph, name: str) -> None:
        self.step_graph, self.name = step_graph, name
        self.leaf = step_graph.states[name]
        self.planes = 2 if step_graph.cell.states[name].complex else 1
        self.terms = MatrixTerms(self.leaf.shape[self.planes - 1 :], self.leaf.graph, self.elements)
        self.before = [self.terms.add_core(node) for node in self._planes_before()]
        self.after = [self.terms.add_core(node) for node in self._planes_after()]
        matrices = [node for node in ancestors(step_graph.outputs) if self.terms.is_matrix(node)]
        if ONE in (self.terms.rows, self.terms.columns) or len(matrices) > _MAX_MATRICES:
            raise NoMatch
        self.dependents = _dependents(self.leaf, step_graph.outputs)
        self.stages = [self.before, *([node] for node in self._matrices_between()), self.after]

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
            raise NoMatch
        return new.inputs

    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state is no matrix memory.
        """
        query, probes = self._reads()
        updates = [
            self._update(stage, matrices, query.by_column, probes)
            for stage, matrices in enumerate(self.stages[1:])
        ]
        writes = max(len(update.keys) for update in updates)
        probed = sum(update.probe is not None for update in updates)
        if max(len(updates), writes) > _MAX_UPDATES or probed != len(probes):
            raise NoMatch
        rows, width = self._rows_and_width(query.by_column)
        form = MemoryForm(
            self.name,
            self.terms.heads,
            self.planes,
            rows,
            width,
            1 << (len(updates) - 1).bit_length(),
            writes,
            max(update.factors.decays for update in updates),
            max(update.factors.turns for update in updates),
            has_probe=bool(probes),
            query_first=query.stage == 0,
            transposed=query.by_column,
        )
        memory = matrix_memory(self._operands(query, updates, form), form)
        return self._without_state(query.node, query.rest, memory)

    def _operands(self, query: _Read, updates: Sequence[_Update], form: MemoryForm) -> Node:
        """The operands of all updates, ``(updates * heads, ...)``."""
        # The kernels need a power of two. The first updates change nothing if there are too few.
        nothing = [_Update(_Factors(), [], [])] * (form.updates - len(updates))
        reading = 0 if form.query_first else form.updates - 1
        rows = [
            self._operands_of_update(update, query.vector if number == reading else None, form)
            for number, update in enumerate([*nothing, *updates])
        ]
        return concatenate(rows, 0)

    def _operands_of_update(self, update: _Update, query: Node | None, form: MemoryForm) -> Node:
        filled = self.terms.filled
        missing = [None] * (form.writes - len(update.keys))  # the last value has the read of the probe
        parts = [filled(value, form.width, 0.0) for value in [*missing, *update.values]]
        parts += [filled(key, form.depth, 0.0) for key in [*missing, *update.keys, query]]
        if form.decays:
            size = form.depth if form.decays == Decays.ROWS else ONE
            parts.append(filled(update.factors.decay, size, 1.0))
        if update.factors.turn is not None:
            parts.append(update.factors.turn)
        if form.has_probe:
            parts += [filled(update.probe, form.depth, 0.0), filled(update.rate, form.width, 0.0)]
        return concatenate(parts, 1)

    def _without_state(self, read: Node, rest: Node | None, memory: Node) -> StepGraph:
        """The step in which ``memory + rest`` replaces what is read."""
        graph = self.step_graph
        states = {name: node for name, node in graph.new_states.items() if name != self.name}
        result = memory if rest is None else memory + rest

        def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - signature of a rule
            return ops.reshape(result, node.shape) if node is read else None

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

    def elements(self, node: Node, order: Order) -> Node | None:  # noqa: ARG002 - for subclasses
        """A factor of the elements of S, ``(heads, R, C)``; None if the node is another one."""
        return None

    # Reads.

    def _sums(self, nodes: Iterable[Node]) -> list[Node]:
        """The sums over the rows or columns of a matrix that depends on S."""
        return [
            node
            for node in nodes
            if node.op == SUM and node in self.dependents and self.terms.is_matrix(node.inputs[0])
        ]

    def _matrices_between(self) -> list[Node]:
        """Matrices that probes read after an update and before the next one, in their order."""
        between: set[Node] = set()
        for node in self._sums(ancestors(self.after)) if self.planes == 1 else ():
            matrix = node.inputs[0]
            while matrix.op in (MULTIPLY, RESHAPE, TRANSPOSE) and matrix not in self.terms.cores:
                matrix = next(each for each in matrix.inputs if each in self.dependents)
            if matrix.op in (ADD, SUBTRACT) and matrix not in self.terms.cores:
                between.add(matrix)
        return [self.terms.add_product(node) for node in sorted(between, key=lambda each: each.index)]

    def _reads(self) -> tuple[_Read, list[_Read]]:
        """The reads of the query, and of probes, which read matrices before S'."""
        update = set(ancestors(self.after))
        sums = self._sums(ancestors(self.step_graph.outputs))
        query, probes = ([node for node in sums if (node in update) == inside] for inside in (False, True))
        if not query:
            raise NoMatch
        read = self._read(*self._combined(query))
        groups = [probes] if self.planes > 1 else [[node] for node in probes]
        reads = [self._read(*self._combined(group)) for group in groups if group]
        last = len(self.stages) - 1
        if read.stage not in (0, last) or any(each.stage == last for each in reads):
            raise NoMatch
        if any(each.rest is not None or each.by_column != read.by_column for each in reads):
            raise NoMatch
        return read, reads

    def _combined(self, sums: Sequence[Node]) -> tuple[Node, list[tuple[Node, bool]]]:
        """The value that a read returns, and the sums it consists of, with whether each is negative."""
        if len(sums) == 1:
            return sums[0], [(sums[0], False)]
        if len(sums) > self.planes:
            raise NoMatch
        for node in ancestors(self.step_graph.outputs):
            if node.op in (ADD, SUBTRACT):
                signed = [_signed(operand) for operand in node.inputs]
                if {each for each, _ in signed} == set(sums):
                    (first, a), (second, b) = signed
                    return node, [(first, a), (second, b != (node.op == SUBTRACT))]
        raise NoMatch

    def _read(self, node: Node, sums: Iterable[tuple[Node, bool]]) -> _Read:
        """The product that one or two sums read."""
        terms, by_column = self._summed_terms(sums)
        of_memory = [term for term in terms if term.core is not None]
        stages = {
            number
            for number, matrices in enumerate(self.stages)
            for term in of_memory
            if term.core in matrices
        }
        if len(stages) != 1:
            raise NoMatch
        (stage,) = stages
        if any(term.split(by_column)[1] is not None for term in of_memory):
            raise NoMatch
        vectors = [self._factor(of_memory, matrix, by_column) for matrix in self.stages[stage]]
        length, _ = self._rows_and_width(by_column)
        vector = concatenate([self.terms.filled(each, length, 0.0) for each in vectors], 1)
        rest = [self.terms.summed(term, by_column) for term in terms if term.core is None]
        return _Read(node, stage, vector, by_column, _sum(rest))

    def _summed_terms(self, sums: Iterable[tuple[Node, bool]]) -> tuple[list[MatrixTerm], bool]:
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
            raise NoMatch
        return terms, directions.pop()

    def _summed(self, node: Node) -> tuple[list[MatrixTerm], bool]:
        """The terms of the matrix that a sum reads, and whether it sums over columns."""
        inner = node.inputs[0]
        order = self.terms.order(inner)
        if order is None:
            raise NoMatch
        *lead, row, column = self.terms.positions(inner, order)
        by_column = tuple(node.attr) == (column,)
        others = [*lead, row if by_column else column]
        if tuple(node.attr) not in ((row,), (column,)) or others != sorted(others):
            raise NoMatch
        return self.terms.expand(inner, order), by_column

    def _rows_and_width(self, by_column: bool) -> tuple[Dim, Dim]:
        """Lengths of the axis over which the query sums, and of the other."""
        rows, columns = self.terms.rows, self.terms.columns
        return (columns, rows) if by_column else (rows, columns)

    def _factor(self, terms: Iterable[MatrixTerm], core: Node, by_column: bool) -> Node | None:
        """The sum of the factors of a matrix of the state, ``(heads, K)``; None without one."""
        return self._sum_of_vectors([term for term in terms if term.core is core], by_column)

    def _sum_of_vectors(self, terms: Iterable[MatrixTerm], by_column: bool) -> Node | None:
        """The sum of the vectors of some terms along the columns, or along the rows."""
        length, _ = self._rows_and_width(by_column)
        return _sum([self.terms.scaled(term, term.split(by_column)[0], length) for term in terms])

    # The update.

    def _update(
        self, stage: int, matrices: Sequence[Node], by_column: bool, probes: Sequence[_Read]
    ) -> _Update:
        """The update between the matrices of a stage and those after it."""
        terms_of_planes = [self.terms.expand(matrix, inside=True) for matrix in matrices]
        outer = [[term for term in terms if term.core is None] for terms in terms_of_planes]
        old = [[term for term in terms if term.core is not None] for terms in terms_of_planes]
        for term in itertools.chain(*old):
            if term.core not in self.stages[stage] or term.split(by_column)[1] is not None:
                raise NoMatch
        find_factors = self._complex_factors if self.planes > 1 else self._real_factors
        update = _Update(find_factors(old, by_column), [], [])
        for key, written in self._outer_products(outer, by_column):
            probe = _read_by(written, probes)
            if probe is None:
                update = update._replace(keys=[key, *update.keys], values=[written, *update.values])
                continue
            value, rate = _affine(written, probe.node)
            if rate is None or probe.stage != stage or update.probe is not None:
                raise NoMatch
            keys, values = [*update.keys, key], [*update.values, value]
            update = _Update(update.factors, keys, values, probe.vector, rate)
        return update

    def _outer_products(self, outer: list[list[MatrixTerm]], by_column: bool) -> list[tuple[Node, Node]]:
        """Keys, and what is written under each.

        Raises:
            NoMatch: if there are none.
        """
        # Complex keys have two vectors, and the same value.
        index, groups = self.planes - 1, dict[Node | None, list[list[MatrixTerm]]]()
        for plane, terms in enumerate(outer):
            for term in terms:
                group = groups.setdefault(term.split(by_column)[index], [[] for _ in outer])
                group[plane].append(term)
        try:
            return [self._outer_product(outer, by_column)]
        except NoMatch:
            if not groups:
                raise
        return [self._outer_product(group, by_column) for group in groups.values()]

    def _real_factors(self, old: list[list[MatrixTerm]], by_column: bool) -> _Factors:
        if len(old[0]) != 1:
            raise NoMatch
        (term,) = old[0]
        if term.split(by_column)[0] is not None:
            return _Factors(self._sum_of_vectors(old[0], by_column), Decays.ROWS)
        decay = self.terms.scaled(term, None, ONE)
        return _Factors() if decay.value == 1.0 else _Factors(decay, Decays.HEADS)

    def _complex_factors(self, old: list[list[MatrixTerm]], by_column: bool) -> _Factors:
        """Decay and angle of a complex factor, which is a matrix ``[[a, -b], [b, a]]`` of both planes."""
        real, imag = self.before
        a, b = self._factor(old[0], real, by_column), self._factor(old[1], real, by_column)
        minus_b = self._factor([term.negated() for term in old[0]], imag, by_column)
        if a is None or a is not self._factor(old[1], imag, by_column) or b is not minus_b:
            raise NoMatch
        if b is None:
            return _Factors(*_decay_of_planes(real_decay(a)))
        polar = polar_form(a, b)
        if polar is None:
            raise NoMatch
        turn = concatenate([polar.cosine, polar.sine], 1)
        turns = Turns.TRAINED if polar.is_trained else Turns.FIXED
        return _Factors(*_decay_of_planes(polar.decay), turn, turns)

    def _outer_product(self, outer: list[list[MatrixTerm]], by_column: bool) -> tuple[Node, Node]:
        """The key and what is written under it: one of them is the sum of those of all terms."""
        terms = self.terms
        rows, width = self._rows_and_width(by_column)
        keys = [{term.split(by_column)[0] for term in plane} for plane in outer]
        columns = {term.split(by_column)[1] for plane in outer for term in plane}
        written = {self._sum_of_vectors(plane, not by_column) for plane in outer if plane}
        if len(written) == 1 and all(len(each) <= 1 for each in keys):
            vectors = [terms.filled(each.pop(), rows, 1.0) if each else None for each in keys]
        elif len(columns) == 1:
            written = {terms.filled(columns.pop(), width, 1.0)}
            vectors = [self._sum_of_vectors(plane, by_column) for plane in outer]
        else:
            raise NoMatch
        key = concatenate([terms.filled(each, rows, 0.0) for each in vectors], 1)
        return key, terms.filled(written.pop(), width, 0.0)


def _read_by(written: Node, probes: Sequence[_Read]) -> _Read | None:
    """The probe that a value depends on, other than through a probe."""
    nodes = {probe.node for probe in probes}
    reached = ancestors([written], stop=lambda node: node in nodes)
    read = [probe for probe in probes if probe.node in reached]
    if len(read) > 1:
        raise NoMatch
    return read[0] if read else None


def _decay_of_planes(decay: Node | None) -> tuple[Node | None, Decays]:
    """The decay of a complex memory for its real and imaginary rows."""
    if decay is None or decay.shape[1] == ONE:
        return decay, Decays.NONE if decay is None else Decays.HEADS
    return concatenate([decay, decay], 1), Decays.ROWS


def _sum(nodes: Sequence[Node]) -> Node | None:
    return functools.reduce(operator.add, nodes) if nodes else None


def _signed(node: Node) -> tuple[Node, bool]:
    """A value without the reshapes and signs around it, and whether it is negative."""
    negative = False
    while node.op in (RESHAPE, NEGATIVE):
        negative ^= node.op == NEGATIVE
        node = node.inputs[0]
    return node, negative


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
