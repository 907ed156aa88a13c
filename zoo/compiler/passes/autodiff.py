"""A cell's step and its step back, in one graph, and what the one keeps for the other.

The step back as a graph, for NumPy: gradients of all that lies between what a step reads and makes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.frontend.traceable_values import step_graph_of
from zoo.compiler.ir.dims import product
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.structural_ops import PRODUCTS, VIEWS, reshape, slice_axis, strided_slice, transpose
from zoo.compiler.ir.views import GENERIC_SIZES
from zoo.compiler.passes.gradient_cuts import find_gradient_cuts
from zoo.compiler.passes.insert_copies import LEAF_OPS, copy
from zoo.compiler.passes.merge_matmuls import merge_matmuls
from zoo.compiler.passes.reverse_mode import gradients
from zoo.compiler.passes.simplify import (
    drop_derivative_markers,
    fuse_accumulations,
    push_slices_down,
    rebuild,
    rewrite,
)


@dataclass(frozen=True)
class StepGradient:
    """The step forward and the step back.

    Args:
        equations: The step, rewritten to run fast.
        dy: Leaf, the gradient of the output.
        dafter: Leaves, the gradients of the states after the step, by state.
        dx: Gradient of x; None if x has none.
        dparams: Gradients of the parameters; None where there is none.
        dbefore: Gradients of the states before the step; None for discrete states.
        kept: Values of the step forward that the step back reads.
        trajectories: States whose values before every step the step back reads.
        surrogate: Whether some derivative is not that of the function computed.
    """

    step_graph: StepGraph
    dy: Node
    dstate_out: Mapping[str, Node]
    dx: Node | None
    dparams: Mapping[str, Node | None]
    dstate_in: Mapping[str, Node | None]
    kept: tuple[Node, ...]
    trajectories: tuple[str, ...]
    surrogate: bool

    @property
    def forward_outputs(self) -> list[Node]:
        """What the step forward makes."""
        return [*self.step_graph.outputs, *self.kept]

    @property
    def backward_outputs(self) -> list[Node]:
        """What the step back makes."""
        found = [*self.dstate_in.values(), self.dx, *self.dparams.values()]
        return [node for node in found if node is not None]


def differentiate(equations: StepGraph) -> StepGradient:
    """Derive the step back from a step."""
    surrogate = bool(find_gradient_cuts(equations).names)
    equations = equations.map_nodes(fuse_accumulations(equations.outputs))
    equations = equations.map_nodes(merge_matmuls(equations.outputs))
    equations = equations.map_nodes(push_slices_down(equations.outputs))
    graph = equations.x.graph
    dy = graph.node("dy", attr="dy", shape=equations.y.shape, level=Level.STEP)
    dafter = {
        name: graph.node("dafter", attr=name, shape=node.shape, level=Level.STEP)
        for name, node in equations.new_states.items()
        if not equations.cell.states[name].discrete
    }
    seeds = {equations.y: dy}
    for name, gradient in dafter.items():
        node = equations.new_states[name]
        seeds[node] = seeds[node] + gradient if node in seeds else gradient
    before = {name: equations.states[name] for name in dafter}
    wanted = [equations.x, *equations.params.values(), *before.values()]
    totals = gradients(seeds, wanted)
    equations = replace(equations, names={**_gradient_names(equations, totals), **equations.names})
    found = {node: totals[node] for node in wanted if node in totals}
    for leaf in before.values():  # the loop carries zero for a state that the step does not read
        found.setdefault(leaf, graph.constant(0.0, leaf.shape))
    new = drop_derivative_markers([*equations.outputs, *found.values()])
    equations = equations.map_nodes(new)
    found = {leaf: new[gradient] for leaf, gradient in found.items()}
    found = _simplify_backward(found, equations)
    new = _save_slices(equations, found.values())
    equations, found = equations.map_nodes(new), {leaf: new[gradient] for leaf, gradient in found.items()}
    back = list(found.values())
    kept, trajectories = _choose_saved(equations, back)
    return StepGradient(
        equations,
        dy,
        dafter,
        found.get(equations.x),
        {name: found.get(leaf) for name, leaf in equations.params.items()},
        {name: found.get(leaf) for name, leaf in equations.states.items()},
        kept,
        trajectories,
        surrogate,
    )


def _gradient_names(equations: StepGraph, totals: Mapping[Node, Node]) -> dict[Node, str]:
    """What the gradients of named values, of parameters and of pre-activations are called."""
    names = {**{node: name for name, node in equations.params.items()}, **equations.names}
    names |= {node: "a" for node in totals if node.op in PRODUCTS and node not in names}
    return {totals[node]: f"d{name}" for node, name in names.items() if node in totals}


def _simplify_backward(found: dict[Node, Node], equations: StepGraph) -> dict[Node, Node]:
    """The step back rewritten, the step forward left as it is."""
    fixed = set(ancestors(equations.outputs))
    for rewriting in (push_slices_down, fuse_accumulations):
        new = rewriting(found.values(), fixed)
        found = {leaf: new[gradient] for leaf, gradient in found.items()}
    return found


def _save_slices(equations: StepGraph, back: Iterable[Node]) -> dict[Node, Node]:
    """Copies of the parts of products that the step back reads, where it reads not all of one.

    A product of eight gates, of which one is read as it is, would else be kept for every step with all of
    them: of what NAS keeps that was half, and a tenth of its time.
    """
    back, forward = list(back), set(ancestors(equations.outputs))
    parts: dict[Node, list[Node]] = {}
    for node in ancestors(back, stop=lambda node: node in forward):
        base = _base(node)
        if node in forward and base.op in PRODUCTS and base.level != Level.ONCE:
            parts.setdefault(base, []).append(node)
    few = [
        each
        for base, each in parts.items()
        if base not in each and _element_count(each) < _element_count([base])
    ]
    copied = {part for each in few for part in each}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        return copy(rebuild(node, inputs), Level.STEP) if node in copied else None

    return rewrite([*equations.outputs, *back], rule)


def _element_count(nodes: Iterable[Node]) -> Fraction:
    """How many numbers a row has of some values."""
    return sum((product(node.shape).evaluate(GENERIC_SIZES) for node in nodes), Fraction(0))


def _choose_saved(equations: StepGraph, back: Iterable[Node]) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Which values of the step forward to keep, and which states before it.

    What is dear is kept; what is cheap is computed again, if all it takes is kept or free.
    """
    forward = set(ancestors(equations.outputs))
    reached = ancestors(back, stop=lambda node: node in forward)
    wanted = [_base(node) for node in reached if node in forward and node.level != Level.ONCE]
    wanted = [node for node in dict.fromkeys(wanted) if node.op not in LEAF_OPS]
    kept = {node for node in wanted if _is_expensive(node)}
    at_hand = set(kept)
    for node in sorted(wanted, key=lambda node: node.index):
        missing = _uncovered_expensive(node, at_hand)
        if missing:
            added = (
                {node}
                if not node.is_bool
                else min(_comparison_operands(node, at_hand), missing, key=_element_count)
            )
            kept |= added
            at_hand |= added
        else:
            at_hand.add(node)
    needed = ancestors(back, stop=lambda node: node in kept)
    leaves = {node.attr for node in needed if node.op == "state"}
    return (
        tuple(sorted(kept, key=lambda node: node.index)),
        tuple(name for name in equations.states if name in leaves),
    )


