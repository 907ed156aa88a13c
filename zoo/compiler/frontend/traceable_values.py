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
from zoo.compiler.frontend.trace_step import Equations, read
from zoo.compiler.frontend.value_names import Parts
from zoo.compiler.ir.graph import Level, Node, Shape, ancestors
from zoo.compiler.ir.structural_ops import VIEWS
from zoo.compiler.passes.insert_copies import LEAVES

RANGES = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Functions that squash what they are given, and into which range: what a gate or a candidate comes from."""

# Other functions whose results are worth a name; as operations, or as functions of zoo.
_OTHERS = (
    *("cumax", "exp", "exp_minus", "gelu", "heaviside", "layer_norm", "leaky_relu", "log_sigmoid", "relu"),
    *("silu", "softmax", "softplus"),
)
FUNCTIONS = frozenset((*RANGES, *_OTHERS))


@dataclass(frozen=True)
class Intermediate:
    """A value of a step.

    Args:
        parts: Its node; of complex numbers the real and the imaginary part.
        function: The function that returned it, if that is one of ``FUNCTIONS``.
        is_state: Whether it is a new state.
    """

    parts: Parts
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
def equations_of(cell: Cell) -> Equations:
    """The equations of a cell, read once.

    Raises:
        DefinitionError: if they cannot be.
    """
    return read(cell)


@functools.lru_cache(maxsize=256)
def intermediates(cell: Cell) -> dict[str, Intermediate]:
    """What can be traced of a cell that has a ``step``, in the order in which it is worked out.

    Raises:
        DefinitionError: if the ``step`` cannot be read.
    """
    return _Names(equations_of(cell)).found()


class _Names:
    """Gives every value its name."""

    def __init__(self, equations: Equations) -> None:
        self.equations = equations
        self.parts: dict[str, Parts] = {name: (node,) for name, node in equations.after.items()}
        self.functions = dict(_functions(equations))
        self.called: dict[Node, str] = {}  # what holds the numbers of a value that has a name

    def found(self) -> dict[str, Intermediate]:
        """Every value by name."""
        for name, values in self._by_the_author().items():
            self._number(name, values)
        self.called = {_whole(part): name for name, parts in self.parts.items() for part in parts}
        self._name_results()
        self._name_arguments()
        last = {name: max(part.index for part in parts) for name, parts in self.parts.items()}
        return {
            name: Intermediate(self.parts[name], self._function(name), name in self.equations.after)
            for name in sorted(self.parts, key=lambda name: last[name])
        }

    def _by_the_author(self) -> dict[str, list[Parts]]:
        """The values of each name, in order; the output is ``y``, unless something else has the name."""
        found = {
            name: [parts for parts in values if not all(map(_is_found, parts))]
            for name, values in self.equations.bound.items()
            if not name.startswith("_")
        }
        y = (self.equations.y,)
        if self.equations.y not in self.equations.after.values() and y not in [
            values[-1] for values in found.values() if values
        ]:
            taken = "y" in self.equations.states or found.get("y")
            found["output" if taken else "y"] = [y]
        return found

    def _number(self, name: str, values: list[Parts]) -> None:
        """Give one name to the values that had it; of the same in several shapes to the last."""
        values = _each_once(values)
        if values and (name not in self.parts or self._is(self.parts[name], values[-1])):
            self.parts.setdefault(name, values[-1])
            values = values[:-1]
        for number, parts in enumerate(values, 1):
            self.parts[self._free(f"{name}_{number}")] = parts

    def _is(self, state: Parts, value: Parts) -> bool:
        """Whether a value is that of a new state, which holds complex numbers in one array."""
        if state == value:
            return True
        (node,) = state
        return (
            len(value) == 2 and node.op == "concat" and [*map(_whole, node.inputs)] == [*map(_whole, value)]
        )

    def _name_results(self) -> None:
        """Names for what functions returned, after what they were applied to."""
        for node, (function, operands) in self.functions.items():
            if node not in self.called and node.level != Level.ONCE:
                after = self._after(operands[0])
                self._give(node, f"{function}_{after}" if after else function)

    def _after(self, node: Node) -> str:
        """The name of the nearest value that something is made of; of what a step is told, if that is all."""
        below = [_whole(each) for each in _all_operands(node)]
        found = next((name for each in below if (name := self.called.get(each))), "")
        told = {str(each.attr) for each in below if each.op in ("x", "state", "input")}
        return found or (told.pop() if len(told) == 1 else "")

    def _name_arguments(self) -> None:
        """Names for what functions were applied to."""
        for node, (_, operands) in self.functions.items():
            given = _whole(operands[0])
            is_nameless = given not in self.called and not _is_found(given) and given.level != Level.ONCE
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


def _each_once(values: Iterable[Parts]) -> list[Parts]:
    """Values in the order in which each was seen last; in whatever shape, one that is the same."""
    found: dict[Parts, Parts] = {}
    for parts in values:
        numbers = tuple(map(_whole, parts))
        found.pop(numbers, None)
        found[numbers] = parts
    return list(found.values())


def _functions(equations: Equations) -> Iterator[tuple[Node, tuple[str, Parts]]]:
    """What the functions that count returned, with what they were given, in order of the graph."""
    reached = set(ancestors(equations.outputs))
    calls = {
        _whole(node): (name, given)
        for node, (name, given) in equations.calls.items()
        if name in FUNCTIONS and given and _whole(node) not in map(_whole, given)
    }
    hidden = {each for node, (_, given) in calls.items() for each in _within(node, given)}
    for node in sorted(reached, key=lambda node: node.index):
        if node in calls and node not in hidden:
            yield node, calls[node]
        elif node.op in FUNCTIONS and node not in hidden:
            yield node, (node.op, node.inputs)


def _within(node: Node, given: Iterable[Node]) -> list[Node]:
    """What a function made on its way from what it was given to what it returned."""
    ends = {_whole(each) for each in given}
    reached = ancestors(node.inputs, stop=lambda each: each in ends)
    return [each for each in reached if each not in ends and each.op not in LEAVES]


def _all_operands(node: Node) -> Iterator[Node]:
    """A value and what it is made of, nearest first, a few levels down."""
    level = [node]
    for _ in range(5):
        yield from level
        level = [operand for each in level for operand in each.inputs]


def _whole(node: Node) -> Node:
    """What holds the numbers of a node that is another shape of it."""
    while node.op in ("reshape", "broadcast"):
        node = node.inputs[0]
    return node


def _is_found(node: Node) -> bool:
    """Whether a value is there before anything is computed: a leaf, or a view of one."""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node.op in LEAVES
