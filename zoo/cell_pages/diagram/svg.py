"""Diagrams as SVG with real text, in the light or dark colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from zoo.base import Cell
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.diagram.boxes import LINE, PADDING, Box, Diagram, build_diagram
from zoo.cell_pages.diagram.edges import HEAD, EdgeSegment, box_top, edge_segments
from zoo.cell_pages.diagram.layout import (
    Coordinates,
    LayeredGraph,
    assign_coordinates,
    assign_layers,
    reduce_crossings,
)

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
