"""A placed diagram as SVG: text stays text, and colours follow those of the page, light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from zoo.base import Cell
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.diagram.boxes import LINE, PADDING, Box, Diagram, diagram
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
    """The picture of one step of a cell that has a ``step``, as the text of an SVG file.

    Raises:
        DefinitionError: if its ``step`` cannot be read.
    """
    found = diagram(cell)
    order = reduce_crossings(found, assign_layers(found))
    where = assign_coordinates(found, order)
    width, height = _number(where.width), _number(where.height)
    title = f"One step of {cell.name}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">',
        GENERATED_MARK,
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        *_arrows(found, edge_segments(found, order, where)),
        *_boxes(found, order, where),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrows(found: Diagram, all_pieces: list[EdgeSegment]) -> Iterator[str]:
    """Arrows, those of weights in a fainter colour and below the others."""
    for name, is_faint in (("faint", True), ("plain", False)):
        chosen = [piece for piece in all_pieces if (found.boxes[piece.source].kind == "weights") == is_faint]
        if chosen:
            lines = " ".join(dict.fromkeys(map(_edge_path, chosen)))
            heads = " ".join(dict.fromkeys(_head(piece) for piece in chosen if piece.is_last))
            yield f'<g class="{name}"><path class="line" d="{lines}"/><path class="head" d="{heads}"/></g>'


def _edge_path(piece: EdgeSegment) -> str:
    (x, y), (x2, y2) = piece.start, piece.end
    if piece.is_last:
        y2 -= HEAD - 1
    row = min(piece.row, y2)
    half = (piece.bottom + row) / 2
    curve = f"C{_point(x, half)} {_point(x2, half)} {_point(x2, row)}" if x != x2 else ""
    return f"M{_point(x, y)}V{_number(piece.bottom)}{curve}V{_number(y2)}"


def _head(piece: EdgeSegment) -> str:
    x, y = piece.end
    return f"M{_point(x, y)}l-3.5,-{HEAD:g}h7z"


def _boxes(found: Diagram, order: LayeredGraph, where: Coordinates) -> Iterator[str]:
    for row, items in enumerate(order.rows):
        for number in items:
            if isinstance(number, int):
                box = found.boxes[number]
                left = where.middle[number] - box.width / 2
                yield from _box(box, left, box_top(found, where, number, row))


def _box(box: Box, left: float, top: float) -> Iterator[str]:
    yield f'<g class="{box.kind}">'
    yield (
        f'<rect x="{_number(left)}" y="{_number(top)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="6"/>'
    )
    yield from _texts(box, left, top)
    yield "</g>"


def _texts(box: Box, left: float, top: float) -> Iterable[str]:
    """A single line in the middle, several from the left."""
    alone = len(box.lines) == 1
    x, anchor = (left + box.width / 2, ' text-anchor="middle"') if alone else (left + PADDING + 2, "")
    y = top + PADDING + 12
    for number, line in enumerate(box.lines):
        yield f'<text x="{_number(x)}" y="{_number(y + LINE * number)}"{anchor}>{_text(line)}</text>'
    if box.note:
        y += LINE * len(box.lines) - 1
        yield f'<text class="note" x="{_number(x)}" y="{_number(y)}"{anchor}>{_text(box.note)}</text>'


def _text(line: str) -> str:
    """Text in which blanks count."""
    return escape(line, quote=False).replace("  ", "\u00a0\u00a0").replace("\u00a0 ", "\u00a0\u00a0")


def _point(x: float, y: float) -> str:
    return f"{_number(x)},{_number(y)}"


def _number(value: float) -> str:
    return f"{round(value, 1):g}"
