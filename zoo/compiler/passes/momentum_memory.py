"""Find matrix memories with momentum: ``P' = keep * P + outer(key, u)`` and ``M' = decay * M + gain * P'``.

One query reads M or M'. ``u`` may depend on M through one read before the update, of which it is an affine
function. ``decay``, ``keep`` and ``gain`` are one number for each head. M and P are two states of the same
shape, for example the memory of ``titans`` and its momentum. They become one value of the graph, which
:mod:`zoo.kernels.momentum_memory` computes for all steps.
"""

from __future__ import annotations

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.memory_ops import Decays, MemoryForm, Rotations, matrix_memory
from zoo.compiler.ir.structural_ops import RESHAPE, TRANSPOSE, concatenate
from zoo.compiler.passes.affine_form import affine_form
from zoo.compiler.passes.matrix_matcher import MatrixMatcher, Read
from zoo.compiler.passes.matrix_terms import MatrixTerm, times
from zoo.compiler.passes.state_matcher import NoMatch, replace_states


def find_momentum_memories(step_graph: StepGraph) -> StepGraph:
    """Replace pairs of states that are a memory and its momentum; their new states have no nodes."""
    return replace_states(step_graph, _MomentumMatcher)


class _MomentumMatcher(MatrixMatcher):
    """Finds the parts of a memory with momentum; its state is the memory."""

    def replaced(self) -> StepGraph:
        """The step without both states.

        Raises:
            NoMatch: if the state is no memory with momentum.
        """
        momentum = self._momentum()
        before = self.terms.add_core(self.step_graph.states[momentum])
        after = self.terms.add_core(self.step_graph.new_states[momentum])
        query, probes = self.reads()
        decay, gain = self._head_factors(self.terms.expand(self.after[0], inside=True), self.before[0], after)
        update = self.terms.expand(after, inside=True)
        (keep,) = self._head_factors([term for term in update if term.core is not None], before)
        key, value = self.outer_product([[term for term in update if term.core is None]], query.by_column)
        rows, width = self.rows_and_width(query.by_column)
        parts = [value, key, query.vector, decay, keep, gain]
        if probes:
            parts[0], *probe_operands = self._split_probed_value(value, probes)
            parts += probe_operands
        form = MemoryForm(
            self.name,
            self.terms.heads,
            1,
            rows,
            width,
            1,
            1,
            Decays.HEADS,
            Rotations.NONE,
            has_probe=bool(probes),
            query_first=query.stage == 0,
            transposed=query.by_column,
            momentum=momentum,
        )
        self.replaces.append(momentum)
        memory = matrix_memory(concatenate(parts, 1), form)
        return self.without_state(query.node, query.result(memory), memory)

    def _momentum(self) -> str:
        """The state whose new value enters the new value of the memory."""
        graph, reached = self.step_graph, set(ancestors(self.after))
        names = [
            name
            for name, new in graph.new_states.items()
            for state in [graph.cell.states[name]]
            if name != self.name and graph.states[name].shape == self.leaf.shape
            if not state.discrete and not state.complex and _without_views(new) in reached
        ]
        if self.planes > 1 or len(names) != 1:
            raise NoMatch
        return names[0]

    def _head_factors(self, terms: list[MatrixTerm], *cores: Node) -> list[Node]:
        """Factors of matrices, ``(heads, 1)``, in a sum of one term for each of them."""
        by_core = {term.core: term for term in terms}
        if len(terms) != len(cores) or by_core.keys() != set(cores):
            raise NoMatch
        ordered = [by_core[core] for core in cores]
        if any(term.row or term.column or term.elements for term in ordered):
            raise NoMatch
        return [self.terms.scaled(term, None, ONE) for term in ordered]

    def _split_probed_value(self, written: Node, probes: list[Read]) -> tuple[Node, Node, Node]:
        """The written value without the read of the probe; the probe; the factor of its read."""
        if len(probes) != 1 or probes[0].stage != 0:
            raise NoMatch
        _, width = self.rows_and_width(probes[0].by_column)
        value, rate = affine_form(written, probes[0].node)
        if rate is None:
            raise NoMatch
        rate = self.terms.filled(times(rate, probes[0].scale), width, 0.0)
        return self.terms.filled(value, width, 0.0), probes[0].vector, rate


def _without_views(node: Node) -> Node:
    while node.op in (RESHAPE, TRANSPOSE):
        node = node.inputs[0]
    return node
