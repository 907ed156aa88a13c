"""States that only delay values: the past inputs of a short convolution, or the input of the last step.

Their values before every step are known before the loop over time. The same is true of all values that depend
on them and on the input alone, such as the projections of a convolved input. This pass marks these states, so
that products of such values leave the loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.interpreter import numpy_impl
from zoo.compiler.ir.dims import GENERIC_SIZES, concrete_shape
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import DELAY, STATE
from zoo.compiler.passes.simplify import rewrite

_NO_STATES: frozenset[str] = frozenset()

_MAX_ELEMENTS = 2**22  # of a state at the generic sizes; larger ones are matrix memories


def mark_delays(step_graph: StepGraph) -> StepGraph:
    """Turn states that products read and that only delay values into leaves of the level of x."""
    read = states_read(step_graph)
    delays = delay_states(step_graph, read)
    products = (node for node, names in read.items() if node.op.batches_steps and names <= delays)
    marked = _NO_STATES.union(*(read[node] for node in products))
    new_states = step_graph.new_states
    while not marked >= (more := _NO_STATES.union(*(read[new_states[name]] for name in marked))):
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


def states_read(step_graph: StepGraph) -> dict[Node, frozenset[str]]:
    """The states that each value depends on, by the value."""
    read = dict[Node, frozenset[str]]()
    for node in ancestors(step_graph.outputs):
        own = frozenset([node.attr]) if node.op == STATE else _NO_STATES
        read[node] = own.union(*(read[operand] for operand in node.inputs))
    return read


def delay_states(step_graph: StepGraph, read: Mapping[Node, frozenset[str]]) -> frozenset[str]:
    """The states whose new values read x and other delays alone, and of themselves only parts that leave.

    Args:
        step_graph: The step.
        read: The states that each value depends on (:func:`states_read`).
    """
    read_by = {name: read[node] for name, node in step_graph.new_states.items()}
    leaving = {name for name in read_by if name not in read_by[name] or _forgets(step_graph, name)}
    delays = _NO_STATES
    while not delays >= (more := frozenset(name for name in leaving if read_by[name] - {name} <= delays)):
        delays |= more
    return delays


def _forgets(step_graph: StepGraph, name: str) -> bool:
    """Whether a state only moves its parts, and each of them leaves it after some steps.

    A state that keeps a part, such as ``h' = h``, is a recurrence: its gradient adds up over all steps. So is
    the gradient of one that a product reads, since the product adds to it in place.
    """
    old, new = step_graph.states[name], step_graph.new_states[name]
    parts = _parts(step_graph, old)
    computes = any(node not in parts and not parts.isdisjoint(node.inputs) for node in ancestors([new]))
    is_in_product = any(
        node.op.batches_steps and not parts.isdisjoint(node.inputs) for node in ancestors(step_graph.outputs)
    )
    if computes or is_in_product or _elements(old) > _MAX_ELEMENTS:
        return False
    source = _former_positions(step_graph, name)
    for _ in range(source.size.bit_length()):
        if (source < 0).all():
            break
        source = np.where(source < 0, -1, source[source])
    return bool((source < 0).all())


def constant_states(step_graph: StepGraph) -> dict[str, bool]:
    """The states of which a step returns elements at the same position, and whether these are all elements.

    Such elements keep their initial values.
    """
    constant = {}
    for name, old in step_graph.states.items():
        if step_graph.new_states[name] is old:
            constant[name] = True
        elif 0 < _elements(old) <= _MAX_ELEMENTS:
            source = _former_positions(step_graph, name)
            is_constant = source == np.arange(source.size)
            if is_constant.any():
                constant[name] = bool(is_constant.all())
    return constant


def _former_positions(step_graph: StepGraph, name: str) -> Any:
    """The position in the old state of each element of the new one; -1 for one that is not a copy."""
    old, new = step_graph.states[name], step_graph.new_states[name]
    parts, size = _parts(step_graph, old), _elements(old)
    labels: dict[Node, Any] = {old: np.arange(1, size + 1).reshape(concrete_shape(old.shape, GENERIC_SIZES))}
    for node in ancestors([new]):
        if node in parts and node is not old:
            operands = [labels[each] if each in labels else _zeros(each) for each in node.inputs]
            labels[node] = numpy_impl(node, GENERIC_SIZES, np.dtype(np.int64))(*operands)
    return (labels[new] if new in labels else _zeros(new)).reshape(-1) - 1


def _elements(node: Node) -> int:
    """Elements of a value at the generic sizes."""
    return math.prod(concrete_shape(node.shape, GENERIC_SIZES))


def _parts(step_graph: StepGraph, old: Node) -> set[Node]:
    """A state, and the values that contain parts of it and compute nothing from them."""
    parts = {old}
    for node in ancestors(step_graph.outputs):
        if node.op.kind in (Kind.VIEW, Kind.CONCAT) and not parts.isdisjoint(node.inputs):
            parts.add(node)
    return parts


def _zeros(node: Node) -> Any:
    return np.zeros(concrete_shape(node.shape, GENERIC_SIZES), np.int64)
