"""Variables of a step whose gradient is not the derivative: cuts and surrogates.

``zoo.stop_gradient`` cuts a path between a variable and a result. ``zoo.heaviside`` has a surrogate in place
of its derivative. Finite differences show neither, so gradients of variables on such paths are not compared
with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.elementwise_ops import SHIFT, STOP_GRADIENT, WHERE, WITH_DERIVATIVE
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.op_table import Op


@dataclass(frozen=True)
class GradientCuts:
    """Variables whose gradient is not the derivative of the step.

    Args:
        stopped: Those with a path through ``stop_gradient``: ``x``, states and parameters by name.
        surrogate: Those with a path through a surrogate derivative.
        without_gradient: Those of either that get no gradient at all.
        stop_gradient_operands: Named arguments of ``stop_gradient``.
    """

    stopped: tuple[str, ...] = ()
    surrogate: tuple[str, ...] = ()
    without_gradient: tuple[str, ...] = ()
    stop_gradient_operands: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.stopped + self.surrogate)


def find_gradient_cuts(step_graph: StepGraph) -> GradientCuts:
    """Find the variables of a step whose gradient is not its derivative, over a sequence of any length."""
    variables = {"x": step_graph.x, **step_graph.states, **step_graph.params}
    stopped, surrogate = (
        _names(variables, _affected(step_graph, op)) for op in (STOP_GRADIENT, WITH_DERIVATIVE)
    )
    reached = _reach(_results(step_graph), _with_gradient)
    without_gradient = tuple(
        name for name in dict.fromkeys(stopped + surrogate) if variables[name] not in reached
    )
    operands = tuple(dict.fromkeys(_stop_gradient_operands(step_graph, variables)))
    return GradientCuts(stopped, surrogate, without_gradient, operands)


def _stop_gradient_operands(step_graph: StepGraph, variables: Mapping[str, Node]) -> Iterator[str]:
    names = {**step_graph.names, **{node: name for name, node in variables.items()}}
    for node in ancestors(_results(step_graph)):
        if node.op == STOP_GRADIENT and node.attr != SHIFT and node.inputs[0] in names:
            yield names[node.inputs[0]]


def _names(variables: Mapping[str, Node], nodes: Collection[Node]) -> tuple[str, ...]:
    return tuple(name for name, node in variables.items() if node in nodes)


def _results(step_graph: StepGraph) -> list[Node]:
    """The output and the continuous new states: the sources of the gradient."""
    states = step_graph.cell.states
    return [
        step_graph.y,
        *(node for name, node in step_graph.new_states.items() if not states[name].discrete),
    ]


def _affected(step_graph: StepGraph, op: Op) -> set[Node]:
    """Values with a path through an operation to a result, in this step or a later one."""
    results = _reach(_results(step_graph), _with_path)
    affected = _reach([node for node in results if node.op == op and node.attr != SHIFT], _with_path)
    while True:
        late = [node for name, node in step_graph.new_states.items() if step_graph.states[name] in affected]
        more = affected | _reach([node for node in late if node in results], _with_path)
        if more == affected:
            return affected
        affected = more


def _reach(nodes: Iterable[Node], operands: Callable[[Node], Sequence[Node]]) -> set[Node]:
    """The nodes, and all ancestors on some kind of path."""
    reached: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += operands(node)
    return reached


def _with_gradient(node: Node) -> Sequence[Node]:
    """The operands that get a gradient in reverse mode."""
    if node.op == WITH_DERIVATIVE:
        return node.inputs[1:2]
    if node.op.vjp is None:
        return ()
    return node.inputs[1:] if node.op == WHERE else node.inputs


def _with_path(node: Node) -> Sequence[Node]:
    """The operands with a path to the result, with the derivative of the operation or another."""
    if node.op == STOP_GRADIENT:
        return () if node.attr == SHIFT else node.inputs
    return node.inputs[:2] if node.op == WITH_DERIVATIVE else _with_gradient(node)
