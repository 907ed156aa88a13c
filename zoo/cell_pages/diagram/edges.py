"""Routing of edges: from the lower side of a box, past the layers between, to the upper side of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.cell_pages.diagram.boxes import Diagram
from zoo.cell_pages.diagram.layout import Coordinates, LayeredGraph, Vertex, separate

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
