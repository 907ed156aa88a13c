"""The equations of a cell as source code of another library: ``step`` over a batch, with a loop over time.

The code is what a user of the library would write. The graph of the traced step gives the equations, and
:mod:`zoo.bench.peers.step_phases` the values that leave the loop. A value that is constant along an axis
keeps length one there, and the library broadcasts it.
"""

from __future__ import annotations

import itertools
import keyword
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.base import Cell, Noise
from zoo.bench.peers.problem import UnsupportedProblemError
from zoo.bench.peers.step_library import ELEMENTWISE, Library, StepVariant
from zoo.bench.peers.step_phases import DelayedPart, Phases, plan_phases
from zoo.compiler.frontend.trace_step import StepGraph, check_shapes, trace_step
from zoo.compiler.ir.dims import Sizes, concrete_shape
from zoo.compiler.ir.elementwise_ops import ADD, MULTIPLY, NEGATIVE, WHERE
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import OPS, Kind, Op
from zoo.compiler.ir.structural_ops import (
    ARRAY,
    BROADCAST,
    BUFFER,
    CONCAT,
    CONSTANT,
    CUMSUM,
    DOT,
    DOT_HEADS,
    EXPM,
    EYE,
    INPUT,
    MAX,
    PARAM,
    RECURRENCE,
    RESHAPE,
    SIZE,
    SLICE,
    SOLVE,
    STATE,
    STRIDE,
    SUM,
    TRANSPOSE,
    X,
)
from zoo.compiler.passes.simplify import fuse_accumulations
from zoo.errors import DefinitionError

ConcreteShape = tuple[int, ...]
MAXIMUM, SIGMOID, SOFTPLUS = OPS["maximum"], OPS["sigmoid"], OPS["softplus"]


def step_code(
    library: Library,
    cell: Cell,
    input_size: int,
    hidden_size: int,
    shape: tuple[int, int],
    variant: StepVariant,
) -> str:
    """Write the code of a cell for a library: the function ``forward``.

    Args:
        library: The library.
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.
        shape: ``T`` and ``B``.
        variant: Choices of a user.

    Raises:
        UnsupportedProblemError: if the cell has no ``step`` that can be traced, draws noise, or has an
            operation that the table lacks.
    """
    noise = [name for name, declared in cell.inputs.items() if isinstance(declared, Noise)]
    if noise:
        raise UnsupportedProblemError(
            f"{cell.label()} draws noise ({', '.join(noise)}) with a generator that other libraries lack"
        )
    try:
        step_graph = trace_step(cell)
    except DefinitionError as error:
        raise UnsupportedProblemError(str(error)) from None
    step_graph = step_graph.map_nodes(fuse_accumulations(step_graph.outputs))
    check_shapes(step_graph, input_size, hidden_size)
    sizes = {"I": input_size, "H": hidden_size}
    return _Writer(library, step_graph, sizes, shape, variant).write(
        plan_phases(step_graph, sizes, variant.stores_large)
    )


@dataclass(frozen=True)
class _Value:
    """A value in the code.

    Args:
        code: A name, or a number.
        axes: The axes of the node that the array has; it is constant along the others.
        lengths: Their lengths, or 1 where the array is constant.
        lead: Number of leading axes: none if all rows share the value.
        number: Its number, if it is one.
    """

    code: str
    axes: tuple[int, ...] = ()
    lengths: ConcreteShape = ()
    lead: int = 0
    number: Any = None


@dataclass(frozen=True)
class _Line:
    """A statement: its text, the names that it assigns, and the code that it reads."""

    text: str
    names: tuple[str, ...]
    reads: str


def _words(code: str) -> set[str]:
    return set(re.findall(r"\w+", code))


