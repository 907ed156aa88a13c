"""Reverse-mode differentiation of a step, and the choice of the values to save for the backward pass.

The table of operations has the gradient rules.

:func:`differentiate` serves the kernels, :func:`step_vjp` the interpreter.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph, step_graph_of
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.dims import GENERIC_SIZES, ZERO, Dim, product
from zoo.compiler.ir.graph import Level, Node, ancestors, dependents, view_base
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import (
    BROADCAST,
    DELAY,
    DSTATE_OUT,
    DY,
    STATE,
    SliceGradient,
    concatenate,
    row_sum,
)
from zoo.compiler.passes.delays import mark_delays
from zoo.compiler.passes.gradient_cuts import find_gradient_cuts
from zoo.compiler.passes.insert_copies import copy
from zoo.compiler.passes.simplify import (
    drop_derivative_markers,
    fuse_accumulations,
    merge_matmuls,
    push_slices_down,
    rebuild,
    rewrite,
)

Contribution: TypeAlias = "Node | SliceGradient | None"


def gradients(seeds: Mapping[Node, Node], sources: Iterable[Node]) -> dict[Node, Node]:
    """Return the gradients of ``sum(seed * output)``, over all rows and steps.

    Args:
        seeds: The gradient of each output.
        sources: Leaves to differentiate with respect to.

    Returns:
        The gradient of every node between sources and outputs. A source on which no output depends, or only
        through operations without derivative, has none.
    """
    active = dependents(sources, seeds)
    collected: dict[Node, list[Node | SliceGradient]] = {node: [] for node in active}
    for output, gradient in seeds.items():
        if output in collected:
            collected[output].append(_sum_over_rows(output, gradient))
    gradient_of = {}
    for node in reversed(active):
        if node.op.kind is Kind.MEMORY and not collected[node]:
            # No output needs what is read, but its operands set the final state, whose gradient kernels add.
            collected[node].append(copy(node.graph.constant(0.0, node.shape), node.level))
        if collected[node]:
            gradient_of[node] = _accumulate(node, collected[node])
            for operand, contribution in zip(node.inputs, _vjp_of(node, gradient_of[node]), strict=False):
                if contribution is not None and operand in collected:
                    collected[operand].append(_sum_over_rows(operand, contribution))
    return gradient_of


def _sum_over_rows(operand: Node, contribution: Node | SliceGradient) -> Node | SliceGradient:
    """Sum a contribution over the rows if they share the operand."""
    if operand.level != Level.ONCE:
        return contribution
    if isinstance(contribution, SliceGradient):
        gradient = _row_sum(contribution.gradient)
        return SliceGradient(contribution.axis, contribution.start, contribution.stop, gradient)
    return _row_sum(contribution)


def _row_sum(gradient: Node) -> Node:
    return gradient if gradient.level == Level.ONCE else row_sum(gradient)


def _accumulate(node: Node, contributions: list[Node | SliceGradient]) -> Node:
    whole = [each for each in contributions if isinstance(each, Node)]
    slices = [each for each in contributions if isinstance(each, SliceGradient)]
    for axis in sorted({each.axis for each in slices}):
        whole += _assemble_slices(node, axis, [each for each in slices if each.axis == axis])
    total = whole[0]
    for each in whole[1:]:
        total = total + each
    return total


def _assemble_slices(node: Node, axis: int, slices: list[SliceGradient]) -> list[Node]:
    """Concatenate slices with zeros between them. Slices that overlap for some I and H get separate arrays.

    For example ``h[:H/2]`` and ``h[I:]`` overlap unless I is large.
    """
    waiting = sorted(slices, key=lambda each: each.start.evaluate(GENERIC_SIZES))
    arrays = []
    while waiting:
        row: list[Node] = []
        end, left = ZERO, []
        for each in waiting:
            if row and -1 in (each.start - end).signs():
                left.append(each)
                continue
            row += _zeros(node, axis, each.start - end)
            row.append(each.gradient)
            end = each.stop
        row += _zeros(node, axis, node.shape[axis] - end)
        arrays.append(concatenate(row, axis))
        waiting = left
    return arrays


def _zeros(node: Node, axis: int, length: Dim) -> list[Node]:
    if length == ZERO:
        return []
    return [node.graph.constant(0.0, (*node.shape[:axis], length, *node.shape[axis + 1 :]))]


def _vjp_of(node: Node, g: Node) -> tuple[Contribution, ...]:
    """The contributions of a node to the gradients of its inputs."""
    return node.op.vjp(g, node, *node.inputs) if node.op.vjp is not None else ()


@dataclass(frozen=True)
class StepGradient:
    """The graphs of the forward pass and the backward pass of one step.

    Args:
        step_graph: The step, rewritten to run fast.
        dy: Leaf: the gradient of the output.
        dstate_out: Leaves: the gradients of the states after the step, by state.
        dx: The gradient of x; None if x has none.
        dparams: The gradients of the parameters; None for those without.
        dstate_in: The gradients of the states before the step; None for discrete states.
        saved: Values that the forward pass saves for the backward pass.
        trajectories: States of which the backward pass reads the values before every step.
        surrogate: Whether a derivative is replaced by another.
    """

    step_graph: StepGraph
    dy: Node
    dstate_out: Mapping[str, Node]
    dx: Node | None
    dparams: Mapping[str, Node | None]
    dstate_in: Mapping[str, Node | None]
    saved: tuple[Node, ...]
    trajectories: tuple[str, ...]
    surrogate: bool

    def value_names(self) -> ValueNames:
        """The names of the values of both passes."""
        leaves = {self.dy: "dy", **{node: f"d{name}" for name, node in self.dstate_out.items()}}
        results = {**self.dparams, **self.dstate_in, "x": self.dx}
        gradients = {node: f"d{name}" for name, node in results.items() if node is not None}
        return self.step_graph.value_names({**gradients, **leaves})

    @property
    def delays(self) -> dict[str, Node]:
        """The states before the step that only delay values, by name."""
        return {name: node for name, node in self.step_graph.states.items() if node.op == DELAY}

    @property
    def delayed(self) -> dict[Node, Node]:
        """The new states by the leaf that delays them."""
        return {leaf: self.step_graph.new_states[name] for name, leaf in self.delays.items()}

    @property
    def delayed_gradients(self) -> dict[Node, Node]:
        """The gradients of the same states before the step, by the leaf of their gradient after it."""
        before = {name: self.dstate_in.get(name) for name in self.delays}
        return {self.dstate_out[name]: node for name, node in before.items() if node is not None}

    @property
    def forward_outputs(self) -> list[Node]:
        """The results of the forward pass."""
        return [*self.step_graph.outputs, *self.saved]

    @property
    def backward_outputs(self) -> list[Node]:
        """The results of the backward pass."""
        gradients = [*self.dstate_in.values(), self.dx, *self.dparams.values()]
        return [node for node in gradients if node is not None]


def differentiate(step_graph: StepGraph) -> StepGradient:
    """Return the graphs of both passes of a step, rewritten to run fast."""
    surrogate = bool(find_gradient_cuts(step_graph).names)
    step_graph = mark_delays(step_graph)
    for rewriting in (fuse_accumulations, merge_matmuls, push_slices_down):
        step_graph = step_graph.map_nodes(rewriting(step_graph.outputs))
    graph = step_graph.x.graph
    dy, dstate_out = _dy(step_graph), _dstate_out(step_graph)
    before = {name: step_graph.states[name] for name in dstate_out}
    sources = [step_graph.x, *step_graph.params.values(), *before.values()]
    all_gradients = gradients(_seeds(step_graph, dy, dstate_out), sources)
    step_graph = replace(step_graph, names={**_gradient_names(step_graph, all_gradients), **step_graph.names})
    results = {node: all_gradients[node] for node in sources if node in all_gradients}
    for leaf in before.values():  # the loop carries zero for a state that the step does not read
        results.setdefault(leaf, graph.constant(0.0, leaf.shape))
    new = drop_derivative_markers([*step_graph.outputs, *results.values()])
    step_graph = step_graph.map_nodes(new)
    results = {leaf: new[gradient] for leaf, gradient in results.items()}
    results = _simplify_backward(results, step_graph)
    new = _save_slices(step_graph, results.values())
    step_graph, results = step_graph.map_nodes(new), {leaf: new[each] for leaf, each in results.items()}
    saved, trajectories = _choose_saved(step_graph, list(results.values()))
    return StepGradient(
        step_graph,
        dy,
        dstate_out,
        results.get(step_graph.x),
        {name: results.get(leaf) for name, leaf in step_graph.params.items()},
        {name: results.get(leaf) for name, leaf in step_graph.states.items()},
        saved,
        trajectories,
        surrogate,
    )


def _dy(step_graph: StepGraph) -> Node:
    return step_graph.x.graph.node(DY, attr="dy", shape=step_graph.y.shape, level=Level.STEP)


def _dstate_out(step_graph: StepGraph) -> dict[str, Node]:
    """The gradients of the continuous states after the step."""
    graph, states = step_graph.x.graph, step_graph.cell.states
    return {
        name: graph.node(DSTATE_OUT, attr=name, shape=node.shape, level=Level.STEP)
        for name, node in step_graph.new_states.items()
        if not states[name].discrete
    }


def _seeds(step_graph: StepGraph, dy: Node | None, dstate_out: Mapping[str, Node]) -> dict[Node, Node]:
    """The gradient of each result of the step; one node may be several results."""
    seeds = {step_graph.y: dy} if dy is not None else {}
    for name, gradient in dstate_out.items():
        node = step_graph.new_states[name]
        seeds[node] = seeds[node] + gradient if node in seeds else gradient
    return seeds


def _gradient_names(step_graph: StepGraph, totals: Mapping[Node, Node]) -> dict[Node, str]:
    """The names of the gradients of named values, of parameters and of pre-activations."""
    names = {**{node: name for name, node in step_graph.params.items()}, **step_graph.names}
    names |= {node: "a" for node in totals if node.op.kind is Kind.MATMUL and node not in names}
    return {totals[node]: f"d{name}" for node, name in names.items() if node in totals}


def _simplify_backward(results: dict[Node, Node], step_graph: StepGraph) -> dict[Node, Node]:
    """Rewrite the backward pass; the forward pass stays as it is."""
    fixed = set(ancestors(step_graph.outputs))
    for rewriting in (push_slices_down, fuse_accumulations):
        new = rewriting(results.values(), fixed)
        results = {leaf: new[gradient] for leaf, gradient in results.items()}
    return results


def _save_slices(step_graph: StepGraph, back: Iterable[Node]) -> dict[Node, Node]:
    """Copy the slices of products that the backward pass reads, where it reads only some of a product.

    Without the copies all of a product is saved at every step, for example eight gates of which one is read.
    That was half of the tape of NAS and a tenth of its time.
    """
    back, forward = list(back), set(ancestors(step_graph.outputs))
    slices: dict[Node, list[Node]] = {}
    for node in ancestors(back, stop=lambda node: node in forward):
        base = view_base(node)
        if node in forward and base.op.kind is Kind.MATMUL and base.level != Level.ONCE:
            slices.setdefault(base, []).append(node)
    few = [
        each
        for base, each in slices.items()
        if base not in each and _element_count(each) < _element_count([base])
    ]
    copied = {node for each in few for node in each}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        return copy(rebuild(node, inputs)) if node in copied else None

    return rewrite([*step_graph.outputs, *back], rule)


def _element_count(nodes: Iterable[Node]) -> Fraction:
    """The number of elements of some values in one row."""
    return sum((product(node.shape).evaluate(GENERIC_SIZES) for node in nodes), Fraction(0))


def _choose_saved(step_graph: StepGraph, back: Iterable[Node]) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Choose the values to save and the states whose trajectory to save.

    Expensive values are saved. Cheap values are recomputed, if all their operands are saved or free.
    """
    forward = set(ancestors(step_graph.outputs))
    reached = ancestors(back, stop=lambda node: node in forward)
    read = [view_base(node) for node in reached if node in forward and node.level != Level.ONCE]
    read = [node for node in dict.fromkeys(read) if node.op.kind is not Kind.LEAF]
    saved = {node for node in read if node.op.expensive}
    available = set(saved)
    for node in sorted(read, key=lambda node: node.index):
        missing = _uncovered_expensive(node, available)
        if missing:
            added = (
                {node}
                if not node.is_bool
                else min(_comparison_operands(node, available), missing, key=_element_count)
            )
            saved |= added
            available |= added
        else:
            available.add(node)
    needed = ancestors(back, stop=lambda node: node in saved)
    leaves = {node.attr for node in needed if node.op in (STATE, DELAY)}
    return (
        tuple(sorted(saved, key=lambda node: node.index)),
        tuple(name for name in step_graph.states if name in leaves),
    )


