"""Find matrix memories: states with steps ``S' = decay * S + outer(key, u)``, which one query reads.

The pattern is found from the operations, however the step is written. An outer product is a product of an
array that varies along the rows and one that varies along the columns. A read is a sum over rows or columns
of a product with S. ``u`` may depend on S through one read before the update, of which it is an affine
function: this is the delta rule. The decay is a number, or one for each head, row or column. The memory of a
cell such as ``gla``, ``delta_net`` or ``matrix_lstm`` thus becomes one value of the graph, which
:mod:`zoo.kernels.matrix_memory` computes for all steps.

An update may add several outer products, as in ``rwkv7`` and ``mamba3``. A step may have several updates:
``gated_delta_product`` reads the memory again after the first one.

A complex state, such as the memory of ``retnet``, is two real matrices, its planes. Its decay may be a
complex number ``gamma * exp(i theta)`` (:mod:`zoo.compiler.passes.memory_rotation`). Its key is complex. A
read is the real part or the imaginary part of a product.

A step stays as it is if anything else reads the state. It also does if the operands depend on another state,
and that state on the result of the query: then the steps must be computed one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.elementwise_ops import ADD, MULTIPLY, SUBTRACT
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.memory_ops import Decays, MemoryForm, Rotations, matrix_memory
from zoo.compiler.ir.structural_ops import RESHAPE, TRANSPOSE, concatenate
from zoo.compiler.passes.affine_form import affine_form
from zoo.compiler.passes.matrix_matcher import MatrixMatcher, Read
from zoo.compiler.passes.matrix_terms import MatrixTerm, times
from zoo.compiler.passes.memory_rotation import is_trained, polar_form, real_decay
from zoo.compiler.passes.state_matcher import NoMatch, mismatches, replace_states

# A step with more updates, or an update with more outer products, is none of the known forms.
_MAX_UPDATES = 4


def find_matrix_memories(step_graph: StepGraph) -> StepGraph:
    """Replace states that are matrix memories by reads of all steps; their new states have no nodes."""
    return replace_states(step_graph, _MemoryMatcher)


def memory_mismatches(step_graph: StepGraph) -> dict[str, str]:
    """Why states that are matrices are no matrix memories, by the name of the state."""
    return mismatches(step_graph, _MemoryMatcher)


class _Factors(NamedTuple):
    """Factors of S in a step; None for none."""

    decay: Node | None = None
    decays: Decays = Decays.NONE
    rotation: Node | None = None
    rotations: Rotations = Rotations.NONE


class _Update(NamedTuple):
    """One update of S: it decays and rotates, and outer products are added. A probe reads it before.

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


