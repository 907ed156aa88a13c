"""Check a graph with options as letters: with their values, it must be the graph with values.

``step`` may need the value of an option in a way that no error reveals, for example as a text or in
``isinstance``.
"""

from __future__ import annotations

from zoo.compiler.codegen.writer import ARRAY_SUFFIXES, RESERVED
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.passes.specialise import copy_with_sizes


def is_variable(option: str) -> bool:
    """Whether kernels can have a variable with the name of an option: no other variable has this name."""
    return option not in RESERVED and "_per_" not in option and not option.endswith(ARRAY_SUFFIXES[1:])


def is_general_form(step_graph: StepGraph, with_values: StepGraph) -> bool:
    """Whether a graph becomes another one of the same cell if options get their values.

    Args:
        step_graph: The graph with options as letters.
        with_values: The graph with their values.
    """
    options = step_graph.cell.options
    values = {name: options[name] for name in step_graph.size_options}
    copies = copy_with_sizes(step_graph.outputs, with_values.y.graph, values)
    return [copies[node] for node in step_graph.outputs] == with_values.outputs
