"""The values of a step that have a name: what can be traced, and what each is called.

Those are the new states and the output, every value that the author of ``step`` gave a name, what a squashing
function returned without being given one, and what such a function was applied to:

- of several values with one name the last has it, and those before it a number: ``r_1``, then ``r``;
- the name of a state is its value after the step;
- a nameless ``sigmoid(i)`` is ``sigmoid_i``, as in the kernels that are written for the cell;
- the nameless argument of what is called ``r`` is ``pre_r``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.frontend.value_names import ValueNodes
from zoo.compiler.ir.graph import Level, Node, Shape, ancestors
from zoo.compiler.ir.structural_ops import VIEWS
from zoo.compiler.passes.insert_copies import LEAF_OPS

SQUASHING_RANGES = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Functions that squash what they are given, and into which range: what a gate or a candidate comes from."""

# Other functions whose results are worth a name; as operations, or as functions of zoo.
_OTHERS = (
    *("cumax", "exp", "exp_minus", "gelu", "heaviside", "layer_norm", "leaky_relu", "log_sigmoid", "relu"),
    *("silu", "softmax", "softplus"),
)
NAMED_FUNCTIONS = frozenset((*SQUASHING_RANGES, *_OTHERS))


@dataclass(frozen=True)
class TraceableValue:
    """A value of a step.

    Args:
        parts: Its node; of complex numbers the real and the imaginary part.
        function: The function that returned it, if that is one of ``FUNCTIONS``.
        is_state: Whether it is a new state.
    """

    parts: ValueNodes
    function: str = ""
    is_state: bool = False

    @property
    def shape(self) -> Shape:
        """Its shape in one row; of complex numbers that of either part."""
        return self.parts[0].shape

    @property
    def varies(self) -> bool:
        """Whether it may be another at every step; a value that depends on parameters alone is not.

        A new state is: the first step reads another one.
        """
        return self.is_state or any(part.level != Level.ONCE for part in self.parts)


@functools.lru_cache(maxsize=256)
def step_graph_of(cell: Cell) -> StepGraph:
    """The equations of a cell, read once.

    Raises:
        DefinitionError: if they cannot be.
    """
    return trace_step(cell)


@functools.lru_cache(maxsize=256)
def traceable_values(cell: Cell) -> dict[str, TraceableValue]:
    """What can be traced of a cell that has a ``step``, in the order in which it is worked out.

    Raises:
        DefinitionError: if the ``step`` cannot be read.
    """
    return _ValueNamer(step_graph_of(cell)).found()


