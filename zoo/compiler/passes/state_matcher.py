"""Base class of the passes that find states which kernels compute for all steps of a sequence.

A matcher compares the step of one state with the form that its kernel computes. If they agree, it replaces
the state by one value of the graph. Otherwise it raises :class:`.NoMatch`, and the step does not change.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from dataclasses import replace

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.passes.delays import delay_states, states_read
from zoo.compiler.passes.simplify import rewrite


class NoMatch(Exception):
    """A state has another form. The message is the reason; only that of matrix memories is shown."""


def replace_states(step_graph: StepGraph, matcher: type[StateMatcher]) -> StepGraph:
    """Replace all states that a matcher recognises, except those that another one has replaced."""
    for name in _matrix_states(step_graph):
        if name not in step_graph.memories:  # a matcher may replace two states
            with contextlib.suppress(NoMatch):
                step_graph = matcher(step_graph, name).replaced()
    return step_graph


def mismatches(step_graph: StepGraph, matcher: type[StateMatcher]) -> dict[str, str]:
    """Reasons for which a matcher does not recognise states that are matrices, by their name."""
    names = _matrix_states(step_graph)
    reasons = {name: _mismatch(step_graph, name, matcher) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def _mismatch(step_graph: StepGraph, name: str, matcher: type[StateMatcher]) -> str:
    """The reason for which a matcher does not recognise a state; empty if it does, and for a vector."""
    try:
        matcher(step_graph, name).replaced()
    except NoMatch as error:
        return str(error)
    return ""


def _matrix_states(step_graph: StepGraph) -> list[str]:
    """The continuous states that are matrices and that no matcher has replaced."""
    return [
        name
        for name, leaf in step_graph.states.items()
        for state in [step_graph.cell.states[name]]
        if leaf.ndim >= 2 + state.complex and not state.discrete and name not in step_graph.memories
    ]


class StateMatcher(ABC):
    """Finds the parts of the step of a state that has a certain form.

    Args:
        step_graph: The step.
        name: The state.

    Attributes:
        leaf: The state before the step.
        replaces: Names of the states that one value of the graph replaces.
    """

    def __init__(self, step_graph: StepGraph, name: str) -> None:
        self.step_graph, self.name = step_graph, name
        self.leaf = step_graph.states[name]
        self.replaces = [name]

    @abstractmethod
    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state has another form.
        """

    def without_state(self, read: Node, result: Node, memory: Node) -> StepGraph:
        """The step in which a function of a memory replaces what is read.

        Args:
            read: The sum that reads the state.
            result: Its value, given the memory.
            memory: The value of all steps that replaces the state.

        Raises:
            NoMatch: if anything else needs the state.
        """
        graph = self.step_graph
        states = {name: node for name, node in graph.new_states.items() if name not in self.replaces}

        def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:  # noqa: ARG001 - signature of a rule
            return ops.reshape(result, node.shape) if node is read else None

        new = rewrite([graph.y, *states.values()], rule)
        replaced = replace(graph, new_states=states).map_nodes(new)
        replaced = replace(replaced, memories={**replaced.memories, **dict.fromkeys(self.replaces, memory)})
        self._check(replaced)
        return replaced

    def _check(self, step_graph: StepGraph) -> None:
        """Check that only the memory needs the state, and that all memories can be computed for all steps.

        A memory is computed before the loop over time if its operands depend on the input and on delays
        alone. Otherwise no state may depend on it.
        """
        memory, reached = step_graph.memories[self.name], ancestors(step_graph.outputs)
        if any(step_graph.states[name] in reached for name in self.replaces):
            raise NoMatch("something else reads it, too")
        if memory not in reached:
            raise NoMatch("the output does not depend on the result of the query")
        read = states_read(step_graph)
        delays = delay_states(step_graph, read)
        needed_in_loop = set(ancestors(step_graph.new_states.values()))
        if any(node in needed_in_loop and read[node] - delays for node in step_graph.memories.values()):
            raise NoMatch("its operands depend on another state, and that state on the result of the query")
