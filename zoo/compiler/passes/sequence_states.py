"""Find all states that kernels compute for all steps of a sequence, and reasons for the others."""

from __future__ import annotations

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import ancestors
from zoo.compiler.ir.structural_ops import CONCAT
from zoo.compiler.passes.delays import delay_states
from zoo.compiler.passes.diagonal_filter import find_diagonal_filters
from zoo.compiler.passes.matrix_memory import find_matrix_memories, memory_mismatches
from zoo.compiler.passes.selective_scan import find_selective_scans
from zoo.compiler.passes.short_convolution import find_short_convolutions

_PASSES = find_short_convolutions, find_matrix_memories, find_selective_scans, find_diagonal_filters


def find_sequence_states(step_graph: StepGraph) -> StepGraph:
    """Replace all such states; their new states have no nodes.

    The operands of one may be functions of the result of another, so the passes run until none finds more.
    """
    while (replaced := _all_passes(step_graph)) is not step_graph:
        step_graph = replaced
    return step_graph


def _all_passes(step_graph: StepGraph) -> StepGraph:
    for find_states in _PASSES:
        step_graph = find_states(step_graph)
    return step_graph


def step_by_step_states(step_graph: StepGraph) -> dict[str, str]:
    """Matrices that are computed one step after the other, and why each is not a matrix memory.

    Delays, and states that a step joins to a window of values, are left out.
    """
    replaced = find_sequence_states(step_graph)
    joined = {operand for node in ancestors(replaced.outputs) if node.op == CONCAT for operand in node.inputs}
    vectors = delay_states(replaced) | {name for name, leaf in replaced.states.items() if leaf in joined}
    reasons = memory_mismatches(replaced).items()
    return {name: reason for name, reason in reasons if name not in vectors}
