"""Plan of the code of a peer: values computed before, in and after the loop over time.

A user who writes the equations of a cell in another library computes the products of x for all time steps at
once, convolves past inputs by shifting them, and multiplies the outputs by the last matrix after the loop.
The plan does the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import Sizes, concrete_shape
from zoo.compiler.ir.graph import Level, Node
from zoo.compiler.ir.structural_ops import CONCAT, DOT, DOT_HEADS, SLICE, STATE

_MAX_DELAY = 64  # time steps


@dataclass(frozen=True)
class DelayedPart:
    """Entries of a value some time steps ago, along its first axis.

    Args:
        node: The value.
        start: The first entry.
        stop: The entry behind the last one.
        delay: Number of time steps.
    """

    node: Node
    start: int
    stop: int
    delay: int


@dataclass(frozen=True)
class Phases:
    """The values of a step by phase, each in the order of computation.

    Args:
        shared: Values of parameters alone.
        before: Values of all time steps, computed before the loop.
        loop: Values of one time step, computed in the loop.
        after: Values of all time steps, computed after the loop.
        states: The states of the loop.
        delays: The other states, which only hold past values: their parts, along the first axis.
        sequence: Values from before the loop that the loop reads.
        stored: Values of the loop that are read after it.
    """

    shared: list[Node]
    before: list[Node]
    loop: list[Node]
    after: list[Node]
    states: list[str]
    delays: Mapping[Node, list[DelayedPart]]
    sequence: list[Node]
    stored: list[Node]


def plan_phases(step_graph: StepGraph, sizes: Sizes, stores_large: bool) -> Phases:
    """Divide the values of a step into phases.

    Args:
        step_graph: The step.
        sizes: ``I`` and ``H``.
        stores_large: Whether values before the loop may have more elements than operands and results of
            products with matrices, as outer products have; otherwise the loop computes them.
    """
    delays = _find_delays(step_graph, sizes)

    def operands(node: Node) -> Iterable[Node]:
        return (part.node for part in delays[node]) if node in delays else node.inputs

    loop_states = _states_of_loop(step_graph, delays, operands)
    carried = {step_graph.states[name] for name in loop_states}
    nodes = _ordered([step_graph.y, *(step_graph.new_states[name] for name in loop_states)], operands)
    varying = set(carried)
    for node in nodes:
        if any(operand in varying for operand in operands(node)):
            varying.add(node)
    limit = _largest_product(step_graph, sizes, nodes)
    if not stores_large:
        users = _users(nodes, operands)
        for node in reversed(nodes):
            is_large = node.level != Level.ONCE and _elements(node, sizes) > limit
            if is_large and node in users and users[node] <= varying:
                varying.add(node)
    needed = set(_ordered([step_graph.new_states[name] for name in loop_states], operands))
    results = [node for node in nodes if node in varying - needed - carried]
    after = _deferred(results, varying, lambda node: _elements(node, sizes) <= limit)
    in_loop = varying - after
    outside = [node for node in nodes if node not in varying]
    before = [node for node in outside if node.level != Level.ONCE]
    loop = [node for node in nodes if node in in_loop and node not in carried]
    read = {operand for node in loop for operand in node.inputs}
    read |= {step_graph.new_states[name] for name in loop_states}
    read_after = {operand for node in after for operand in node.inputs} | {step_graph.y}
    return Phases(
        shared=[node for node in outside if node.level == Level.ONCE],
        before=before,
        loop=loop,
        after=[node for node in nodes if node in after],
        states=loop_states,
        delays=delays,
        sequence=[node for node in before if node in read],
        stored=[node for node in nodes if node in read_after and node in in_loop],
    )


def _states_of_loop(
    step_graph: StepGraph, delays: Mapping[Node, object], operands: Callable[[Node], Iterable[Node]]
) -> list[str]:
    """The states that the output depends on, except delays, in the order of declaration."""
    names: set[str] = set()
    while True:
        outputs = [step_graph.y, *(step_graph.new_states[name] for name in names)]
        read = {node.attr for node in _ordered(outputs, operands) if node.op == STATE and node not in delays}
        if read <= names:
            return [name for name in step_graph.states if name in names]
        names |= read


def _deferred(nodes: Sequence[Node], varying: set[Node], is_stored: Callable[[Node], bool]) -> set[Node]:
    """The values to compute after the loop: none of their operands is too large to store for all steps.

    Args:
        nodes: The values of the loop that no state depends on, operands first.
        varying: All values of the loop.
        is_stored: Whether a value may be stored for all steps.
    """
    deferred: set[Node] = set()
    for node in nodes:
        operands = [operand for operand in node.inputs if operand in varying]
        if all(operand in deferred or is_stored(operand) for operand in operands):
            deferred.add(node)
    for node in reversed(nodes):  # the loop cannot read what is computed after it
        if node not in deferred:
            deferred.difference_update(node.inputs)
    return deferred


def _largest_product(step_graph: StepGraph, sizes: Sizes, nodes: Iterable[Node]) -> int:
    """The most elements of the output, and of a row in a product with a matrix of parameters."""
    products = [node for node in nodes if node.op in (DOT, DOT_HEADS) and node.level != Level.ONCE]
    rows = [step_graph.y, *products, *(node.inputs[0] for node in products)]
    return max(_elements(node, sizes) for node in rows)


def _users(nodes: Iterable[Node], operands: Callable[[Node], Iterable[Node]]) -> dict[Node, set[Node]]:
    users: dict[Node, set[Node]] = {}
    for node in nodes:
        for operand in operands(node):
            users.setdefault(operand, set()).add(node)
    return users


def _elements(node: Node, sizes: Sizes) -> int:
    return math.prod(concrete_shape(node.shape, sizes))


def _find_delays(step_graph: StepGraph, sizes: Sizes) -> dict[Node, list[DelayedPart]]:
    """The states whose entries are values of x and of other delays, some time steps ago."""
    delays: dict[Node, list[DelayedPart]] = {}
    rest = {name: node for name, node in step_graph.states.items() if node.ndim}
    while True:
        more = {}
        for name, node in rest.items():
            parts = _parts(step_graph, sizes, node)
            if parts is not None and all(_is_outside(part.node, delays) for part in parts):
                more[name] = parts
        if not more:
            return delays
        delays |= {rest.pop(name): parts for name, parts in more.items()}


def _is_outside(node: Node, delays: Mapping[Node, object]) -> bool:
    leaves = _ordered([node], lambda node: node.inputs)
    return all(leaf in delays for leaf in leaves if leaf.op == STATE)


def _parts(step_graph: StepGraph, sizes: Sizes, state: Node) -> list[DelayedPart] | None:
    """The parts of a state, or None if one is older than 64 steps, as one that never leaves."""
    length = concrete_shape(state.shape, sizes)[0]
    waiting, parts = [DelayedPart(state, 0, length, 0)], []
    while waiting:
        part = waiting.pop()
        node, start, stop, delay = part.node, part.start, part.stop, part.delay
        if node.op == STATE:
            if delay > _MAX_DELAY:
                return None
            waiting.append(DelayedPart(step_graph.new_states[node.attr], start, stop, delay + 1))
        elif node.op == SLICE and node.attr[0] == 0:
            (first,) = concrete_shape((node.attr[1],), sizes)
            waiting.append(DelayedPart(node.inputs[0], start + first, stop + first, delay))
        elif node.op == CONCAT and node.attr == 0:
            first, inside = 0, []
            for operand in node.inputs:
                last = first + concrete_shape(operand.shape, sizes)[0]
                if max(first, start) < min(last, stop):
                    inside.append(
                        DelayedPart(operand, max(first, start) - first, min(last, stop) - first, delay)
                    )
                first = last
            waiting += reversed(inside)
        else:
            parts.append(part)
    return parts


def _ordered(outputs: Iterable[Node], operands: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """Some nodes and all that they depend on, operands first."""
    done: dict[Node, None] = {}
    waiting = [(node, False) for node in reversed(list(outputs))]
    while waiting:
        node, is_ready = waiting.pop()
        if is_ready:
            done[node] = None
        elif node not in done:
            waiting.append((node, True))
            waiting += [(operand, False) for operand in operands(node) if operand not in done]
    return list(done)
