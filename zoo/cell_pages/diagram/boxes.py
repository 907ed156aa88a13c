"""The boxes of a diagram and the edges between them, without positions.

Slices of one value, for example gates, share a box. Real and imaginary parts also share one. Views of a
whole value are drawn as the value. A call of a function of zoo is drawn as the call.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph, step_graph_of
from zoo.compiler.frontend.value_names import NamedCall
from zoo.compiler.ir.dims import GENERIC_SIZES, ONE
from zoo.compiler.ir.elementwise_ops import MULTIPLY
from zoo.compiler.ir.graph import Node, Shape
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BROADCAST, BUFFER, CONCAT, PARAM, RESHAPE, SLICE, STATE, TRANSPOSE
from zoo.compiler.passes.simplify import drop_derivative_markers
from zoo.compiler.printing import EquationPrinter, format_shape, is_row_as_column

# An unnamed value that is longer, or shared and longer than the second limit, gets a name and a box.
_MAX_LENGTH, _MAX_SHARED_LENGTH = 44, 14

_PRODUCT, _ATOM = 4, 7  # precedence of @ and of a call

_PRODUCT_WITH_COLUMN = "@ column"

_SIDES = ("_re", "_im")


class DiagramNames(EquationPrinter):
    """The values of a step with a box, by their names (:mod:`zoo.compiler.frontend.value_names`).

    These are declarations, new states, ``h'``, values that the author named, and values that are too long to
    be part of another equation. Markers of derivatives, such as ``stop_gradient``, are not drawn.

    Args:
        step_graph: The step.

    Attributes:
        names: The values with a box, and their names.
        y: The output.
        new_states: The new states; real and imaginary part of a complex one.
        aliases: New states that equal a value with another name, and that value.
    """

    def __init__(self, step_graph: StepGraph) -> None:
        self.step_graph = step_graph
        called = (node for made, (_, given) in step_graph.calls.items() for node in (made, *given))
        new = drop_derivative_markers([*step_graph.outputs, *called])
        self.values = step_graph.map_nodes(new).value_names()
        self.calls = function_calls(step_graph, new)
        self.y, self.new_states = storage_of_view(new[step_graph.y]), dict(self._new_states(new))
        self.shapes = {storage_of_view(new[node]): node.shape for node in reversed(step_graph.outputs)}
        self.aliases: list[tuple[str, Node]] = []
        self.names = {node: name for name, node in self._declared()}
        self._name_outputs()
        self._name_author_values(new)
        self._name_long_values()

    def _declared(self) -> Iterator[tuple[str, Node]]:
        graph = self.step_graph
        yield "x", graph.x
        for leaves in (graph.states, graph.inputs, graph.params, graph.buffers):
            yield from leaves.items()

    def _new_states(self, new: dict[Node, Node]) -> Iterator[tuple[str, Node]]:
        for name, node in self.step_graph.new_states.items():
            planes = new[node].inputs if self._is_complex(new[node], name) else (new[node],)
            sides = _SIDES if len(planes) > 1 else ("",)
            yield from (
                (f"{name}{side}'", storage_of_view(plane)) for side, plane in zip(sides, planes, strict=True)
            )

    def _is_complex(self, node: Node, state: str) -> bool:
        is_complex = self.step_graph.cell.states[state].complex
        return is_complex and node.op == CONCAT and node.attr == 0 and len(node.inputs) == 2

    def _name_outputs(self) -> None:
        for name, node in self.new_states.items():
            if node in self.names or node.value is not None:
                self.aliases.append((name, node))
            else:
                self.names[node] = name
        if self.y.op.kind is Kind.LEAF:
            self.aliases.append(("y", self.y))
        elif self.y not in self.names:
            self.names[self.y] = self.values.name(self.y)

    def _name_author_values(self, new: dict[Node, Node]) -> None:
        reached = self.reached()
        for old in self.step_graph.names:
            node = storage_of_view(new.get(old, old))
            is_unnamed = node in reached and not self.has_name(node) and node.value is None
            if is_unnamed and not self._is_plane(node):
                self.shapes.setdefault(node, old.shape)
                self.names[node] = self.values.name(new.get(old, old))

    def _name_long_values(self) -> None:
        nodes = sorted(self.reached(), key=attrgetter("index"))
        uses = Counter(storage_of_view(operand) for node in nodes for operand in self.operands(node))
        parts = {node.inputs[0] for node in self.names if node.op == SLICE}
        for node in nodes:
            if (
                self.has_name(node)
                or node.value is not None
                or node.op.kind in (Kind.LEAF, Kind.VIEW)
                or node in parts
            ):
                continue
            length = len(self.equation(node))
            if length > _MAX_LENGTH or (uses[node] > 1 and length > _MAX_SHARED_LENGTH):
                self.names[node] = self.values.name(node)

    def reached(self) -> dict[Node, None]:
        """The values that the outputs depend on, without views."""
        return self._below([self.y, *self.new_states.values()], stop=())

    def read_by(self, node: Node) -> list[Node]:
        """The values with a box in the equation of a value."""
        values = self._below(map(storage_of_view, self.operands(node)), stop=self.names)
        return [each for each in values if each in self.names]

    def _below(self, nodes: Iterable[Node], stop: Iterable[Node]) -> dict[Node, None]:
        seen: dict[Node, None] = {}
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen[node] = None
                if node not in stop:
                    waiting.extend(map(storage_of_view, reversed(self.operands(node))))
        return seen

    def operands(self, node: Node) -> tuple[Node, ...]:
        """The operands of a value: the arguments of a call, or its inputs."""
        return self.calls[node][1] if node in self.calls else node.inputs

    def has_name(self, node: Node) -> bool:
        """Whether a value has a box."""
        return storage_of_view(node) in self.names

    def has_own_text(self, node: Node) -> bool:
        """Whether a view has a box, is a call, or is the real or imaginary part of an array."""
        return self.has_name(node) or node in self.calls or is_full_view(node) or self._is_plane(node)

    def give_name(self, node: Node) -> str:
        """The name of a value with a box."""
        return self.names[storage_of_view(node)]

    def shape(self, node: Node) -> str:
        """The shape of a value in letters."""
        shape = self.shapes.get(node, node.shape)
        return f"{format_shape(shape[1:])} complex" if self._has_planes(node) else format_shape(shape)

    def _has_planes(self, node: Node) -> bool:
        """Whether a value is a stored complex array."""
        cell = self.step_graph.cell
        declared = {**cell.params, **cell.buffers, **cell.states}
        return node.op in (PARAM, BUFFER, STATE) and declared[node.attr].complex

    def _is_plane(self, node: Node) -> bool:
        return node.op == SLICE and node.attr[0] == 0 and self._has_planes(node.inputs[0])

    def _format(self, node: Node) -> tuple[str, int]:
        name, given = self.calls.get(node, ("", ()))
        if name == "@":
            return self._product(*given)
        if name == _PRODUCT_WITH_COLUMN:  # a column is printed as a row
            matrix, row = given
            return f"{self.operand(row, _PRODUCT)} @ {self.operand(matrix, _ATOM)}.T", _PRODUCT
        if name:
            return f"{name}({', '.join(map(self.operand, given))})", _ATOM
        if is_full_view(node) and node.inputs[0].value is None and not self.has_name(node.inputs[0]):
            return self._format(node.inputs[0])
        if self._is_plane(node):
            return f"{self.names[node.inputs[0]]}{'_im' if node.attr[1].integer else '_re'}", _ATOM
        if node.op == MULTIPLY and any(is_column(without_repetition(each)) for each in node.inputs):
            return self._product_with_column(node)
        if node.op.kind is Kind.REDUCTION and (axis := _axis_of_matrix(node)):
            return f"{node.op}({self.operand(node.inputs[0])}, {axis})", _ATOM
        return super()._format(node)

    def _product(self, a: Node, b: Node) -> tuple[str, int]:
        return f"{self.operand(a, _PRODUCT)} @ {self.operand(b, _PRODUCT + 1)}", _PRODUCT

    def _product_with_column(self, node: Node) -> tuple[str, int]:
        """A product with a factor that is repeated along its row, in terms of row vectors."""
        a, b = map(without_repetition, node.inputs)
        a, b = (a, b) if is_column(a) else (b, a)
        if is_row(b.shape):
            return f"outer({self.operand(a)}, {self.operand(b)})", _ATOM
        if is_matrix(b.shape):
            return f"diag({self.operand(a)}) @ {self.operand(b, _PRODUCT + 1)}", _PRODUCT
        return super()._format(node)

    def operand(self, node: Node, precedence: int = 0) -> str:
        """A value as an operand; a column that is repeated is a transposed row."""
        if node.op == BROADCAST and node.shape[-1] != ONE and is_column(column := without_repetition(node)):
            return f"{self.operand(column, _ATOM)}.T"
        return super().operand(node, precedence)


Group = tuple[Node, ...]

Read = Callable[[Group], Iterable[Node]]


def box_groups(values: DiagramNames) -> list[Group]:
    """The computed values in groups that share a box, in topological order."""
    nodes = [node for node in values.names if node.op.kind is not Kind.LEAF]
    boxes: dict[Hashable, list[Node]] = {}
    for node in sorted(nodes, key=attrgetter("index")):
        boxes.setdefault(_group_key(values, node), []).append(node)
    groups = [tuple(group) for group in boxes.values()]
    return topological_order(groups, lambda group: read_by(values, group))


def read_by(values: DiagramNames, group: Group) -> list[Node]:
    """The values with a box that a group reads."""
    reads = dict.fromkeys(node for own in group for node in values.read_by(own))
    return [node for node in reads if node not in group]


def topological_order(groups: list[Group], read: Read) -> list[Group]:
    """Sort groups topologically; groups on a cycle are split."""
    waiting, ordered = dict.fromkeys(groups), []
    while waiting:
        ahead = {node for group in waiting for node in group}
        ready = next((group for group in waiting if not ahead & set(read(group))), None)
        if ready is not None:
            del waiting[ready]
            ordered.append(ready)
        else:
            waiting = dict.fromkeys((node,) for node in sorted(ahead, key=attrgetter("index")))
    return ordered


def _group_key(values: DiagramNames, node: Node) -> Hashable:
    """The key of the values that share a box."""
    if node.op == SLICE:
        return ("parts", node.inputs[0])
    if any(other.op == SLICE and other.inputs[0] is node for other in values.names):
        return ("parts", node)
    stem, _, side = values.names[node].rpartition("_")
    return ("complex", stem) if stem and side.rstrip("'") in ("re", "im") else node


def function_calls(step_graph: StepGraph, new: dict[Node, Node]) -> dict[Node, NamedCall]:
    """Results of functions, with the function and its arguments."""
    calls: dict[Node, NamedCall] = {}
    for node, (name, given) in step_graph.calls.items():
        made, *operands = (new.get(storage_of_view(each)) for each in (node, *given))
        known = tuple(operand for operand in operands if operand is not None)
        if made is not None and made.value is None and made not in known and 0 < len(known) == len(given):
            is_with_column = name == "@" and is_matrix(given[0].shape) and _is_vector(given[1])
            calls[made] = (_PRODUCT_WITH_COLUMN if is_with_column else name, known)
    return calls


def _is_vector(node: Node) -> bool:
    return len(node.shape) == 1 or is_column(node)


def storage_of_view(node: Node) -> Node:
    """The base of a view of a whole value; other values are their own base."""
    while is_full_view(node):
        node = node.inputs[0]
    return node


def without_repetition(node: Node) -> Node:
    """A value before it is repeated along axes."""
    while node.op == BROADCAST:
        node = node.inputs[0]
    return node


# Equations print a vector as a row, also where the step has reshaped it to a column: a column times a row is
# an outer product, and a column times a matrix is the product with a diagonal matrix. A third axis in front
# is the heads. Values of more axes are printed as NumPy would compute them.


def is_column(node: Node) -> bool:
    """Whether a value is a vector as a column; a declared ``(H, 1)`` is a matrix."""
    is_declared = storage_of_view(node).op.kind is Kind.LEAF and storage_of_view(node).shape == node.shape
    return _is_column_shape(node.shape) and not is_declared


def _is_column_shape(shape: Shape) -> bool:
    return 2 <= len(shape) <= 3 and shape[-1] == ONE != shape[-2]


def is_row(shape: Shape) -> bool:
    """Whether a shape belongs to a vector as a row."""
    return bool(shape) and shape[-1] != ONE and shape[-2:-1] in ((), (ONE,))


def is_matrix(shape: Shape) -> bool:
    """Whether a shape belongs to a matrix, or to one matrix for each head."""
    return 2 <= len(shape) <= 3 and ONE not in shape[-2:]


def _axis_of_matrix(node: Node) -> int:
    """The axis that a reduction of a matrix removes, from the end; zero for a reduction of a vector."""
    shape = node.inputs[0].shape
    axes = [axis - len(shape) for axis in node.attr]
    return axes[0] if is_matrix(shape) and len(axes) == 1 and axes[0] >= -2 else 0


def is_full_view(node: Node) -> bool:
    """Whether a node is a view of a whole value, perhaps repeated."""
    return node.op in (RESHAPE, BROADCAST) or (node.op == TRANSPOSE and is_row_as_column(node))


_WEIGHTS = (PARAM, BUFFER)


def build_diagram(cell: Cell) -> Diagram:
    """Build the diagram of a cell that has a ``step``.

    Raises:
        DefinitionError: if its ``step`` cannot be traced.
    """
    return _DiagramBuilder(DiagramNames(step_graph_of(cell))).diagram()


class _DiagramBuilder:
    def __init__(self, values: DiagramNames) -> None:
        self.values = values
        self.computed = box_groups(values)
        leaves = [node for node in values.names if node.op.kind is Kind.LEAF]
        first: list[Group] = [(node,) for node in leaves if node.op not in _WEIGHTS]
        self.leaves = first + self._weights([node for node in leaves if node.op in _WEIGHTS])
        self.outputs = {values.y, *values.new_states.values()}

    def diagram(self) -> Diagram:
        groups = [*self.leaves, *self.computed]
        box_of = {node: number for number, group in enumerate(groups) for node in group}
        reads = {
            box_of[group[0]]: tuple(dict.fromkeys(box_of[node] for node in read_by(self.values, group)))
            for group in self.computed
        }
        boxes = [*map(self._leaf, self.leaves), *map(self._equations, self.computed)]
        for name, node in self.values.aliases:
            reads[len(boxes)] = (box_of[storage_of_view(node)],) if storage_of_view(node) in box_of else ()
            text = f"{name} = {self.values.operand(node)}"
            boxes.append(Box("output", (text,), self.values.shape(node)))
        return Diagram(tuple(boxes), reads)

    def _weights(self, nodes: list[Node]) -> list[Group]:
        """Weights grouped by their readers."""
        groups: dict[tuple[int, ...], list[Node]] = {}
        for node in nodes:
            readers = (n for n, group in enumerate(self.computed) if node in read_by(self.values, group))
            groups.setdefault(tuple(readers), []).append(node)
        return [tuple(group) for group in groups.values()]

    def _leaf(self, group: Group) -> Box:
        names = [self.values.names[node] for node in group]
        if group[0].op not in _WEIGHTS:
            return Box(group[0].op, (names[0],), self.values.shape(group[0]))
        width = max(map(len, names))
        shapes = [self.values.shape(node) for node in group]
        return Box("weights", tuple(f"{n:<{width}} {shape}" for n, shape in zip(names, shapes, strict=True)))

    def _equations(self, group: Group) -> Box:
        kind = "output" if self.outputs & set(group) else "value"
        shapes = dict.fromkeys(self.values.shape(node) for node in group)
        note = ", ".join(shapes) + " each" * (len(group) > len(shapes) == 1)
        if self.values.y in group:
            note += ", the output"
        return Box(kind, tuple(self._lines(group)), note)

    def _lines(self, group: Group) -> Iterator[str]:
        values, parts = self.values, [node for node in group if node.op == SLICE]
        base = parts[0].inputs[0] if parts else None
        if base is None or not _partition(parts, base):
            yield from (f"{values.names[node]} = {values.equation(node)}" for node in group)
            return
        if base in group:
            yield f"{values.names[base]} = {values.equation(base)}"
        names = ", ".join(values.names[node] for node in sorted(parts, key=_start))
        rows = all(node.attr[0] == 0 and node.shape[0] == ONE for node in parts)
        yield f"{names} = {values.operand(base)}" if rows else f"{names} = split({values.operand(base)})"


def _partition(parts: list[Node], base: Node) -> bool:
    """Whether consecutive slices along one axis make up their base."""
    ordered, axes = sorted(parts, key=_start), {node.attr[0] for node in parts}
    if len(parts) < 2 or len(axes) > 1:
        return False
    starts, ends = [node.attr[1] for node in ordered], [node.attr[2] for node in ordered]
    return starts[1:] == ends[:-1] and starts[0].integer == 0 and ends[-1] == base.shape[axes.pop()]


def _start(part: Node) -> float:
    return float(part.attr[1].evaluate(GENERIC_SIZES))


CHARACTER, LINE, PADDING = 7.83, 18, 8  # in pixels, for the font of svg.py

_WRAPPER = textwrap.TextWrapper(
    width=50, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)


@dataclass(frozen=True)
class Box:
    """One box.

    Args:
        kind: ``"x"``, ``"state"``, ``"input"``, ``"weights"``, ``"value"`` or ``"output"``.
        equations: Its text; each equation takes one line or several.
        note: A note in small letters, for example a shape.
    """

    kind: str
    equations: tuple[str, ...]
    note: str = ""

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The equations, wrapped."""
        return tuple(line for text in self.equations for line in _WRAPPER.wrap(text))

    @property
    def width(self) -> float:
        """Width in pixels."""
        longest = max(map(len, self.lines))
        return max(44.0, 2 * PADDING + 4 + round(CHARACTER * max(longest, 0.86 * len(self.note))))

    @property
    def height(self) -> float:
        """Height in pixels."""
        return 2.0 * PADDING - 2 + LINE * len(self.lines) + (LINE - 2) * bool(self.note)


@dataclass(frozen=True)
class Diagram:
    """Boxes and edges.

    Args:
        boxes: The boxes in topological order.
        reads: For each box with inputs the numbers of the boxes that it reads, in order.
    """

    boxes: tuple[Box, ...]
    reads: Mapping[int, tuple[int, ...]]

    @cached_property
    def readers(self) -> dict[int, tuple[int, ...]]:
        """For each box the numbers of its readers."""
        readers: dict[int, list[int]] = {number: [] for number in range(len(self.boxes))}
        for reader, numbers in self.reads.items():
            for number in numbers:
                readers[number].append(reader)
        return {number: tuple(numbers) for number, numbers in readers.items()}
