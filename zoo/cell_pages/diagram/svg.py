"""Diagrams as SVG with real text, in the light or dark colours of the page.

An edge leads from the lower side of a box, past the layers between, to the upper side of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from zoo.base import Cell
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.diagram.boxes import LINE, PADDING, Box, Diagram, build_diagram
from zoo.cell_pages.diagram.layout import (
    Coordinates,
    LayeredGraph,
    Vertex,
    assign_coordinates,
    assign_layers,
    reduce_crossings,
    separate,
)

_CORNER, _HEAD_DISTANCE = 12.0, 11.0  # from the corners of a box, and between arrow heads
HEAD = 7.0  # length of an arrow head


@dataclass(frozen=True)
class EdgeSegment:
    """The part of an edge between one layer and the next.

    Args:
        source: Number of the box where the edge begins.
        start: First point: on the lower side of a box, or at the bottom of the layer of a dummy vertex.
        bottom: y of the bottom of the upper layer, where the curve begins.
        end: Last point.
        top: y of the top of the lower layer, where the curve ends.
        is_last: Whether it ends in a box, with an arrow head.
    """

    source: int
    start: tuple[float, float]
    bottom: float
    end: tuple[float, float]
    top: float
    is_last: bool


def edge_segments(diagram: Diagram, graph: LayeredGraph, where: Coordinates) -> list[EdgeSegment]:
    """Every segment of every edge, layer by layer."""
    layers = range(len(graph.edges))
    return [segment for layer in layers for segment in _segments_of_layer(diagram, graph, where, layer)]


def box_top(diagram: Diagram, where: Coordinates, number: int, layer: int) -> float:
    """Y of the upper side of a box, which is centered in its layer."""
    return where.top[layer] + (where.height_of[layer] - diagram.boxes[number].height) / 2


def _segments_of_layer(
    diagram: Diagram, graph: LayeredGraph, where: Coordinates, layer: int
) -> Iterator[EdgeSegment]:
    entries = _entry_points(diagram, graph, where, layer)
    bottom, top = where.top[layer] + where.height_of[layer], where.top[layer + 1]
    for upper, lower in graph.edges[layer]:
        x = entries.get((upper, lower), where.center[lower])
        start = _exit_point(diagram, where, upper, x, layer)
        is_box = isinstance(lower, int)
        y = (
            box_top(diagram, where, lower, layer + 1)
            if isinstance(lower, int)
            else top + where.height_of[layer + 1]
        )
        source = upper if isinstance(upper, int) else upper[1]
        yield EdgeSegment(source, start, bottom, (x, y), top, is_box)


def _exit_point(
    diagram: Diagram, where: Coordinates, vertex: Vertex, target: float, layer: int
) -> tuple[float, float]:
    """The point where an edge leaves a box, as near above its target as the box reaches."""
    center = where.center[vertex]
    if not isinstance(vertex, int):
        return center, where.top[layer] + where.height_of[layer]
    reach = diagram.boxes[vertex].width / 2 - _CORNER
    lower_side = box_top(diagram, where, vertex, layer) + diagram.boxes[vertex].height
    return min(max(target, center - reach), center + reach), lower_side


def _entry_points(
    diagram: Diagram, graph: LayeredGraph, where: Coordinates, layer: int
) -> dict[tuple[Vertex, Vertex], float]:
    """X of the points where edges enter the boxes of the next layer, in the order of their sources."""
    sources: dict[int, list[Vertex]] = {}
    for upper, lower in graph.edges[layer]:
        if isinstance(lower, int):
            sources.setdefault(lower, []).append(upper)
    entries: dict[tuple[Vertex, Vertex], float] = {}
    for number, vertices in sources.items():
        vertices.sort(key=where.center.__getitem__)
        half = diagram.boxes[number].width / 2 - _CORNER
        distance = min(_HEAD_DISTANCE, 2 * half / max(1, len(vertices) - 1))
        low, high = where.center[number] - half, where.center[number] + half
        preferred = [where.center[vertex] for vertex in vertices]
        points = separate(preferred, [distance] * (len(vertices) - 1), low, high)
        entries |= {(vertex, number): x for vertex, x in zip(vertices, points, strict=True)}
    return entries


_STYLE = """\
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
text { fill: #1f2328; }
.note { font-size: 11px; fill: #59636e; }
rect { stroke-width: 1.2; fill: #ffffff; stroke: #818b98; }
.x rect, .state rect, .input rect { fill: #ddf4ff; stroke: #0969da; }
.weights rect { fill: #f6f8fa; stroke: #d1d9e0; }
.output rect { fill: #dafbe1; stroke: #1a7f37; }
.line { fill: none; stroke: #818b98; stroke-width: 1.2; }
.head { fill: #818b98; }
.faint .line { stroke: #c8d1da; }
.faint .head { fill: #c8d1da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  rect { fill: #161b22; stroke: #656c76; }
  .x rect, .state rect, .input rect { fill: #10233f; stroke: #4493f8; }
  .weights rect { fill: #1c2128; stroke: #3d444d; }
  .output rect { fill: #12261e; stroke: #3fb950; }
  .line { stroke: #7d8590; }
  .head { fill: #7d8590; }
  .faint .line { stroke: #4a525c; }
  .faint .head { fill: #4a525c; }
}"""


def draw(cell: Cell) -> str:
    """Draw one step of a cell as the text of an SVG file.

    Raises:
        DefinitionError: if its ``step`` cannot be traced.
    """
    diagram = build_diagram(cell)
    graph = reduce_crossings(diagram, assign_layers(diagram))
    where = assign_coordinates(diagram, graph)
    width, height = _number(where.width), _number(where.height)
    title = f"One step of {cell.name}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">',
        GENERATED_MARK,
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        *_edges(diagram, edge_segments(diagram, graph, where)),
        *_boxes(diagram, graph, where),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _edges(diagram: Diagram, segments: list[EdgeSegment]) -> Iterator[str]:
    """The edges; those of weights are fainter and below the others."""
    for name, is_faint in (("faint", True), ("plain", False)):
        chosen = [
            segment for segment in segments if (diagram.boxes[segment.source].kind == "weights") == is_faint
        ]
        if chosen:
            lines = " ".join(dict.fromkeys(map(_edge_path, chosen)))
            heads = " ".join(dict.fromkeys(_head(segment) for segment in chosen if segment.is_last))
            yield f'<g class="{name}"><path class="line" d="{lines}"/><path class="head" d="{heads}"/></g>'


def _edge_path(segment: EdgeSegment) -> str:
    (x, y), (x2, y2) = segment.start, segment.end
    if segment.is_last:
        y2 -= HEAD - 1
    top = min(segment.top, y2)
    half = (segment.bottom + top) / 2
    curve = f"C{_point(x, half)} {_point(x2, half)} {_point(x2, top)}" if x != x2 else ""
    return f"M{_point(x, y)}V{_number(segment.bottom)}{curve}V{_number(y2)}"


def _head(segment: EdgeSegment) -> str:
    x, y = segment.end
    return f"M{_point(x, y)}l-3.5,-{HEAD:g}h7z"


def _boxes(diagram: Diagram, graph: LayeredGraph, where: Coordinates) -> Iterator[str]:
    for layer, vertices in enumerate(graph.layers):
        for number in vertices:
            if isinstance(number, int):
                box = diagram.boxes[number]
                left = where.center[number] - box.width / 2
                yield from _box(box, left, box_top(diagram, where, number, layer))


def _box(box: Box, left: float, top: float) -> Iterator[str]:
    yield f'<g class="{box.kind}">'
    yield (
        f'<rect x="{_number(left)}" y="{_number(top)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="6"/>'
    )
    yield from _texts(box, left, top)
    yield "</g>"


def _texts(box: Box, left: float, top: float) -> Iterable[str]:
    """The lines of a box: one is centered, several are left-aligned."""
    is_centered = len(box.lines) == 1
    x, anchor = (left + box.width / 2, ' text-anchor="middle"') if is_centered else (left + PADDING + 2, "")
    y = top + PADDING + 12
    for number, line in enumerate(box.lines):
        yield f'<text x="{_number(x)}" y="{_number(y + LINE * number)}"{anchor}>{_text(line)}</text>'
    if box.note:
        y += LINE * len(box.lines) - 1
        yield f'<text class="note" x="{_number(x)}" y="{_number(y)}"{anchor}>{_text(box.note)}</text>'


def _text(line: str) -> str:
    """Text that keeps its spaces."""
    return escape(line, quote=False).replace("  ", "\u00a0\u00a0").replace("\u00a0 ", "\u00a0\u00a0")


def _point(x: float, y: float) -> str:
    return f"{_number(x)},{_number(y)}"


def _number(value: float) -> str:
    return f"{round(value, 1):g}"
