"""Equations of which all is settled that no step decides: sizes, parameters, inputs that are one number.

Kernels are made once for every ``I`` and ``H``. What is written down of one model, for a program that knows
nothing of zoo, knows both, and so what follows from parameters alone is an array. Back ends other than that
of Numba begin here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.interpreter import Array, GraphInterpreter, Sizes
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Graph, Node, Shape, ancestors
from zoo.compiler.passes.insert_copies import LEAF_OPS


def specialise(equations: StepGraph, sizes: Sizes, constants: Mapping[str, float]) -> StepGraph:
    """The equations in a graph whose lengths are numbers, without what only the derivative sees.

    Args:
        equations: The step.
        sizes: ``I`` and ``H``.
        constants: Auxiliary inputs that are one number at every step: they become constants.
    """
    graph = Graph(equations.x.graph.operations)
    rewriting = _Specialiser(graph, sizes, constants)
    leaves = {**equations.params, **equations.buffers, **equations.states, **equations.inputs}
    new: dict[Node, Node] = {}
    for node in ancestors([*equations.outputs, equations.x, *leaves.values()]):
        new[node] = rewriting.node(node, tuple(new[operand] for operand in node.inputs))
    names: dict[Node, str] = {}
    for node, name in equations.names.items():
        if node in new:
            names.setdefault(new[node], name)
    return StepGraph(
        equations.cell,
        new[equations.x],
        _on(equations.params, new),
        _on(equations.buffers, new),
        _on(equations.states, new),
        _on({name: node for name, node in equations.inputs.items() if name not in constants}, new),
        new[equations.y],
        _on(equations.new_states, new),
        names,
        calls={},
        bindings={},
    )


def fold_parameters(
    outputs: Iterable[Node], arrays: Mapping[str, Array], dtype: np.dtype[Any]
) -> dict[Node, Array]:
    """The values that parameters alone decide, of those that some values depend on.

    Args:
        outputs: Values of a graph whose lengths are numbers.
        arrays: Parameters and buffers by name, as they are stored.
        dtype: Of all numbers.
    """
    leaves = {node: arrays[node.attr] for node in ancestors(outputs) if node.op in ("param", "buffer")}
    return GraphInterpreter(leaves, {}, dtype).fold(outputs)


def _on(named: Mapping[str, Node], new: Mapping[Node, Node]) -> dict[str, Node]:
    return {name: new[node] for name, node in named.items()}


@dataclass(frozen=True)
class _Specialiser:
    """Makes nodes of one graph again in another, with numbers for letters."""

    graph: Graph
    sizes: Sizes
    told: Mapping[str, float]

    def node(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """A node again, on inputs made already."""
        if node.op in LEAF_OPS:
            return self._leaf(node)
        if node.op == "with_derivative" or node.op == "stop_gradient":
            return inputs[0]
        if node.op in self.graph.operations:
            return self.graph.apply(node.op, *inputs)
        if node.op in _MAKERS:
            return _MAKERS[node.op](self, node, inputs)
        return self.graph.node(node.op, inputs, node.attr, self._shape(node.shape))

    def _leaf(self, node: Node) -> Node:
        shape = self._shape(node.shape)
        if node.op == "constant":
            return self.graph.constant(node.attr)
        if node.op == "size":
            return self.graph.constant(float(self._number(node.attr).evaluate({})))
        if node.op == "input" and node.attr in self.told:
            return self.graph.constant(self.told[node.attr], shape)
        attr = self._number(node.attr) if node.op == "eye" else node.attr
        return self.graph.node(node.op, (), attr, shape, node.level)

    def slice(self, node: Node, operand: Node) -> Node:
        """A slice again."""
        axis, start, stop = node.attr
        return ops.slice_axis(operand, axis, self._number(start), self._number(stop))

    def stride(self, node: Node, operand: Node) -> Node:
        """Entries some steps apart again."""
        axis, *rest = node.attr
        return ops.strided_slice(operand, axis, *map(self._number, rest))

    def reshape(self, node: Node, operand: Node) -> Node:
        """The same numbers in the shape of a node."""
        return ops.reshape(operand, self._shape(node.shape))

    def broadcast(self, node: Node, operand: Node) -> Node:
        """A value repeated to the shape of a node."""
        return self.graph.broadcast(operand, self._shape(node.shape))

    def _shape(self, shape: Shape) -> Shape:
        return tuple(map(self._number, shape))

    def _number(self, dim: Dim) -> Dim:
        return as_dim(int(dim.evaluate(self.sizes)))


_MAKERS: dict[str, Callable[[_Specialiser, Node, tuple[Node, ...]], Node]] = {
    "broadcast": lambda how, node, inputs: how.broadcast(node, inputs[0]),
    "concat": lambda _, node, inputs: ops.concatenate(inputs, node.attr),
    "cumsum": lambda _, node, inputs: ops.cumsum(inputs[0], *node.attr),
    "max": lambda _, node, inputs: ops.reduce(inputs[0], "max", node.attr),
    "recurrence": lambda _, node, inputs: ops.recurrence(inputs[0], inputs[1], *node.attr),
    "reshape": lambda how, node, inputs: how.reshape(node, inputs[0]),
    "slice": lambda how, node, inputs: how.slice(node, inputs[0]),
    "stride": lambda how, node, inputs: how.stride(node, inputs[0]),
    "sum": lambda _, node, inputs: ops.reduce(inputs[0], "sum", node.attr),
    "transpose": lambda _, node, inputs: ops.transpose(inputs[0], node.attr),
}
