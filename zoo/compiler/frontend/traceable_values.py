"""The traceable values of a step, by name.

These are the new states, the output, all values that the author of ``step`` gave a name, and the results and
arguments of squashing functions:

- Of several values with one name the last has it; those before it get a number: ``r_1``, then ``r``.
- The name of a state is its value after the step.
- An unnamed ``sigmoid(i)`` is ``sigmoid_i``, as in the kernels that zoo generates.
- The unnamed argument of the value ``r`` is ``pre_r``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.frontend.value_names import ValueNodes
from zoo.compiler.ir.graph import Level, Node, Shape, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BROADCAST, CONCAT, INPUT, RESHAPE, STATE, X

SQUASHING_RANGES = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Squashing functions, of which gates and candidates are results, and their ranges."""

# Other functions whose results get a name: operations, or functions of zoo.
_OTHERS = (
    *("cumax", "exp", "exp_diff", "gelu", "heaviside", "layer_norm", "leaky_relu", "log_sigmoid", "relu"),
    *("silu", "softmax", "softplus"),
)
NAMED_FUNCTIONS = frozenset((*SQUASHING_RANGES, *_OTHERS))


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
    return _ValueNamer(step_graph_of(cell)).values()


class _ValueNamer:
    """Chooses the name of each value."""

    def __init__(self, step_graph: StepGraph) -> None:
        self.step_graph = step_graph
        self.nodes: dict[str, ValueNodes] = {name: (node,) for name, node in step_graph.new_states.items()}
        self.functions = dict(_function_results(step_graph))
        self.names: dict[Node, str] = {}  # keys without reshapes

    def values(self) -> dict[str, TraceableValue]:
        """Every value by name."""
        for name, values in self._author_values().items():
            self._number(name, values)
        self.names = {_without_reshape(part): name for name, parts in self.nodes.items() for part in parts}
        self._name_results()
        self._name_arguments()
        last = {name: max(node.index for node in nodes) for name, nodes in self.nodes.items()}
        return {
            name: TraceableValue(self.nodes[name], self._function(name), name in self.step_graph.new_states)
            for name in sorted(self.nodes, key=lambda name: last[name])
        }

    def _author_values(self) -> dict[str, list[ValueNodes]]:
        """The values of each name, in order. The output is ``y``, unless another value has this name."""
        values_of = {
            name: [nodes for nodes in values if not all(map(_is_leaf_or_view, nodes))]
            for name, values in self.step_graph.bindings.items()
            if not name.startswith("_")
        }
        y = (self.step_graph.y,)
        if self.step_graph.y not in self.step_graph.new_states.values() and y not in [
            values[-1] for values in values_of.values() if values
        ]:
            is_taken = "y" in self.step_graph.states or values_of.get("y")
            values_of["output" if is_taken else "y"] = [y]
        return values_of

    def _number(self, name: str, values: list[ValueNodes]) -> None:
        """Name all values that had one name; of reshapes of one value only the last."""
        values = _deduplicate(values)
        if values and (name not in self.nodes or self._is(self.nodes[name], values[-1])):
            self.nodes.setdefault(name, values[-1])
            values = values[:-1]
        for number, nodes in enumerate(values, 1):
            self.nodes[self._unique(f"{name}_{number}")] = nodes

    def _is(self, state: ValueNodes, value: ValueNodes) -> bool:
        """Whether a value is a new state, which stores complex numbers in one array."""
        if state == value:
            return True
        (node,) = state
        return (
            len(value) == 2
            and node.op == CONCAT
            and [*map(_without_reshape, node.inputs)] == [*map(_without_reshape, value)]
        )

    def _name_results(self) -> None:
        """Name the results of functions after their arguments."""
        for node, (function, operands) in self.functions.items():
            if node not in self.names and node.level != Level.ONCE:
                name = self._nearest_name(operands[0])
                self._assign(node, f"{function}_{name}" if name else function)

    def _nearest_name(self, node: Node) -> str:
        """The name of the nearest named value that a node depends on, or of the only argument of ``step``."""
        below = [_without_reshape(each) for each in _all_operands(node)]
        nearest = next((name for each in below if (name := self.names.get(each))), "")
        arguments = {str(each.attr) for each in below if each.op in (X, STATE, INPUT)}
        return nearest or (arguments.pop() if len(arguments) == 1 else "")

    def _name_arguments(self) -> None:
        """Name the arguments of functions."""
        for node, (_, operands) in self.functions.items():
            argument = _without_reshape(operands[0])
            is_unnamed = (
                argument not in self.names and not _is_leaf_or_view(argument) and argument.level != Level.ONCE
            )
            if is_unnamed and node in self.names:
                self._assign(argument, f"pre_{self.names[node]}")

    def _assign(self, node: Node, base: str) -> None:
        name = self._unique(base)
        self.nodes[name], self.names[node] = (node,), name

    def _unique(self, base: str) -> str:
        name, number = base, 2
        while name in self.nodes:
            name, number = f"{base}_{number}", number + 1
        return name

    def _function(self, name: str) -> str:
        """The function that returned a value, or the value that it is a view of."""
        (first, *others) = self.nodes[name]
        while first.op.kind is Kind.VIEW:
            first = first.inputs[0]
        return self.functions[first][0] if not others and first in self.functions else ""


def _deduplicate(values: Iterable[ValueNodes]) -> list[ValueNodes]:
    """Drop all reshapes of a value but the last."""
    unique: dict[ValueNodes, ValueNodes] = {}
    for nodes in values:
        key = tuple(map(_without_reshape, nodes))
        unique.pop(key, None)
        unique[key] = nodes
    return list(unique.values())


def _function_results(step_graph: StepGraph) -> Iterator[tuple[Node, tuple[str, ValueNodes]]]:
    """The results of named functions, with the function and its arguments, in the order of the graph."""
    reached = set(ancestors(step_graph.outputs))
    calls = {
        _without_reshape(node): (name, arguments)
        for node, (name, arguments) in step_graph.calls.items()
        if name in NAMED_FUNCTIONS
        and arguments
        and _without_reshape(node) not in map(_without_reshape, arguments)
    }
    hidden = {each for node, (_, arguments) in calls.items() for each in _inner_nodes(node, arguments)}
    for node in sorted(reached, key=lambda node: node.index):
        if node in calls and node not in hidden:
            yield node, calls[node]
        elif node.op in NAMED_FUNCTIONS and node not in hidden:
            yield node, (node.op, node.inputs)


def _inner_nodes(node: Node, arguments: Iterable[Node]) -> list[Node]:
    """The intermediate nodes between the arguments of a function and its result."""
    ends = {_without_reshape(each) for each in arguments}
    reached = ancestors(node.inputs, stop=lambda each: each in ends)
    return [each for each in reached if each not in ends and each.op.kind is not Kind.LEAF]


def _all_operands(node: Node) -> Iterator[Node]:
    """A node and the nodes that it depends on, nearest first, a few levels down."""
    level = [node]
    for _ in range(5):
        yield from level
        level = [operand for each in level for operand in each.inputs]


def _without_reshape(node: Node) -> Node:
    """The node that holds the elements of a reshape or a broadcast."""
    while node.op in (RESHAPE, BROADCAST):
        node = node.inputs[0]
    return node


def _is_leaf_or_view(node: Node) -> bool:
    """Whether a value is a leaf or a view of one, so that nothing computes it."""
    while node.op.kind is Kind.VIEW:
        node = node.inputs[0]
    return node.op.kind is Kind.LEAF