def _base(node: Node) -> Node:
    """What holds the numbers of a view."""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node


def _is_expensive(node: Node) -> bool:
    operation = node.graph.operations.get(node.op)
    return operation.expensive if operation is not None else node.op != "concat"


def _comparison_operands(node: Node, at_hand: set[Node]) -> set[Node]:
    """The numbers that a truth is made of, as far as they are not at hand."""
    compared: set[Node] = set()
    seen, waiting = {node}, [node]
    while waiting:
        operands = {
            _base(operand) for operand in waiting.pop().inputs if _uncovered_expensive(operand, at_hand)
        } - seen
        seen |= operands
        waiting += [each for each in operands if each.is_bool]
        compared |= {each for each in operands if not each.is_bool}
    return compared


def _uncovered_expensive(node: Node, at_hand: set[Node]) -> set[Node]:
    """The dear values that computing a node again would need beside those at hand."""
    missing: set[Node] = set()
    seen, waiting = set[Node](), [node]
    while waiting:
        node = _base(waiting.pop())
        if node in seen or node in at_hand or node.op in LEAF_OPS or node.level == Level.ONCE:
            continue
        seen.add(node)
        if _is_expensive(node):
            missing.add(node)
        else:
            waiting.extend(node.inputs)
    return missing


@dataclass(frozen=True)
class StepVJP:
    """Gradients of ``sum(dy * y) + sum(dafter * after)`` over one step.

    Args:
        equations: The step.
        dy: Leaf, the gradient of the output; None if that is left out.
        dafter: Leaves, the gradients of the states after the step that what follows passes back, by state.
        totals: Gradient of every value between the two; a value that is not there has none.
        dbefore: Gradients of the states before the step, by state; zeros for those that have none.
    """

    step_graph: StepGraph
    dy: Node | None
    dstate_out: Mapping[str, Node]
    totals: Mapping[Node, Node]
    dstate_in: Mapping[str, Node]

    def gradient_of(self, node: Node) -> Node | None:
        """The gradient of a value of the step, through everything that reads it; None if it has none.

        A new state that is no new value, but x or a state before the step, stands for itself: what else
        reads x is not counted.
        """
        views: list[Node] = []  # what reads a view was made to read what it is a view of
        while node.op in _VIEWS and node not in self.totals:
            views.append(node)
            node = node.inputs[0]
        gradient = self._seeded(node) if node.op in LEAF_OPS else self.totals.get(node)
        for view in reversed(views):
            gradient = None if gradient is None else _VIEWS[view.op](gradient, view)
        return gradient

    def _seeded(self, node: Node) -> Node | None:
        """The gradient of a result, from what follows the step alone."""
        after = self.step_graph.new_states
        seeds = [leaf for name, leaf in self.dstate_out.items() if after[name] is node]
        seeds += [self.dy] if self.dy is not None and node is self.step_graph.y else []
        return functools.reduce(operator.add, seeds) if seeds else None


