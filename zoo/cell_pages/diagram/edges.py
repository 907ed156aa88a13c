"""The course of every arrow: out of the lower edge of a box, past the rows between, into an upper edge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.cell_pages.diagram.boxes import Diagram
from zoo.cell_pages.diagram.layout import Coordinates, LayeredGraph, Vertex, separate

_CORNER, _HEAD_DISTANCE = 12.0, 11.0  # from the ends of an edge, and from arrow head to arrow head
HEAD = 7.0  # the length of an arrow head


@dataclass(frozen=True)
class EdgeSegment:
    """A piece of an arrow, between one row and the next.

    Args:
        source: Number of the box where the arrow begins.
        start: Where the piece begins: x, and y of the lower edge of a box, or of the row above a bend.
        bottom: y of the lower edge of the row, from which the curve begins.
        end: Where it ends: x and y.
        row: y of the upper edge of the row, where the curve ends.
        is_last: Whether it ends in a box, with a head.
    """

    source: int
    start: tuple[float, float]
    bottom: float
    end: tuple[float, float]
    row: float
    is_last: bool


def edge_segments(found: Diagram, order: LayeredGraph, where: Coordinates) -> list[EdgeSegment]:
    """Every piece of every arrow, row by row."""
    return [
        piece for row in range(len(order.links)) for piece in _segments_of_layer(found, order, where, row)
    ]


def box_top(found: Diagram, where: Coordinates, number: int, row: int) -> float:
    """The upper edge of a box, which stands in the middle of its row."""
    return where.top[row] + (where.depth[row] - found.boxes[number].height) / 2


def _segments_of_layer(
    found: Diagram, order: LayeredGraph, where: Coordinates, row: int
) -> Iterator[EdgeSegment]:
    heads = _entry_points(found, order, where, row)
    bottom, below = where.top[row] + where.depth[row], where.top[row + 1]
    for upper, lower in order.links[row]:
        x = heads.get((upper, lower), where.middle[lower])
        start = _exit_point(found, where, upper, x, row)
        into = below if not isinstance(lower, int) else box_top(found, where, lower, row + 1)
        end = (x, into if isinstance(lower, int) else below + where.depth[row + 1])
        yield EdgeSegment(_source(upper), start, bottom, end, below, isinstance(lower, int))


def _exit_point(
    found: Diagram, where: Coordinates, item: Vertex, towards: float, row: int
) -> tuple[float, float]:
    """Where an arrow leaves a box, as near above its aim as the edge reaches; or goes on from a bend."""
    middle = where.middle[item]
    if not isinstance(item, int):
        return middle, where.top[row] + where.depth[row]
    reach = found.boxes[item].width / 2 - _CORNER
    lower_edge = box_top(found, where, item, row) + found.boxes[item].height
    return min(max(towards, middle - reach), middle + reach), lower_edge


def _entry_points(
    found: Diagram, order: LayeredGraph, where: Coordinates, row: int
) -> dict[tuple[Vertex, Vertex], float]:
    """Where arrows enter the boxes of the next row: side by side, in the order of what they come from."""
    comers: dict[int, list[Vertex]] = {}
    for upper, lower in order.links[row]:
        if isinstance(lower, int):
            comers.setdefault(lower, []).append(upper)
    places: dict[tuple[Vertex, Vertex], float] = {}
    for number, items in comers.items():
        items.sort(key=where.middle.__getitem__)
        half = found.boxes[number].width / 2 - _CORNER
        apart = min(_HEAD_DISTANCE, 2 * half / max(1, len(items) - 1))
        low, high = where.middle[number] - half, where.middle[number] + half
        found_places = separate([where.middle[item] for item in items], [apart] * (len(items) - 1), low, high)
        places |= {(item, number): x for item, x in zip(items, found_places, strict=True)}
    return places


def _source(item: Vertex) -> int:
    return item if isinstance(item, int) else item[1]
