"""From a step to boxes, and what each of them reads."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.catalogue.picture.calls import whole
from zoo.catalogue.picture.diagram import Box, Diagram
from zoo.catalogue.picture.groups import Group, groups_of, read_by
from zoo.catalogue.picture.values import Values
from zoo.compiler.copies import LEAVES
from zoo.compiler.graph import Node
from zoo.compiler.reading import read
from zoo.compiler.structure import ONE
from zoo.compiler.views import SAMPLE
from zoo.contracts import Cell

_WEIGHTS = ("param", "buffer")


def diagram(cell: Cell) -> Diagram:
    """The boxes of a cell that has a ``step``, and what each reads.

    Raises:
        DefinitionError: if its ``step`` cannot be read.
    """
    return _Boxes(Values(read(cell))).diagram()


class _Boxes:
    """Puts values into boxes."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.computed = groups_of(values)
        leaves = [node for node in values.names if node.op in LEAVES]
        first: list[Group] = [(node,) for node in leaves if node.op not in _WEIGHTS]
        self.leaves = first + self._weights([node for node in leaves if node.op in _WEIGHTS])
        self.outputs = {values.y, *values.after.values()}

    def diagram(self) -> Diagram:
        """All boxes, what one reads before it."""
        groups = [*self.leaves, *self.computed]
        place = {node: number for number, group in enumerate(groups) for node in group}
        reads = {
            place[group[0]]: tuple(dict.fromkeys(place[node] for node in read_by(self.values, group)))
            for group in self.computed
        }
        boxes = [*map(self._leaf, self.leaves), *map(self._equations, self.computed)]
        for name, node in self.values.aliases:
            reads[len(boxes)] = (place[whole(node)],) if whole(node) in place else ()
            text = f"{name} = {self.values.operand(node)}"
            boxes.append(Box("output", (text,), self.values.shape(node)))
        return Diagram(tuple(boxes), reads)

    def _weights(self, nodes: list[Node]) -> list[Group]:
        """Weights by what reads them."""
        found: dict[tuple[int, ...], list[Node]] = {}
        for node in nodes:
            readers = (n for n, group in enumerate(self.computed) if node in read_by(self.values, group))
            found.setdefault(tuple(readers), []).append(node)
        return [tuple(group) for group in found.values()]

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
        values, parts = self.values, [node for node in group if node.op == "slice"]
        base = parts[0].inputs[0] if parts else None
        if base is None or not _make_up(parts, base):
            yield from (f"{values.names[node]} = {values.equation(node)}" for node in group)
            return
        if base in group:
            yield f"{values.names[base]} = {values.equation(base)}"
        names = ", ".join(values.names[node] for node in sorted(parts, key=_start))
        rows = all(node.attr[0] == 0 and node.shape[0] == ONE for node in parts)
        yield f"{names} = {values.operand(base)}" if rows else f"{names} = split({values.operand(base)})"


def _make_up(parts: list[Node], base: Node) -> bool:
    """Whether parts are all of their base, one after the other along one axis."""
    ordered, axes = sorted(parts, key=_start), {node.attr[0] for node in parts}
    if len(parts) < 2 or len(axes) > 1:
        return False
    starts, ends = [node.attr[1] for node in ordered], [node.attr[2] for node in ordered]
    return starts[1:] == ends[:-1] and starts[0].integer == 0 and ends[-1] == base.shape[axes.pop()]


def _start(part: Node) -> float:
    return float(part.attr[1].evaluate(SAMPLE))