_VIEWS: dict[str, Callable[[Node, Node], Node]] = {
    "reshape": lambda gradient, view: reshape(gradient, view.shape),
    "slice": lambda gradient, view: slice_axis(gradient, *view.attr),
    "stride": lambda gradient, view: strided_slice(gradient, *view.attr),
    "transpose": lambda gradient, view: transpose(gradient, view.attr),
}


@functools.lru_cache(maxsize=256)
def step_vjp(cell: Cell, with_output: bool = True, with_params: bool = False) -> StepVJP:
    """The step back of a cell.

    Args:
        cell: A cell that has a ``step``.
        with_output: Whether the output has a gradient of its own.
        with_params: Whether the gradients of the parameters are wanted too.

    Raises:
        DefinitionError: if the ``step`` cannot be read.
    """
    equations = step_graph_of(cell)
    graph, seeds = equations.x.graph, dict[Node, Node]()
    dy = graph.node("dy", attr="dy", shape=equations.y.shape, level=Level.STEP) if with_output else None
    dafter = {
        name: graph.node("dafter", attr=name, shape=node.shape, level=Level.STEP)
        for name, node in equations.new_states.items()
        if not cell.states[name].discrete
    }
    if dy is not None:
        seeds[equations.y] = dy
    for name, gradient in dafter.items():
        node = equations.new_states[name]
        seeds[node] = seeds[node] + gradient if node in seeds else gradient
    before = {name: equations.states[name] for name in dafter}
    wanted = [equations.x, *before.values(), *equations.inputs.values()]
    wanted += equations.params.values() if with_params else []
    totals = gradients(seeds, wanted)
    dbefore = {name: totals.get(leaf, graph.constant(0.0, leaf.shape)) for name, leaf in before.items()}
    return StepVJP(equations, dy, dafter, totals, dbefore)
