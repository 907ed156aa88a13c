"""Specialise a step graph to sizes, and fold parameters and constant inputs into arrays.

Kernels serve every ``I`` and ``H``. An exported model has fixed sizes and parameters, so the other back ends
begin here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.dims import Dim, Sizes
from zoo.compiler.ir.elementwise_ops import STOP_GRADIENT, WITH_DERIVATIVE
from zoo.compiler.ir.graph import Graph, Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BUFFER, INPUT, PARAM, SIZE
from zoo.compiler.passes.simplify import Rule


def specialise(step_graph: StepGraph, sizes: Sizes, constants: Mapping[str, float]) -> StepGraph:
    """Return a step in a graph whose lengths are numbers, without the markers of derivatives.

    Args:
        step_graph: The step.
        sizes: ``I`` and ``H``.
        constants: Auxiliary inputs that are one number at every step: they become constants.
    """
    graph = Graph()

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.op in (STOP_GRADIENT, WITH_DERIVATIVE):
            return inputs[0]
        if node.op == INPUT and node.attr in constants:
            return graph.constant(constants[node.attr], _substitute(node.shape, sizes))
        return None

    leaves = {**step_graph.params, **step_graph.buffers, **step_graph.states, **step_graph.inputs}
    new = copy_with_sizes([*step_graph.outputs, step_graph.x, *leaves.values()], graph, sizes, rule)
    names, default_names = dict[Node, str](), dict[Node, str]()
    for mapped, old in ((names, step_graph.names), (default_names, step_graph.default_names)):
        for node, name in old.items():
            if node in new:
                mapped.setdefault(new[node], name)
    return StepGraph(
        cell=step_graph.cell,
        x=new[step_graph.x],
        params=_map(step_graph.params, new),
        buffers=_map(step_graph.buffers, new),
        states=_map(step_graph.states, new),
        inputs=_map({name: node for name, node in step_graph.inputs.items() if name not in constants}, new),
        y=new[step_graph.y],
        new_states=_map(step_graph.new_states, new),
        names=names,
        default_names=default_names,
        calls={},
        bindings={},
    )


def fold_parameters(
    outputs: Iterable[Node], arrays: Mapping[str, Array], dtype: np.dtype[Any]
) -> dict[Node, Array]:
    """Evaluate the values that depend on parameters alone, among the ancestors of some outputs.

    Args:
        outputs: Nodes of a graph whose lengths are numbers.
        arrays: Parameters and buffers by name, as they are stored.
        dtype: The dtype of all numbers.
    """
    leaves = {node: arrays[node.attr] for node in ancestors(outputs) if node.op in (PARAM, BUFFER)}
    return GraphInterpreter(leaves, {}, dtype).fold(outputs)


def _map(named: Mapping[str, Node], new: Mapping[Node, Node]) -> dict[str, Node]:
    return {name: new[node] for name, node in named.items()}


def copy_with_sizes(
    nodes: Iterable[Node], graph: Graph, sizes: Sizes, rule: Rule = lambda _node, _inputs: None
) -> dict[Node, Node]:
    """Copy nodes and their ancestors into a graph in which some letters of sizes have values.

    Args:
        nodes: Nodes of another graph.
        graph: The graph to add to.
        sizes: The values.
        rule: From a node and the copies of its inputs to its copy, or None for the same operation.
    """
    new: dict[Node, Node] = {}
    for node in ancestors(nodes):
        inputs = tuple(new[operand] for operand in node.inputs)
        copied = rule(node, inputs)
        new[node] = copied if copied is not None else _copy(node, inputs, graph, sizes)
    return new


def _copy(node: Node, inputs: tuple[Node, ...], graph: Graph, sizes: Sizes) -> Node:
    attr, shape = _substitute(node.attr, sizes), _substitute(node.shape, sizes)
    if node.op == SIZE and attr.integer is not None:
        return graph.constant(float(attr.integer))
    if node.op.kind is Kind.LEAF:
        return graph.node(node.op, (), attr, shape, node.level)
    return graph.build(node.op, inputs, attr, shape)


def _substitute(value: Any, sizes: Sizes) -> Any:
    """A shape or an argument of a node with the values of letters."""
    if isinstance(value, tuple):
        return tuple(_substitute(each, sizes) for each in value)
    return value.substitute(sizes) if isinstance(value, Dim) else value
