"""States that only delay values: the past inputs of a short convolution, or the input of the last step.

Their values before every step are known before the loop over time. The same is true of all values that depend
on them and on the input alone, such as the projections of a convolved input. This pass marks these states, so
that products of such values leave the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import DELAY, STATE
from zoo.compiler.passes.simplify import rewrite

_NO_STATES: frozenset[str] = frozenset()


def mark_delays(step_graph: StepGraph) -> StepGraph:
    """Turn states that products read and that only delay values into leaves of the level of x."""
    nodes = ancestors(step_graph.outputs)
    read = dict[Node, frozenset[str]]()
    for node in nodes:
        own = frozenset([node.attr]) if node.op == STATE else _NO_STATES
        read[node] = own.union(*(read[operand] for operand in node.inputs))
    read_by = {name: read[node] for name, node in step_graph.new_states.items()}
    delays = _delays(step_graph, read_by)
    products = (node for node in nodes if node.op.batches_steps and read[node] <= delays)
    marked = _NO_STATES.union(*(read[node] for node in products))
    while not marked >= (more := _NO_STATES.union(*(read_by[name] for name in marked))):
        marked |= more
    if not marked:
        return step_graph

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - the signature of a rule
        if node.op != STATE or node.attr not in marked:
            return None
        return node.graph.node(DELAY, (), node.attr, node.shape, Level.SEQUENCE)

    new = rewrite([*step_graph.outputs, *step_graph.states.values()], rule)
    states = {name: new[node] for name, node in step_graph.states.items()}
    return replace(step_graph.map_nodes(new), states=states)


def _delays(step_graph: StepGraph, read_by: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The states whose new values read x and other delays alone, and of themselves only parts that move."""
    moving = {name for name in read_by if name not in read_by[name] or _only_moves(step_graph, name)}
    delays = _NO_STATES
    while not delays >= (more := frozenset(name for name in moving if read_by[name] - {name} <= delays)):
        delays |= more
    return delays


def _only_moves(step_graph: StepGraph, name: str) -> bool:
    """Whether the new value of a state has parts of the old one, and computes nothing from them."""
    dependents = {step_graph.states[name]}
    for node in ancestors([step_graph.new_states[name]]):
        if any(operand in dependents for operand in node.inputs):
            if node.op.kind not in (Kind.VIEW, Kind.CONCAT):
                return False
            dependents.add(node)
    return True
