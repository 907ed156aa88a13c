"""The boxes of a diagram and the edges between them, without positions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from zoo.base import Cell
from zoo.cell_pages.diagram.nodes import DiagramNames, Group, box_groups, read_by, storage_of_view
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.dims import GENERIC_SIZES, ONE
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BUFFER, PARAM, SLICE

_WEIGHTS = (PARAM, BUFFER)


def build_diagram(cell: Cell) -> Diagram:
    """Build the diagram of a cell that has a ``step``.

    Raises:
        DefinitionError: if its ``step`` cannot be traced.
    """
    return _DiagramBuilder(DiagramNames(trace_step(cell))).diagram()


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
