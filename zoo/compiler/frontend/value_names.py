"""The names of the values of a step: one name for each value, wherever it is shown.

Traces, explanations, diagrams, the generated kernels and the exported files use these names:

- A parameter, buffer or auxiliary input has its declared name.
- The name of a state is its value after the step. Texts that also show the state before write ``h'``.
- Of several values with one name of the author's the last has it; those before it get a number: ``r_1``, then
  ``r``.
- An unnamed ``sigmoid(i)`` is ``sigmoid_i``.
- The unnamed argument of the value ``r`` is ``pre_r``.
- Any other value is named after its operation and its nearest named operand, ``multiply_o``; a matrix product
  and the sums that it is part of are ``a``.

The names that the author of a ``step`` gives to values are recorded while it runs.
"""

from __future__ import annotations

import inspect
import keyword
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType, MappingProxyType
from typing import Any

from zoo.compiler.frontend.complex_numbers import Complex, planes_of
from zoo.compiler.frontend.source_errors import source_location
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.dims import as_dim
from zoo.compiler.ir.graph import Level, Node, ancestors, view_of
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import (
    BROADCAST,
    BUFFER,
    CONCAT,
    INPUT,
    PARAM,
    RESHAPE,
    SLICE,
    STATE,
    X,
    matmul,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,24}", re.ASCII)


# The name of a function and its operands.
NamedCall = tuple[str, tuple[Node, ...]]
# The nodes of a value: one of an array, two of a complex array, none of anything else.
ValueNodes = tuple[Node, ...]