class _Scope:
    """The lines of a function, with the values that it has.

    Args:
        lead: Lengths of the leading axes: ``(T, B)``, or ``(B,)`` in the loop.
        indent: Indentation.
        outer: The enclosing function, whose shared values are visible.
    """

    def __init__(self, lead: ConcreteShape, indent: str, outer: _Scope | None = None) -> None:
        self.lead, self.indent, self.outer = lead, indent, outer
        self.lines: list[_Line] = []
        self.values: dict[Node, _Value] = {}
        self.aligned: dict[tuple[Any, ...], str] = {}
        self.sequences: dict[str, None] = {}

    def assign(self, name: str, expression: str) -> None:
        self.lines.append(_Line(f"{self.indent}{name} = {expression}", (name,), expression))

    def text(self, results: Iterable[str]) -> list[str]:
        """The lines that the results depend on."""
        needed, kept = {word for code in results for word in _words(code)}, []
        for line in reversed(self.lines):
            if not needed.isdisjoint(line.names):
                needed |= _words(line.reads)
                kept.append(line.text)
        return kept[::-1]

    def value(self, node: Node) -> _Value:
        if node in self.values or self.outer is None:
            return self.values[node]
        return self.outer.values[node]


@dataclass(frozen=True)
class _CarriedPart:
    """An array that the loop carries: the value that reads it, the new one, its axes and their lengths."""

    node: Node
    new: Node
    axes: tuple[int, ...]
    lengths: ConcreteShape


