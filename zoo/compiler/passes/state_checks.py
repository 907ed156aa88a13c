"""Likely mistakes with states: old values that a step does not read, and new values in the wrong order."""

from __future__ import annotations

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Node, ancestors


def unread_states(step_graph: StepGraph) -> list[str]:
    """The states whose old values change nothing that the step returns."""
    used = set(ancestors(step_graph.outputs))
    return [name for name, node in step_graph.states.items() if node not in used]


def misplaced_states(step_graph: StepGraph) -> dict[str, str]:
    """The states whose new value has the name of another state in the step, and that name.

    Two uses are no mistake. A step that delays a state returns its old value, which has its name, for another
    state. A step may also return one value for two states.
    """
    misplaced, old = {}, set(step_graph.states.values())
    for name, node in step_graph.new_states.items():
        names = [each for each in step_graph.states if _is_bound(step_graph, each, node)]
        is_copy = any(step_graph.new_states.get(each) is node for each in names)
        if names and not is_copy and node not in old:
            misplaced[name] = names[0]
    return misplaced


def _is_bound(step_graph: StepGraph, name: str, node: Node) -> bool:
    """Whether the author bound a name to a value."""
    return any(node in nodes for nodes in step_graph.bindings.get(name, []))
