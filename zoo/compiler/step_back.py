"""The step back as a graph, for NumPy: gradients of all that lies between what a step reads and makes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zoo.compiler.adjoint import gradients
from zoo.compiler.copies import LEAVES
from zoo.compiler.graph import Level, Node
from zoo.compiler.intermediates import equations_of
from zoo.compiler.reading import Equations
from zoo.compiler.structure import part, reshape, stride, transpose
from zoo.contracts import Cell


@dataclass(frozen=True)
class StepBack:
    """Gradients of ``sum(dy * y) + sum(dafter * after)`` over one step.

    Args:
        equations: The step.
        dy: Leaf, the gradient of the output; None if that is left out.
        dafter: Leaves, the gradients of the states after the step that what follows passes back, by state.
        totals: Gradient of every value between the two; a value that is not there has none.
        dbefore: Gradients of the states before the step, by state; zeros for those that have none.
    """

    equations: Equations
    dy: Node | None
    dafter: Mapping[str, Node]
    totals: Mapping[Node, Node]
    dbefore: Mapping[str, Node]

    def of(self, node: Node) -> Node | None:
        """The gradient of a value of the step, through everything that reads it; None if it has none.

        A new state that is no new value, but x or a state before the step, stands for itself: what else
        reads x is not counted.
        """
        views: list[Node] = []  # what reads a view was made to read what it is a view of
        while node.op in _VIEWS and node not in self.totals:
            views.append(node)
            node = node.inputs[0]
        gradient = self._seeded(node) if node.op in LEAVES else self.totals.get(node)
        for view in reversed(views):
            gradient = None if gradient is None else _VIEWS[view.op](gradient, view)
        return gradient

    def _seeded(self, node: Node) -> Node | None:
        """The gradient of a result, from what follows the step alone."""
        after = self.equations.after
        seeds = [leaf for name, leaf in self.dafter.items() if after[name] is node]
        seeds += [self.dy] if self.dy is not None and node is self.equations.y else []
        return functools.reduce(operator.add, seeds) if seeds else None


_VIEWS: dict[str, Callable[[Node, Node], Node]] = {
    "reshape": lambda gradient, view: reshape(gradient, view.shape),
    "slice": lambda gradient, view: part(gradient, *view.attr),
    "stride": lambda gradient, view: stride(gradient, *view.attr),
    "transpose": lambda gradient, view: transpose(gradient, view.attr),
}


@functools.lru_cache(maxsize=256)
def step_back(cell: Cell, with_output: bool = True, with_params: bool = False) -> StepBack:
    """The step back of a cell.

    Args:
        cell: A cell that has a ``step``.
        with_output: Whether the output has a gradient of its own.
        with_params: Whether the gradients of the parameters are wanted too.

    Raises:
        DefinitionError: if the ``step`` cannot be read.
    """
    equations = equations_of(cell)
    graph, seeds = equations.x.graph, dict[Node, Node]()
    dy = graph.node("dy", attr="dy", shape=equations.y.shape, level=Level.STEP) if with_output else None
    dafter = {
        name: graph.node("dafter", attr=name, shape=node.shape, level=Level.STEP)
        for name, node in equations.after.items()
        if not cell.states[name].discrete
    }
    if dy is not None:
        seeds[equations.y] = dy
    for name, gradient in dafter.items():
        node = equations.after[name]
        seeds[node] = seeds[node] + gradient if node in seeds else gradient
    before = {name: equations.states[name] for name in dafter}
    wanted = [equations.x, *before.values(), *equations.inputs.values()]
    wanted += equations.params.values() if with_params else []
    totals = gradients(seeds, wanted)
    dbefore = {name: totals.get(leaf, graph.constant(0.0, leaf.shape)) for name, leaf in before.items()}
    return StepBack(equations, dy, dafter, totals, dbefore)