def _comparison_operands(node: Node, available: set[Node]) -> set[Node]:
    """The numbers that a boolean depends on, except those that are available."""
    compared: set[Node] = set()
    seen, waiting = {node}, [node]
    while waiting:
        operands = {
            view_base(operand) for operand in waiting.pop().inputs if _uncovered_expensive(operand, available)
        } - seen
        seen |= operands
        waiting += [each for each in operands if each.is_bool]
        compared |= {each for each in operands if not each.is_bool}
    return compared


def _uncovered_expensive(node: Node, available: set[Node]) -> set[Node]:
    """The expensive values that recomputing a node needs in addition to the available ones."""
    missing: set[Node] = set()
    seen, waiting = set[Node](), [node]
    while waiting:
        node = view_base(waiting.pop())
        if node in seen or node in available or node.op.kind is Kind.LEAF or node.level == Level.ONCE:
            continue
        seen.add(node)
        if node.op.expensive:
            missing.add(node)
        else:
            waiting.extend(node.inputs)
    return missing


@dataclass(frozen=True)
class StepVJP:
    """Gradients of ``sum(dy * y) + sum(dstate_out * new_states)`` over one step.

    Args:
        step_graph: The step.
        dy: Leaf: the gradient of the output; None without one.
        dstate_out: Leaves: the gradients of the states after the step, from the later steps.
        gradients: The gradient of every value of the step that has one.
        dstate_in: The gradients of the states before the step; zeros for those without.
    """

    step_graph: StepGraph
    dy: Node | None
    dstate_out: Mapping[str, Node]
    gradients: Mapping[Node, Node]
    dstate_in: Mapping[str, Node]

    def gradient_of(self, node: Node) -> Node | None:
        """Return the gradient of a value of the step, through all its uses; None if it has none.

        The gradient of a new state that is x or a state before the step excludes the other uses of that leaf.
        """
        views: list[Node] = []  # operations on a view may read the value below it
        while node.op.kind is Kind.VIEW and node.op != BROADCAST and node not in self.gradients:
            views.append(node)
            node = node.inputs[0]
        gradient = self._seed(node) if node.op.kind is Kind.LEAF else self.gradients.get(node)
        for view in reversed(views):
            gradient = None if gradient is None else rebuild(view, (gradient,))
        return gradient

    def _seed(self, node: Node) -> Node | None:
        """The gradient of a result from the later steps and from the output."""
        new_states = self.step_graph.new_states
        seeds = [leaf for name, leaf in self.dstate_out.items() if new_states[name] is node]
        seeds += [self.dy] if self.dy is not None and node is self.step_graph.y else []
        return functools.reduce(operator.add, seeds) if seeds else None