class _MemoryMatcher(MatrixMatcher):
    """Finds the parts of a matrix memory; its stages are also the matrices between two updates."""

    def __init__(self, step_graph: StepGraph, name: str) -> None:
        super().__init__(step_graph, name)
        self.stages[1:1] = [[node] for node in self._matrices_between()]

    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state is no matrix memory.
        """
        query, probes = self.reads()
        updates = [
            self._update(stage, matrices, query.by_column, probes)
            for stage, matrices in enumerate(self.stages[1:])
        ]
        writes = max(len(update.keys) for update in updates)
        if {Decays.ROWS, Decays.COLUMNS} <= {update.factors.decays for update in updates}:
            raise NoMatch("one update has a decay for each row, and another one for each column")
        probed = sum(update.probe is not None for update in updates)
        if max(len(updates), writes) > _MAX_UPDATES:
            raise NoMatch(f"it has more than {_MAX_UPDATES} updates or outer products")
        if probed != len(probes):
            raise NoMatch("its update depends on a sum over it that is not part of the written value")
        rows, width = self.rows_and_width(query.by_column)
        form = MemoryForm(
            self.name,
            self.terms.heads,
            self.planes,
            rows,
            width,
            1 << (len(updates) - 1).bit_length(),
            writes,
            max(update.factors.decays for update in updates),
            max(update.factors.rotations for update in updates),
            has_probe=bool(probes),
            query_first=query.stage == 0,
            transposed=query.by_column,
            has_fixed_decay=_have_fixed_decays(update.factors for update in updates),
        )
        # The kernels need a power of two. The first updates change nothing if there are too few.
        updates = [*[_Update(_Factors(), [], [])] * (form.updates - len(updates)), *updates]
        memory = matrix_memory(self._operands(query, updates, form), form, self._fixed_factors(updates, form))
        return self.without_state(query.node, query.result(memory), memory)

    def _matrices_between(self) -> list[Node]:
        """Matrices that probes read after an update and before the next one, in their order."""
        between: set[Node] = set()
        for node in self.sums(ancestors(self.after)) if self.planes == 1 else ():
            matrix = node.inputs[0]
            while matrix.op in (MULTIPLY, RESHAPE, TRANSPOSE) and matrix not in self.terms.cores:
                matrix = next(each for each in matrix.inputs if each in self.dependents)
            if matrix.op in (ADD, SUBTRACT) and matrix not in self.terms.cores:
                between.add(matrix)
        return [self.terms.add_product(node) for node in sorted(between, key=lambda each: each.index)]

    def _update(
        self, stage: int, matrices: Sequence[Node], by_column: bool, probes: Sequence[Read]
    ) -> _Update:
        """The update between the matrices of a stage and those after it."""
        terms_of_planes = [self.terms.expand(matrix, inside=True) for matrix in matrices]
        outer = [[term for term in terms if term.core is None] for terms in terms_of_planes]
        old = [[term for term in terms if term.core is not None] for terms in terms_of_planes]
        for term in itertools.chain(*old):
            if term.core not in self.stages[stage]:
                raise NoMatch("its update reads it before another update")
        find_factors = self._complex_factors if self.planes > 1 else self._real_factors
        update = _Update(find_factors(old, by_column), [], [])
        for key, written in self._outer_products(outer, by_column):
            probe = _read_by(written, probes)
            if probe is None:
                update = update._replace(keys=[key, *update.keys], values=[written, *update.values])
                continue
            value, rate = affine_form(written, probe.node)
            if rate is None or probe.stage != stage or update.probe is not None:
                raise NoMatch("an update depends on several sums over it")
            rate = times(rate, probe.scale)
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
            return [self.outer_product(outer, by_column)]
        except NoMatch:
            if not groups:
                raise
        return [self.outer_product(group, by_column) for group in groups.values()]

    def _real_factors(self, old: list[list[MatrixTerm]], by_column: bool) -> _Factors:
        if len(old[0]) != 1:
            raise NoMatch("its old value enters the update in several terms, or in none")
        (term,) = old[0]
        row, column = term.split(by_column)
        if row is not None and column is not None:
            raise NoMatch("its decay varies along its rows and its columns")
        if row is not None:
            return _Factors(self.sum_of_vectors(old[0], by_column), Decays.ROWS)
        if column is not None:
            return _Factors(self.sum_of_vectors(old[0], not by_column), Decays.COLUMNS)
        decay = self.terms.scaled(term, None, ONE)
        return _Factors() if decay.value == 1.0 else _Factors(decay, Decays.HEADS)

    def _complex_factors(self, old: list[list[MatrixTerm]], by_column: bool) -> _Factors:
        """Decay and angle of a complex factor, which is a matrix ``[[a, -b], [b, a]]`` of both planes."""
        if any(term.split(by_column)[1] is not None for terms in old for term in terms):
            raise NoMatch("its complex decay varies along the axis over which the query does not sum")
        real, imag = self.before
        a, b = self.factor(old[0], real, by_column), self.factor(old[1], real, by_column)
        minus_b = self.factor([term.negated() for term in old[0]], imag, by_column)
        if a is None or a is not self.factor(old[1], imag, by_column) or b is not minus_b:
            raise NoMatch("its decay is not a complex number for each row")
        if b is None:
            return _Factors(*_decay_of_planes(real_decay(a)))
        polar = polar_form(a, b)
        if polar is None:
            raise NoMatch("its complex decay is not written as gamma * exp(1j * theta)")
        rotation = concatenate([polar.cosine, polar.sine], 1)
        rotations = Rotations.TRAINED if polar.is_trained else Rotations.FIXED
        return _Factors(*_decay_of_planes(polar.decay), rotation, rotations)

    def _operands(self, query: Read, updates: Sequence[_Update], form: MemoryForm) -> Node:
        """The operands of all updates, ``(updates * heads, ...)``."""
        reading = 0 if form.query_first else form.updates - 1
        rows = [
            self._operands_of_update(update, query.vector if number == reading else None, form)
            for number, update in enumerate(updates)
        ]
        return concatenate(rows, 0)

    def _fixed_factors(self, updates: Sequence[_Update], form: MemoryForm) -> Node | None:
        """The factors of all updates that are the same at every step, ``(updates * heads, ...)``."""
        rows = []
        for update in updates:
            parts = [self._decay(update, form)] * form.has_fixed_decay
            if form.has_fixed_angle and update.factors.rotation is not None:
                parts.append(update.factors.rotation)
            rows += [concatenate(parts, 1)] if parts else []
        return concatenate(rows, 0) if rows else None

    def _decay(self, update: _Update, form: MemoryForm) -> Node:
        return self.terms.filled(update.factors.decay, form.decay_size, 1.0)

    def _operands_of_update(self, update: _Update, query: Node | None, form: MemoryForm) -> Node:
        filled = self.terms.filled
        missing = [None] * (form.writes - len(update.keys))  # the last value has the read of the probe
        parts = [filled(value, form.width, 0.0) for value in [*missing, *update.values]]
        parts += [filled(key, form.depth, 0.0) for key in [*missing, *update.keys, query]]
        if form.decays and not form.has_fixed_decay:
            parts.append(self._decay(update, form))
        if update.factors.rotation is not None and not form.has_fixed_angle:
            parts.append(update.factors.rotation)
        if form.has_probe:
            parts += [filled(update.probe, form.depth, 0.0), filled(update.rate, form.width, 0.0)]
        return concatenate(parts, 1)


def _have_fixed_decays(factors: Iterable[_Factors]) -> bool:
    """Whether there are decays of heads or rows, all of them the same at every step and without gradients."""
    decays = [(each.decays, each.decay) for each in factors if each.decay is not None]
    return bool(decays) and not any(kind == Decays.COLUMNS or is_trained(decay) for kind, decay in decays)


def _read_by(written: Node, probes: Sequence[Read]) -> Read | None:
    """The probe that a value depends on, other than through a probe."""
    nodes = {probe.node for probe in probes}
    reached = ancestors([written], stop=lambda node: node in nodes)
    read = [probe for probe in probes if probe.node in reached]
    if len(read) > 1:
        raise NoMatch("a written value depends on several probes")
    return read[0] if read else None


def _decay_of_planes(decay: Node | None) -> tuple[Node | None, Decays]:
    """The decay of a complex memory for its real and imaginary rows."""
    if decay is None or decay.shape[1] == ONE:
        return decay, Decays.NONE if decay is None else Decays.HEADS
    return concatenate([decay, decay], 1), Decays.ROWS