class _ValueNamer:
    """Gives every value its name."""

    def __init__(self, equations: StepGraph) -> None:
        self.step_graph = equations
        self.parts: dict[str, ValueNodes] = {name: (node,) for name, node in equations.new_states.items()}
        self.functions = dict(_function_results(equations))
        self.called: dict[Node, str] = {}  # what holds the numbers of a value that has a name

    def found(self) -> dict[str, TraceableValue]:
        """Every value by name."""
        for name, values in self._by_the_author().items():
            self._number(name, values)
        self.called = {_without_reshape(part): name for name, parts in self.parts.items() for part in parts}
        self._name_results()
        self._name_arguments()
        last = {name: max(part.index for part in parts) for name, parts in self.parts.items()}
        return {
            name: TraceableValue(self.parts[name], self._function(name), name in self.step_graph.new_states)
            for name in sorted(self.parts, key=lambda name: last[name])
        }

    def _by_the_author(self) -> dict[str, list[ValueNodes]]:
        """The values of each name, in order; the output is ``y``, unless something else has the name."""
        found = {
            name: [parts for parts in values if not all(map(_is_leaf_or_view, parts))]
            for name, values in self.step_graph.bound.items()
            if not name.startswith("_")
        }
        y = (self.step_graph.y,)
        if self.step_graph.y not in self.step_graph.new_states.values() and y not in [
            values[-1] for values in found.values() if values
        ]:
            taken = "y" in self.step_graph.states or found.get("y")
            found["output" if taken else "y"] = [y]
        return found

    def _number(self, name: str, values: list[ValueNodes]) -> None:
        """Give one name to the values that had it; of the same in several shapes to the last."""
        values = _deduplicate(values)
        if values and (name not in self.parts or self._is(self.parts[name], values[-1])):
            self.parts.setdefault(name, values[-1])
            values = values[:-1]
        for number, parts in enumerate(values, 1):
            self.parts[self._free(f"{name}_{number}")] = parts

    def _is(self, state: ValueNodes, value: ValueNodes) -> bool:
        """Whether a value is that of a new state, which holds complex numbers in one array."""
        if state == value:
            return True
        (node,) = state
        return (
            len(value) == 2
            and node.op == "concat"
            and [*map(_without_reshape, node.inputs)] == [*map(_without_reshape, value)]
        )

    def _name_results(self) -> None:
        """Names for what functions returned, after what they were applied to."""
        for node, (function, operands) in self.functions.items():
            if node not in self.called and node.level != Level.ONCE:
                after = self._after(operands[0])
                self._give(node, f"{function}_{after}" if after else function)

    def _after(self, node: Node) -> str:
        """The name of the nearest value that something is made of; of what a step is told, if that is all."""
        below = [_without_reshape(each) for each in _all_operands(node)]
        found = next((name for each in below if (name := self.called.get(each))), "")
        told = {str(each.attr) for each in below if each.op in ("x", "state", "input")}
        return found or (told.pop() if len(told) == 1 else "")

    def _name_arguments(self) -> None:
        """Names for what functions were applied to."""
        for node, (_, operands) in self.functions.items():
            given = _without_reshape(operands[0])
            is_nameless = (
                given not in self.called and not _is_leaf_or_view(given) and given.level != Level.ONCE
            )
            if is_nameless and node in self.called:
                self._give(given, f"pre_{self.called[node]}")

    def _give(self, node: Node, wish: str) -> None:
        name = self._free(wish)
        self.parts[name], self.called[node] = (node,), name

    def _free(self, wish: str) -> str:
        name, number = wish, 2
        while name in self.parts:
            name, number = f"{wish}_{number}", number + 1
        return name

    def _function(self, name: str) -> str:
        """The function that returned a value, or what it is a part of."""
        (first, *others) = self.parts[name]
        while first.op in VIEWS:
            first = first.inputs[0]
        return self.functions[first][0] if not others and first in self.functions else ""


def _deduplicate(values: Iterable[ValueNodes]) -> list[ValueNodes]:
    """Values in the order in which each was seen last; in whatever shape, one that is the same."""
    found: dict[ValueNodes, ValueNodes] = {}
    for parts in values:
        numbers = tuple(map(_without_reshape, parts))
        found.pop(numbers, None)
        found[numbers] = parts
    return list(found.values())


def _function_results(equations: StepGraph) -> Iterator[tuple[Node, tuple[str, ValueNodes]]]:
    """What the functions that count returned, with what they were given, in order of the graph."""
    reached = set(ancestors(equations.outputs))
    calls = {
        _without_reshape(node): (name, given)
        for node, (name, given) in equations.calls.items()
        if name in NAMED_FUNCTIONS and given and _without_reshape(node) not in map(_without_reshape, given)
    }
    hidden = {each for node, (_, given) in calls.items() for each in _inner_nodes(node, given)}
    for node in sorted(reached, key=lambda node: node.index):
        if node in calls and node not in hidden:
            yield node, calls[node]
        elif node.op in NAMED_FUNCTIONS and node not in hidden:
            yield node, (node.op, node.inputs)


def _inner_nodes(node: Node, given: Iterable[Node]) -> list[Node]:
    """What a function made on its way from what it was given to what it returned."""
    ends = {_without_reshape(each) for each in given}
    reached = ancestors(node.inputs, stop=lambda each: each in ends)
    return [each for each in reached if each not in ends and each.op not in LEAF_OPS]


def _all_operands(node: Node) -> Iterator[Node]:
    """A value and what it is made of, nearest first, a few levels down."""
    level = [node]
    for _ in range(5):
        yield from level
        level = [operand for each in level for operand in each.inputs]


def _without_reshape(node: Node) -> Node:
    """What holds the numbers of a node that is another shape of it."""
    while node.op in ("reshape", "broadcast"):
        node = node.inputs[0]
    return node


def _is_leaf_or_view(node: Node) -> bool:
    """Whether a value is there before anything is computed: a leaf, or a view of one."""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node.op in LEAF_OPS