def step_vjp(cell: Cell, with_output: bool = True, with_params: bool = False) -> StepVJP:
    """Return the gradients of a cell's step, for the interpreter.

    Args:
        cell: A cell that has a ``step``.
        with_output: Whether the output has a gradient of its own.
        with_params: Whether to return the gradients of the parameters too.

    Raises:
        DefinitionError: if the ``step`` cannot be traced.
    """
    return _vjp_of_graph(step_graph_of(cell), with_output, with_params)


@functools.lru_cache(maxsize=256)  # by the graph, whose nodes the gradients depend on
def _vjp_of_graph(step_graph: StepGraph, with_output: bool, with_params: bool) -> StepVJP:
    dy = _dy(step_graph) if with_output else None
    dstate_out = _dstate_out(step_graph)
    before = {name: step_graph.states[name] for name in dstate_out}
    sources = [step_graph.x, *before.values(), *step_graph.inputs.values()]
    sources += step_graph.params.values() if with_params else []
    all_gradients = gradients(_seeds(step_graph, dy, dstate_out), sources)
    zero = step_graph.x.graph.constant
    dstate_in = {name: all_gradients.get(leaf, zero(0.0, leaf.shape)) for name, leaf in before.items()}
    return StepVJP(step_graph, dy, dstate_out, all_gradients, dstate_in)
