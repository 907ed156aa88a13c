"""Find all states that kernels compute for all steps of a sequence, and reasons for the others."""

from __future__ import annotations

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import ancestors
from zoo.compiler.ir.structural_ops import CONCAT
from zoo.compiler.passes.delays import delay_states, states_read
from zoo.compiler.passes.diagonal_filter import find_diagonal_filters
from zoo.compiler.passes.matrix_memory import find_matrix_memories, memory_mismatches
from zoo.compiler.passes.momentum_memory import find_momentum_memories
from zoo.compiler.passes.selective_scan import find_selective_scans
from zoo.compiler.passes.short_convolution import convolution_mismatches, find_short_convolutions

_PASSES = (
    find_short_convolutions,
    find_matrix_memories,
    find_momentum_memories,
    find_selective_scans,
    find_diagonal_filters,
)


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


def step_by_step_reasons(step_graph: StepGraph) -> tuple[str, ...]:
    """Why states that are matrices are not computed for several steps at once, a sentence for each.

    A state that a step joins to other values is compared with a short convolution, and others with a matrix
    memory. A delay is computed for all steps anyway, unless its values are joined to a window.
    """
    replaced = find_sequence_states(step_graph)
    joined = {operand for node in ancestors(replaced.outputs) if node.op == CONCAT for operand in node.inputs}
    windows = {name for name, leaf in replaced.states.items() if leaf in joined}
    others = windows | delay_states(replaced, states_read(replaced))
    convolutions, memories = convolution_mismatches(replaced), memory_mismatches(replaced)
    reasons = [
        *((name, "short convolution", convolutions[name]) for name in convolutions if name in windows),
        *((name, "matrix memory", memories[name]) for name in memories if name not in others),
    ]
    return tuple(f"{name} is not a {form}: {reason}." for name, form, reason in reasons)