class _Writer:
    """Writes the code of a step; its arguments are those of :func:`step_code`."""

    def __init__(
        self,
        library: Library,
        step_graph: StepGraph,
        sizes: Sizes,
        shape: tuple[int, int],
        variant: StepVariant,
    ) -> None:
        self.library, self.step_graph, self.sizes = library, step_graph, sizes
        self.shape, self.variant = shape, variant
        self.names = {"p", "x", "aux", "scan", "step", "states", "inputs", "dtype", library.prefix}
        self.names |= {"shift", "recurrence", *library.functions}
        self.counter = itertools.count(1)
        self.scope = _Scope(shape, "    ")
        self.delays: Mapping[Node, Sequence[DelayedPart]] = {}
        self.needs_vectors = False
        self.slices: dict[tuple[Node, int], list[Node]] = {}

    def write(self, phases: Phases) -> str:
        self.delays = phases.delays
        x, nodes = self.step_graph.x, [*phases.before, *phases.loop, *phases.after]
        users = [node for node in nodes if x in node.inputs and node not in phases.delays]
        delayed = [part.node for node in nodes if node in phases.delays for part in phases.delays[node]]
        self.needs_vectors = x in delayed or any(user.op != DOT for user in users)
        self._emit_all(phases.shared)
        self._emit_all(phases.before)
        if phases.loop or phases.states:
            self._write_loop(phases)
        self._emit_all(phases.after)
        y = self._full(self.step_graph.y, needs_lead=True)
        lines = [*self.scope.text([y]), f"    return {y}"]
        cell = self.step_graph.cell.label()
        head = [f'"""The equations of {cell} for {self.shape[0]} steps of {self.shape[1]} sequences."""', ""]
        return "\n".join([*head, "", "def forward(p, x, aux, scan):", *lines, ""])

    def _write_loop(self, phases: Phases) -> None:
        outer, graph = self.scope, self.step_graph
        inner = self.scope = _Scope(self.shape[1:], "        ", outer)
        parts = [part for name in phases.states for part in self._carried_parts(graph.states[name], phases)]
        for part in parts:
            name = self._name(part.node.attr if part.node.op == STATE else "")
            inner.values[part.node] = _Value(name, part.axes, part.lengths, 1)
        for node in phases.sequence:
            value = outer.value(node)
            if value.number is None and value.lead:
                inner.values[node] = replace(value, lead=1)
                inner.sequences[value.code] = None
        self._emit_all(phases.loop)
        new = [self._carried(part) for part in parts]
        stored = dict.fromkeys(
            self._with_lead(node) for node in phases.stored if inner.value(node).number is None
        )
        lines = inner.text([*new, *stored])
        words = _words("\n".join([*lines, *new, *stored]))
        sequences = [name for name in inner.sequences if name in words]
        head = [f"        {_tuple(inner.values[part.node].code for part in parts)} = states"]
        head += [f"        {_tuple(sequences)} = inputs"] if sequences else []
        first = [self.library.expression("zeros", (*inner.lead, *part.lengths)) for part in parts]
        call = f"scan(step, {_tuple(first)}, {_tuple(sequences)})"
        last = f"        return {_tuple(new)}, {_tuple(stored)}"
        text = [
            "",
            "    def step(states, inputs):",
            *head,
            *lines,
            last,
            "",
            f"    {_tuple(stored)} = {call}",
        ]
        reads = "\n".join([*lines, last, call])
        outer.lines.append(_Line("\n".join(text), tuple(stored), reads))
        for node in phases.stored:
            value = inner.value(node)
            outer.values[node] = replace(value, lead=len(self.shape) if value.number is None else 0)
        self.scope = outer

    def _carried_parts(self, state: Node, phases: Phases) -> list[_CarriedPart]:
        """The arrays of the loop for a state: several if step only reads and joins parts of it.

        These are the real and the imaginary part of a complex state, each without the axis of length two.
        """
        new, lengths = self.step_graph.new_states[state.attr], self._shape(state)
        whole = [_CarriedPart(state, new, tuple(range(state.ndim)), lengths)]
        users = [node for node in (*phases.loop, *phases.after) if state in node.inputs]
        if state in phases.stored or new.op != CONCAT or new.attr != 0 or not users:
            return whole
        first, bounds = 0, dict[ConcreteShape, Node]()
        for operand in new.inputs:
            length = self._shape(operand)[0]
            bounds[first, first + length] = operand
            first += length
        cuts: dict[ConcreteShape, Node] = {}
        for node in users:
            if node.op != SLICE or node.attr[0] != 0 or node in phases.stored:
                return whole
            cuts[tuple(concrete_shape(node.attr[1:], self.sizes))] = node
        if cuts.keys() != bounds.keys():
            return whole
        keeps = [axis for axis in range(state.ndim) if axis]
        return [
            _CarriedPart(node, bounds[cut], tuple(keeps), lengths[1:])
            if cut[1] - cut[0] == 1
            else _CarriedPart(node, bounds[cut], (0, *keeps), (cut[1] - cut[0], *lengths[1:]))
            for cut, node in cuts.items()
        ]

    def _carried(self, part: _CarriedPart) -> str:
        """The new value of an array of the loop."""
        code, value = self._full(part.new, needs_lead=True), self.scope.value(part.new)
        if part.axes == tuple(range(part.new.ndim)):
            return code
        if value.lead and value.axes == part.axes and value.lengths == part.lengths:
            return value.code
        return f"{code}[:, 0]"

    def _with_lead(self, node: Node) -> str:
        """The name of a value with leading axes."""
        scope, value = self.scope, self.scope.value(node)
        if not value.lead:
            scope.values[node] = self._assign(node, self._full(node, needs_lead=True), range(node.ndim))
        return scope.value(node).code

    def _shape(self, node: Node) -> ConcreteShape:
        return tuple(concrete_shape(node.shape, self.sizes))

    def _name(self, wish: str = "") -> str:
        """A new name, the wished one if it is free."""
        is_free = wish.isidentifier() and wish not in self.names and not keyword.iskeyword(wish)
        name = wish if is_free else f"v{next(self.counter)}"
        while name in self.names - ({wish} if is_free else set()):
            name = f"v{next(self.counter)}"
        self.names.add(name)
        return name

    # Values.

    def _assign(
        self,
        node: Node,
        expression: str,
        axes: Iterable[int],
        lengths: ConcreteShape | None = None,
        lead: int | None = None,
    ) -> _Value:
        """Add a line that computes a value."""
        axes = tuple(axes)
        if lengths is None:
            shape = self._shape(node)
            lengths = tuple(shape[axis] for axis in axes)
        name = self._name(self.step_graph.names.get(node, ""))
        self.scope.assign(name, expression)
        return _Value(name, axes, lengths, len(self.scope.lead) if lead is None else lead)

    def _aligned(self, value: _Value, axes: tuple[int, ...], is_exact: bool = False) -> str:
        """A value with axes of length one for some more axes of its node.

        Args:
            value: The value.
            axes: The axes to have.
            is_exact: Whether to add axes in front, too, which the library adds itself in an operation.
        """
        if value.number is not None or value.axes == axes:
            return value.code
        new = [axis not in value.axes for axis in axes]
        while not is_exact and not value.lead and new and new[0]:
            new.pop(0)
        if not any(new):
            return value.code
        outer, scope = self.scope.outer, self.scope
        is_sequence = outer is not None and value.code in scope.sequences
        if outer is not None and (is_sequence or not value.lead):  # for all steps at once
            scope, value = outer, replace(value, lead=len(outer.lead) if is_sequence else 0)
        key = value.code, value.axes, axes, is_exact
        if key not in scope.aligned:
            while not new[-1]:
                new.pop()
            index = [":"] * value.lead + ["None" if each else ":" for each in new]
            name = self._name()
            scope.assign(name, f"{value.code}[{', '.join(index)}]")
            scope.aligned[key] = name
        if is_sequence:
            self.scope.sequences[scope.aligned[key]] = None
        return scope.aligned[key]

    def _full(self, node: Node, needs_lead: bool = False) -> str:
        """A value with all its axes and lengths."""
        value, inner = self.scope.value(node), self._shape(node)
        shape = (*self.scope.lead, *inner) if value.lead or needs_lead else inner
        if value.number is not None:
            return self.library.expression("full", float(value.number), shape)
        lengths = dict(zip(value.axes, value.lengths, strict=True))
        code = self._aligned(value, tuple(range(node.ndim)), is_exact=True)
        if inner == tuple(lengths.get(axis, 1) for axis in range(node.ndim)) and (
            value.lead or not needs_lead
        ):
            return code
        return self.library.expression("broadcast", code, shape)

    def _bound(self, node: Node) -> str:
        """The full value under a name."""
        value = self.scope.value(node)
        code = self._full(node)
        if code == value.code:
            return code
        scope = self.scope if value.lead or self.scope.outer is None else self.scope.outer
        name = self._name()
        scope.assign(name, code)
        return name

    # Operations.

    def _emit_all(self, nodes: Sequence[Node]) -> None:
        """Write the values of a phase that do not exist yet."""
        self.slices = {}
        nodes = [node for node in nodes if node not in self.scope.values]
        for node in nodes:
            if node.op == SLICE:
                self.slices.setdefault((node.inputs[0], node.attr[0]), []).append(node)
        for node in nodes:
            if node not in self.scope.values:
                self._emit(node)

    def _emit(self, node: Node) -> None:
        values = self.scope.values
        if node in self.delays:
            values[node] = self._delay(node)
        elif node.op.kind is Kind.ELEMENTWISE and node.op in ELEMENTWISE:
            values[node] = self._elementwise(node)
        elif node.op in _STRUCTURAL:
            values[node] = _STRUCTURAL[node.op](self, node)
        else:
            raise UnsupportedProblemError(
                f"{self.step_graph.cell.label()} uses the operation {node.op}, which has no row in the table "
                f"of operations of other libraries"
            )

    def _delay(self, node: Node) -> _Value:
        """A state that holds past values: those values, shifted along time."""
        codes = []
        for part in self.delays[node]:
            code = self._full(part.node, needs_lead=True)
            length = self._shape(part.node)[0]
            if (part.start, part.stop) != (0, length):
                name = self._name()
                self.scope.assign(name, code)
                code = f"{name}[:, :, {part.start}:{part.stop}]"
            codes.append(f"shift({self.library.prefix}, {code}, {part.delay})")
        joined = codes[0] if len(codes) == 1 else self.library.expression("concatenate", ", ".join(codes), 2)
        return self._assign(node, joined, range(node.ndim))

    def _elementwise(self, node: Node) -> _Value:
        operands = [self.scope.value(operand) for operand in node.inputs]
        numbers = [value.number for value in operands]
        if None not in numbers:
            number = node.op.numpy(*numbers)
            return _number(bool(number) if node.is_bool else float(number))
        if node.op == WHERE and numbers[0] is not None:
            return operands[1] if numbers[0] else operands[2]
        axes = tuple(sorted({axis for value in operands for axis in value.axes}))
        lengths = tuple(
            max([value.lengths[value.axes.index(axis)] for value in operands if axis in value.axes])
            for axis in axes
        )
        expression = self._function_of_zoo(node) or self._expression(node.op, operands, axes)
        return self._assign(node, expression, axes, lengths, max(value.lead for value in operands))

    def _function_of_zoo(self, node: Node) -> str:
        """The call of a function of zoo that the trace divides into operations; empty if there is none."""
        composed = _composed_function(node)
        return f"{composed[0]}({self.scope.value(composed[1]).code})" if composed else ""

    def _expression(self, op: Op, operands: Sequence[_Value], axes: tuple[int, ...]) -> str:
        codes = [self._aligned(value, axes) for value in operands]
        numbers, library = [value.number for value in operands], self.library
        if op == WHERE and numbers[1:] == [1.0, 0.0]:
            return library.expression("as_number", codes[0])
        if op == WHERE and None not in numbers[1:]:
            codes[1] = library.expression("array", codes[1])
        if op in ("maximum", "minimum") and any(number is not None for number in numbers):
            if numbers[0] is not None:
                codes.reverse()
            return library.expression("bound_below" if op == MAXIMUM else "bound_above", *codes)
        return library.expression(op, *codes)

    def _leaf(self, node: Node) -> _Value:
        axes = range(node.ndim)
        if node.op == INPUT:
            return self._assign(node, f'aux["{node.attr}"]', axes)
        name = self._name(node.attr)
        self.scope.assign(name, f'p["{node.attr}"]')
        return _Value(name, tuple(axes), self._shape(node))

    def _x(self, node: Node) -> _Value:
        """Dense inputs, or one-hot vectors of tokens, unless all their users are products with matrices."""
        if self.variant.inputs == "dense" or (self.variant.inputs == "rows" and not self.needs_vectors):
            return _Value("x", (0,), self._shape(node), len(self.scope.lead))
        return self._assign(node, f"one_hot(x, {self._shape(node)[0]}, dtype)", (0,))

    def _constant(self, node: Node) -> _Value:
        return _number(float(node.attr))

    def _size(self, node: Node) -> _Value:
        return _number(float(concrete_shape((node.attr,), self.sizes)[0]))

    def _array(self, node: Node) -> _Value:
        shape = self._shape(node)
        code = self.library.expression("array", repr(list(map(float, _flat(node.attr)))))
        return self._assign(node, f"{code}.reshape({shape})", range(node.ndim), lead=0)

    def _eye(self, node: Node) -> _Value:
        return self._assign(node, self.library.expression("eye", self._shape(node)[0]), (0, 1), lead=0)

    def _broadcast(self, node: Node) -> _Value:
        inner = node.inputs[0]
        value, new = self.scope.value(inner), node.ndim - inner.ndim
        return replace(value, axes=tuple(axis + new for axis in value.axes))

    def _slice(self, node: Node) -> _Value:
        axis, *bounds = node.attr
        group = self.slices.get((node.inputs[0], axis), [])
        if len(group) > 1 and self._split(group, axis):
            return self.scope.values[node]
        start, stop = concrete_shape(tuple(bounds), self.sizes)
        return self._cut(node, axis, f"{start}:{stop}")

    def _split(self, group: Sequence[Node], axis: int) -> bool:
        """Split an array into all its slices with one operation; whether it is possible.

        The gradient of a slice is as long as the whole array.
        """
        operand = group[0].inputs[0]
        value, length = self.scope.value(operand), self._shape(operand)[axis]
        at = value.axes.index(axis) if axis in value.axes else -1
        if at < 0 or value.lengths[at] != length:
            return False
        parts = {tuple(concrete_shape(node.attr[1:], self.sizes)): node for node in group}
        edges, position = [], 0
        for start, stop in sorted(parts):
            if start < position:
                return False
            edges += [(position, start)] * (start > position) + [(start, stop)]
            position = stop
        edges += [(position, length)] * (position < length)
        names = []
        for edge in edges:
            node = parts.get(edge)
            name = self._name("" if node is None else self.step_graph.names.get(node, ""))
            names.append(name)
            if node is not None:
                lengths = (*value.lengths[:at], edge[1] - edge[0], *value.lengths[at + 1 :])
                self.scope.values[node] = _Value(name, value.axes, lengths, value.lead)
        sizes, indices = [stop - start for start, stop in edges], [stop for _, stop in edges[:-1]]
        code = self.library.expression("split", value.code, sizes, indices, at - len(value.axes))
        text = f"{self.scope.indent}{', '.join(names)} = {code}"
        self.scope.lines.append(_Line(text, tuple(names), code))
        return True

    def _cut(self, node: Node, axis: int, bounds: str) -> _Value:
        operand, value = node.inputs[0], self.scope.value(node.inputs[0])
        if axis not in value.axes:
            return value
        at = value.axes.index(axis)
        if value.lengths[at] != self._shape(operand)[axis]:
            return value
        after = [":"] * (len(value.axes) - 1 - at)
        lengths = (*value.lengths[:at], self._shape(node)[axis], *value.lengths[at + 1 :])
        key = ", ".join(["...", bounds, *after])
        return self._assign(node, f"{value.code}[{key}]", value.axes, lengths, value.lead)

    def _stride(self, node: Node) -> _Value:
        axis, *rest = node.attr
        start, step, length = concrete_shape(tuple(rest), self.sizes)
        operand, value = node.inputs[0], self.scope.value(node.inputs[0])
        if step > 0 or axis not in value.axes:
            return self._cut(node, axis, f"{start}:{start + step * (length - 1) + 1}:{step}")
        # PyTorch has no slice that runs backwards.
        whole = self._shape(operand)[axis]
        at = value.axes.index(axis) - len(value.axes)
        flipped = self._name()
        self.scope.assign(flipped, self.library.expression("flip", value.code, at))
        start = whole - 1 - start
        after = [":"] * (-1 - at)
        bounds = f"{start}:{start - step * (length - 1) + 1}:{-step}"
        at += len(value.axes)
        lengths = (*value.lengths[:at], length, *value.lengths[at + 1 :])
        key = ", ".join(["...", bounds, *after])
        return self._assign(node, f"{flipped}[{key}]", value.axes, lengths, value.lead)

    def _reshape(self, node: Node) -> _Value:
        operand = node.inputs[0]
        value = self.scope.value(operand)
        if value.number is not None:
            return value
        origins = _match_ones(self._shape(operand), self._shape(node))
        if origins is not None and set(value.axes) <= set(origins):
            axes = tuple(origins.index(axis) for axis in value.axes)
            return replace(value, axes=axes)
        shape = self.scope.lead * bool(value.lead) + self._shape(node)
        return self._assign(
            node, f"{self._bound(operand)}.reshape({shape})", range(node.ndim), lead=value.lead
        )

    def _transpose(self, node: Node) -> _Value:
        value = self.scope.value(node.inputs[0])
        axes = tuple(axis for axis in node.attr if axis in value.axes)
        new_axes = tuple(node.attr.index(axis) for axis in axes)
        if axes == value.axes:
            return replace(value, axes=new_axes)
        order = [*range(value.lead), *(value.lead + value.axes.index(axis) for axis in axes)]
        lengths = tuple(value.lengths[value.axes.index(axis)] for axis in axes)
        expression = self.library.expression("permute", value.code, ", ".join(map(str, order)))
        return self._assign(node, expression, new_axes, lengths, value.lead)

    def _concat(self, node: Node) -> _Value:
        lead = any(self.scope.value(operand).lead for operand in node.inputs)
        codes = ", ".join(self._full(operand, needs_lead=lead) for operand in node.inputs)
        expression = self.library.expression("concatenate", codes, node.attr - node.ndim)
        return self._assign(node, expression, range(node.ndim), lead=None if lead else 0)

    def _reduce(self, node: Node) -> _Value:
        operand = node.inputs[0]
        product = self._einsum(node, operand) if node.op == SUM and self.variant.uses_einsum else None
        if product is not None:
            return product
        value, shape = self.scope.value(operand), self._shape(operand)
        varying = {axis for axis, n in zip(value.axes, value.lengths, strict=True) if n == shape[axis]}
        reduced = [axis for axis in value.axes if axis in node.attr]
        repeats = math.prod(shape[axis] for axis in node.attr if axis not in varying) if node.op == SUM else 1
        if value.number is not None:
            return _number(value.number * repeats)
        expression, kept = value.code, [axis for axis in value.axes if axis not in node.attr]
        if reduced:
            at = tuple(value.axes.index(axis) - len(value.axes) for axis in reduced)
            expression = self.library.expression("sum" if node.op == SUM else "max", expression, at)
        if repeats != 1:
            expression = f"{expression} * {float(repeats)}"
        rest = [axis for axis in range(operand.ndim) if axis not in node.attr]
        lengths = tuple(value.lengths[value.axes.index(axis)] for axis in kept)
        return self._assign(node, expression, (rest.index(axis) for axis in kept), lengths, value.lead)

    def _einsum(self, node: Node, product: Node) -> _Value | None:
        """A sum of products of two arrays as one operation; None if it sums no axis of both."""
        if product.op != MULTIPLY:
            return None
        shape = self._shape(product)
        pair = [self.scope.value(operand) for operand in product.inputs]
        is_full = all(value.lengths == tuple(shape[axis] for axis in value.axes) for value in pair)
        common = set(pair[0].axes) & set(pair[1].axes)
        if not is_full or pair[0].number is not None or pair[1].number is not None:
            return None
        if not set(node.attr) <= common:
            return None
        letters = "hijklmno"
        lead = "tb"[-len(self.scope.lead) :]
        terms = [lead * bool(value.lead) + "".join(letters[axis] for axis in value.axes) for value in pair]
        rest = [axis for axis in range(product.ndim) if axis not in node.attr]
        kept = [axis for axis in rest if axis in pair[0].axes or axis in pair[1].axes]
        has_lead = any(value.lead for value in pair)
        result = lead * has_lead + "".join(letters[axis] for axis in kept)
        expression = self.library.expression(
            "einsum", f"{terms[0]},{terms[1]}->{result}", f"{pair[0].code}, {pair[1].code}"
        )
        axes = [rest.index(axis) for axis in kept]
        return self._assign(node, expression, axes, lead=None if has_lead else 0)

    def _cumsum(self, node: Node) -> _Value:
        axis, reverse = node.attr
        lead, code, at = self.scope.value(node.inputs[0]).lead, self._bound(node.inputs[0]), axis - node.ndim
        code = self.library.expression("flip", code, at) if reverse else code
        code = self.library.expression("cumsum", code, at)
        code = self.library.expression("flip", code, at) if reverse else code
        return self._assign(node, code, range(node.ndim), lead=lead)

    def _recurrence(self, node: Node) -> _Value:
        axis, reverse = node.attr
        lead = any(self.scope.value(operand).lead for operand in node.inputs)
        codes = [self._full(operand, needs_lead=lead) for operand in node.inputs]
        code = self.library.expression("recurrence", *codes, axis - node.ndim, reverse)
        return self._assign(node, code, range(node.ndim), lead=None if lead else 0)

    def _dot(self, node: Node) -> _Value:
        a, w, *initial = node.inputs
        value, matrix = self.scope.value(a), self._bound(w)
        if a.op == X and self.variant.inputs == "rows":
            product = self._assign(node, f"rows(x, {matrix})", (0,))
            return self._plus(node, initial, product) if initial else product
        last = a.ndim - 1
        if value.axes[-1:] != (last,) or value.lengths[-1] != self._shape(a)[last]:
            value = _Value(self._bound(a), tuple(range(a.ndim)), self._shape(a), value.lead)
        lengths = (*value.lengths[:-1], self._shape(node)[-1])
        if initial and value.axes == (0,) and value.lead == 1:
            first = self._aligned(self.scope.value(initial[0]), (0,))
            expression = self.library.expression("add_product", first, value.code, matrix)
            return self._assign(node, expression, (0,))
        product = self._assign(node, f"{value.code} @ {matrix}", value.axes, lengths, value.lead)
        return self._plus(node, initial, product) if initial else product

    def _plus(self, node: Node, initial: Sequence[Node], product: _Value) -> _Value:
        """A product with a term added to it."""
        operands = [product, self.scope.value(initial[0])]
        axes = tuple(range(node.ndim))
        expression = self._expression(ADD, operands, axes)
        return self._assign(node, expression, axes, lead=max(value.lead for value in operands))

    def _dot_heads(self, node: Node) -> _Value:
        a, w, *initial = node.inputs
        lead = "tb"[-len(self.scope.lead) :] * bool(self.scope.value(a).lead)
        operands = f"{self._bound(a)}, {self._bound(w)}"
        code = self.library.expression("einsum", f"{lead}hk,hkn->{lead}hn", operands)
        product = self._assign(node, code, (0, 1), lead=self.scope.value(a).lead)
        return self._plus(node, initial, product) if initial else product

    def _matrix_function(self, node: Node) -> _Value:
        operands = [self._bound(operand) for operand in node.inputs]
        return self._assign(node, self.library.expression(node.op, *operands), (0, 1), lead=0)