@dataclass
class NameRecorder:
    """The names and calls in a function, recorded while it runs.

    Attributes:
        names: The first name of each value.
        calls: Results of functions of zoo and of ``@``, with the function and its operands.
        bindings: All values that a name was bound to, in order.
        frames: A frame of each function that it called, by its code, and its own.
        return_location: The source location of its ``return``; None if it was not recorded.
    """

    names: dict[Node, str] = field(default_factory=dict)
    calls: dict[Node, NamedCall] = field(default_factory=dict)
    bindings: dict[str, list[ValueNodes]] = field(default_factory=dict)
    frames: dict[CodeType, FrameType] = field(default_factory=dict)
    return_location: str | None = None

    def record(self, frame: FrameType, prefix: str) -> None:
        """Record the names in a frame. A value keeps its first name."""
        for local, value in frame.f_locals.items():
            name = f"{prefix}{local}"
            if _NAME.fullmatch(name) and not keyword.iskeyword(name):
                for node, node_name in _named_nodes(name, value):
                    self.names.setdefault(node, node_name)
            self._bind(name, planes_of(value))

    def _bind(self, name: str, nodes: ValueNodes) -> None:
        values = self.bindings.setdefault(name, []) if nodes else []
        if nodes and nodes not in values[-1:]:
            values.append(nodes)

    def call(self, name: str, frame: FrameType) -> Callable[[FrameType, str, Any], Any]:
        """Record the result of a call. Of nested calls with one result the outermost counts."""
        arguments = [frame.f_locals[name] for name in inspect.getargs(frame.f_code).args]
        operands = tuple(node for value in arguments if (node := _node(value)) is not None)
        frame.f_trace_lines = False

        def on_return(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001 - Python's arguments
            node = _node(arg) if event == "return" else None
            if node is not None and node not in operands:
                self.calls[node] = (name, operands)
            return on_return

        return on_return


def _node(value: Any) -> Node | None:
    return value.node if isinstance(value, SymbolicArray) else value if isinstance(value, Node) else None


# The functions whose calls name their results, by their code.
_called_names: dict[CodeType, str] = {matmul.__code__: "@"}


def name_calls(functions: Mapping[str, Any]) -> None:
    """Let calls of functions in a ``step`` name their results."""
    _called_names.update({function.__code__: name for name, function in functions.items()})


def _named_nodes(name: str, value: Any) -> list[tuple[Node, str]]:
    if isinstance(value, Complex):
        return [(value.real.node, f"{name}_re"), (value.imag.node, f"{name}_im")]
    return [(value.node, name)] if isinstance(value, SymbolicArray) else []


_NO_FUNCTIONS: Mapping[Callable[..., Any], str] = MappingProxyType({})


@contextmanager
def record_names(
    function: Callable[..., Any], inner: Mapping[Callable[..., Any], str] = _NO_FUNCTIONS
) -> Iterator[NameRecorder]:
    """Within the block, record the names in a function that runs in this thread, and in inner functions.

    Names are read line by line, so that a name that is bound twice names both values. Only plain identifiers
    are taken. The values of ``inner`` are prefixes of the names. Another trace function of this thread, of a
    debugger or a coverage tool, is restored afterwards; one that is set within the block stays.
    """
    code, *inner_codes = (getattr(inspect.unwrap(each), "__code__", None) for each in (function, *inner))
    prefixes = {code: "", **dict(zip(inner_codes, inner.values(), strict=True))}
    recorder = NameRecorder()

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001 - Python's arguments
        recorder.record(frame, prefixes[frame.f_code])
        if event == "return" and frame.f_code is code:
            recorder.return_location = source_location(frame, frame.f_lasti, frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        recorder.frames.setdefault(frame.f_code, frame)
        if frame.f_code in prefixes:
            return on_line(frame, event, arg)
        name = _called_names.get(frame.f_code)
        return recorder.call(name, frame) if name is not None else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield recorder
    finally:
        if sys.gettrace() is on_call:
            sys.settrace(before)


SQUASHING_RANGES = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Squashing functions, of which gates and candidates are results, and their ranges."""

# Other functions whose results get a name: operations, or functions of zoo.
_OTHERS = (
    *("cumax", "exp", "exp_diff", "gelu", "heaviside", "layer_norm", "leaky_relu", "log_sigmoid", "relu"),
    *("silu", "softmax", "softplus"),
)
NAMED_FUNCTIONS = frozenset((*SQUASHING_RANGES, *_OTHERS))


class ValueNames:
    """One unique name for every value of a step and its gradient, chosen when it is first requested.

    Args:
        arguments: Leaves of the step by their declared names.
        new_states: The new states.
        author_names: Names of the values that the author named.
        default_names: Names of other values of the step.
        gradients: Names of leaves and results of the backward pass.
    """

    def __init__(
        self,
        arguments: Mapping[str, Node],
        new_states: Mapping[str, Node],
        author_names: Mapping[Node, str],
        default_names: Mapping[Node, str],
        gradients: Mapping[Node, str],
    ) -> None:
        self._decided = {**default_names, **author_names}
        for node, name in list(self._decided.items()):
            if (base := _full_base(node)) is not None:
                self._decided.setdefault(base, name)
        self._names: dict[Node, str] = {
            **gradients,
            **{node: name for name, node in reversed([*new_states.items()])},
        }
        self._taken = {*self._names.values(), *arguments}
        self._reserved = set(self._decided.values())
        self._names |= {node: name for name, node in arguments.items()}
        # The names that other names are made of: made of each other, they would grow without limit.
        self._known = {**self._names, **self._decided}

    def name(self, node: Node) -> str:
        """The name of a value."""
        if node not in self._names:
            if node in self._decided:
                name = numbered_name(self._decided[node], self._taken)
            else:
                name = numbered_name(default_name(node, self._known), self._taken | self._reserved)
            self._names[node] = name
            self._taken.add(name)
        return self._names[node]


def default_name(node: Node, names: Mapping[Node, str]) -> str:
    """A name for a value without one, after the operation and its nearest named operand: ``multiply_o``.

    Args:
        node: The value.
        names: Names of other values.
    """
    if node.op.kind is Kind.MATMUL:
        return "a"
    nearest = next(
        (name for below in _all_operands(node) if below is not node and (name := names.get(below))), ""
    )
    return f"{node.op}_{nearest}" if nearest and node.op.kind is Kind.ELEMENTWISE else node.op


def _full_base(node: Node) -> Node | None:
    """The value that a view shows all of; None for other values."""
    view = view_of(node) if node.op.kind is Kind.VIEW and node.op != BROADCAST else None
    return view.base if view is not None and view.is_whole else None


class StepNamer:
    """Chooses the names of the values of a traced step, see the rules above.

    Args:
        y: The output.
        new_states: The new states.
        calls: Results of named functions, with the function and its arguments.
        bindings: All values that the author bound to a name, in order.

    Attributes:
        nodes: The nodes of every named value: two of a complex value.
        functions: The results of named functions.
    """

    def __init__(
        self,
        y: Node,
        new_states: Mapping[str, Node],
        calls: Mapping[Node, NamedCall],
        bindings: Mapping[str, list[ValueNodes]],
    ) -> None:
        self.y, self.new_states, self.bindings = y, new_states, bindings
        self.nodes: dict[str, ValueNodes] = {name: (node,) for name, node in new_states.items()}
        self.functions = dict(_function_results([y, *new_states.values()], calls))
        self.names: dict[Node, str] = {}  # keys without reshapes
        for name, values in self._author_values().items():
            self._number(name, values)
        self.names = {_without_reshape(part): name for name, parts in self.nodes.items() for part in parts}
        self._name_results()
        self._name_arguments()

    def function(self, name: str) -> str:
        """The function that returned a value, or the value that it is a view of."""
        (first, *others) = self.nodes[name]
        while first.op.kind is Kind.VIEW:
            first = first.inputs[0]
        return self.functions[first][0] if not others and first in self.functions else ""

    def node_names(self, author_names: Mapping[Node, str]) -> tuple[dict[Node, str], dict[Node, str]]:
        """One name for each node: of the values that the author named, and of all other named values.

        Args:
            author_names: The first name that the author gave to a node.
        """
        names: dict[Node, str] = {}
        for name, nodes in self.nodes.items():
            suffixes = ("_re", "_im") if len(nodes) > 1 else ("",)
            for node, suffix in zip(nodes, suffixes, strict=True):
                names.setdefault(node, name + suffix)
                names.setdefault(_without_reshape(node), name + suffix)
        for name, node in self.new_states.items():
            if node.op == CONCAT and node.attr == 0 and len(node.inputs) == 2 and node.shape[0] == as_dim(2):
                for part, suffix in zip(node.inputs, ("_re", "_im"), strict=True):
                    names.setdefault(_without_reshape(part), name + suffix)
        taken = set(names.values())
        authored: dict[Node, str] = {}
        for node, name in author_names.items():
            if _is_argument(node):
                authored[node] = name
                continue
            chosen = names.get(node) or names.get(_without_reshape(node)) or numbered_name(name, taken)
            authored[node] = chosen
            taken.add(chosen)
        return authored, {node: name for node, name in names.items() if node not in authored}

    def _author_values(self) -> dict[str, list[ValueNodes]]:
        """The values of each name, in order. The output is ``y``, unless another value has this name."""
        values_of = {
            name: [nodes for nodes in values if not all(map(_is_leaf_or_view, nodes))]
            for name, values in self.bindings.items()
            if not name.startswith("_")
        }
        y = (self.y,)
        if self.y not in self.new_states.values() and y not in [
            values[-1] for values in values_of.values() if values
        ]:
            is_taken = "y" in self.new_states or values_of.get("y")
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


def _deduplicate(values: Iterable[ValueNodes]) -> list[ValueNodes]:
    """Drop all reshapes of a value but the last."""
    unique: dict[ValueNodes, ValueNodes] = {}
    for nodes in values:
        key = tuple(map(_without_reshape, nodes))
        unique.pop(key, None)
        unique[key] = nodes
    return list(unique.values())


def _function_results(
    outputs: Iterable[Node], all_calls: Mapping[Node, NamedCall]
) -> Iterator[tuple[Node, tuple[str, ValueNodes]]]:
    """The results of named functions, with the function and its arguments, in the order of the graph."""
    reached = set(ancestors(outputs))
    calls = {
        _without_reshape(node): (name, arguments)
        for node, (name, arguments) in all_calls.items()
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


def _is_argument(node: Node) -> bool:
    """Whether a value is a leaf, or a part of a complex leaf: it has the name of its declaration."""
    return node.op.kind is Kind.LEAF or (node.op == RESHAPE and _is_plane(node.inputs[0])) or _is_plane(node)


def _is_plane(node: Node) -> bool:
    return node.op == SLICE and node.attr[0] == 0 and node.inputs[0].op in (PARAM, BUFFER, STATE)


def _is_leaf_or_view(node: Node) -> bool:
    """Whether a value is a leaf or a view of one, so that nothing computes it."""
    while node.op.kind is Kind.VIEW:
        node = node.inputs[0]
    return node.op.kind is Kind.LEAF


def numbered_name(base: str, taken: Collection[str]) -> str:
    """A name itself, or the first numbered one that is not taken."""
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name
