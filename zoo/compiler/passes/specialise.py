"""Specialise a step graph to sizes, and fold parameters and constant inputs into arrays.

Kernels serve every ``I`` and ``H``. An exported model has fixed sizes and parameters, so the other back ends
begin here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.dims import Dim, Sizes, as_dim
from zoo.compiler.ir.elementwise_ops import STOP_GRADIENT, WITH_DERIVATIVE
from zoo.compiler.ir.graph import Graph, Node, Shape, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BUFFER, CONSTANT, INPUT, PARAM, SIZE


def specialise(step_graph: StepGraph, sizes: Sizes, constants: Mapping[str, float]) -> StepGraph:
    """Return a step in a graph whose lengths are numbers, without the markers of derivatives.

    Args:
        step_graph: The step.
        sizes: ``I`` and ``H``.
        constants: Auxiliary inputs that are one number at every step: they become constants.
    """
    specialiser = _Specialiser(Graph(), sizes, constants)
    leaves = {**step_graph.params, **step_graph.buffers, **step_graph.states, **step_graph.inputs}
    new: dict[Node, Node] = {}
    for node in ancestors([*step_graph.outputs, step_graph.x, *leaves.values()]):
        new[node] = specialiser.copy(node, tuple(new[operand] for operand in node.inputs))
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


@dataclass(frozen=True)
class _Specialiser:
    """Copies nodes into a graph whose lengths are numbers."""

    graph: Graph
    sizes: Sizes
    constants: Mapping[str, float]

    def copy(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Copy a node; ``inputs`` are the copies of its inputs."""
        if node.op.kind is Kind.LEAF:
            return self._leaf(node)
        if node.op in (STOP_GRADIENT, WITH_DERIVATIVE):
            return inputs[0]
        return self.graph.build(node.op, inputs, self._attr(node.attr), self._shape(node.shape))

    def _leaf(self, node: Node) -> Node:
        shape = self._shape(node.shape)
        if node.op == CONSTANT:
            return self.graph.constant(node.attr)
        if node.op == SIZE:
            return self.graph.constant(float(self._number(node.attr).evaluate({})))
        if node.op == INPUT and node.attr in self.constants:
            return self.graph.constant(self.constants[node.attr], shape)
        return self.graph.node(node.op, (), self._attr(node.attr), shape, node.level)

    def _attr(self, attr: Any) -> Any:
        if isinstance(attr, tuple):
            return tuple(map(self._attr, attr))
        return self._number(attr) if isinstance(attr, Dim) else attr

    def _shape(self, shape: Shape) -> Shape:
        return tuple(map(self._number, shape))

    def _number(self, dim: Dim) -> Dim:
        return as_dim(int(dim.evaluate(self.sizes)))
