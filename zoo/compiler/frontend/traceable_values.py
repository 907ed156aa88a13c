"""The traceable values of a step by name (:mod:`zoo.compiler.frontend.value_names`).

These are the new states, the output, all values that the author of ``step`` named, and the results and
arguments of named functions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from zoo.base import Cell
from zoo.compiler.frontend.name_recorder import ValueNodes
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.frontend.value_names import StepNamer
from zoo.compiler.ir.graph import Level, Shape


@dataclass(frozen=True)
class TraceableValue:
    """A value of a step.

    Args:
        nodes: Its node; of complex numbers those of the real and the imaginary part.
        function: The function that returned it, if it is one of ``NAMED_FUNCTIONS``.
        is_state: Whether it is a new state.
    """

    nodes: ValueNodes
    function: str = ""
    is_state: bool = False

    @property
    def shape(self) -> Shape:
        """The shape in one row; of complex numbers that of each part."""
        return self.nodes[0].shape

    @property
    def varies(self) -> bool:
        """Whether it may differ between steps. A new state may, even if it depends on parameters alone."""
        return self.is_state or any(node.level != Level.ONCE for node in self.nodes)


@functools.lru_cache(maxsize=256)
def step_graph_of(cell: Cell) -> StepGraph:
    """Return the graph of a cell's step; it is traced once.

    Raises:
        DefinitionError: if the ``step`` cannot be traced.
    """
    return trace_step(cell)


@functools.lru_cache(maxsize=256)
def traceable_values(cell: Cell) -> dict[str, TraceableValue]:
    """Return the traceable values of a cell that has a ``step``, in the order of their computation.

    Raises:
        DefinitionError: if the ``step`` cannot be traced.
    """
    graph = step_graph_of(cell)
    namer = StepNamer(graph.y, graph.new_states, graph.calls, graph.bindings)
    last = {name: max(node.index for node in nodes) for name, nodes in namer.nodes.items()}
    return {
        name: TraceableValue(namer.nodes[name], namer.function(name), name in graph.new_states)
        for name in sorted(namer.nodes, key=lambda name: last[name])
    }