def _composed_function(node: Node) -> tuple[str, Node] | None:
    """The name and the operand of ``silu`` or ``log_sigmoid``; None for other values."""
    if node.op == MULTIPLY:
        for operand, gate in (node.inputs, node.inputs[::-1]):
            if gate.op == SIGMOID and gate.inputs[0] is operand:
                return "silu", operand
    if node.op == NEGATIVE and node.inputs[0].op == SOFTPLUS:
        (inner,) = node.inputs[0].inputs
        if inner.op == NEGATIVE:
            return "log_sigmoid", inner.inputs[0]
    return None


def _number(number: Any) -> _Value:
    code = repr(number)
    if isinstance(number, float) and not math.isfinite(number):
        code = f'float("{number}")'
    return _Value(f"({code})" if code.startswith("-") else code, number=number)


def _flat(values: Any) -> Iterable[float]:
    if isinstance(values, int | float):
        return [values]
    return [number for each in values for number in _flat(each)]


def _tuple(codes: Iterable[str]) -> str:
    return f"({', '.join(codes)},)" if (codes := list(codes)) else "()"


def _match_ones(old: ConcreteShape, new: ConcreteShape) -> list[int | None] | None:
    """For each new axis the old one, None for one of length one; None if other axes differ."""
    origins: list[int | None] = []
    at = 0
    for length in new:
        while at < len(old) and old[at] == 1 != length:
            at += 1
        if at < len(old) and old[at] == length:
            origins.append(at)
            at += 1
        elif length == 1:
            origins.append(None)
        else:
            return None
    return origins if all(length == 1 for length in old[at:]) else None


_STRUCTURAL: Mapping[Op, Callable[[_Writer, Node], _Value]] = {
    ARRAY: _Writer._array,
    BROADCAST: _Writer._broadcast,
    BUFFER: _Writer._leaf,
    CONCAT: _Writer._concat,
    CONSTANT: _Writer._constant,
    CUMSUM: _Writer._cumsum,
    DOT: _Writer._dot,
    DOT_HEADS: _Writer._dot_heads,
    EXPM: _Writer._matrix_function,
    EYE: _Writer._eye,
    INPUT: _Writer._leaf,
    MAX: _Writer._reduce,
    PARAM: _Writer._leaf,
    RECURRENCE: _Writer._recurrence,
    RESHAPE: _Writer._reshape,
    SIZE: _Writer._size,
    SLICE: _Writer._slice,
    SOLVE: _Writer._matrix_function,
    STRIDE: _Writer._stride,
    SUM: _Writer._reduce,
    TRANSPOSE: _Writer._transpose,
    X: _Writer._x,
}
