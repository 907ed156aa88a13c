"""Layered layout: assignment of layers, reduction of crossings, and coordinates.

K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding of Hierarchical System Structures, 1981. An
edge across several layers passes a dummy vertex in each; edges from one box share theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

from zoo.cell_pages.diagram.boxes import Diagram

WIDTH = 860.0  # pixels; a single box may be wider

GAP = 26.0  # between boxes of a layer


def assign_layers(diagram: Diagram) -> list[list[int]]:
    """The numbers of the boxes in every layer, from top to bottom.

    Counted from below, a box is one layer above the highest of its readers, or in the next layer with room.
    The arguments of the step are above all computed values. Weights come last, near their readers.
    """
    layers: list[list[int]] = []
    layer_of: dict[int, int] = {}
    numbers = range(len(diagram.boxes) - 1, -1, -1)
    computed = [n for n in numbers if diagram.boxes[n].kind in ("value", "output")]
    arguments = [n for n in reversed(numbers) if diagram.boxes[n].kind in ("x", "state", "input")]
    for number in [*computed, *arguments, *(n for n in numbers if diagram.boxes[n].kind == "weights")]:
        lowest = max((layer_of[reader] + 1 for reader in diagram.readers[number]), default=0)
        if number in arguments:
            lowest = max(lowest, 1 + max(layer_of[n] for n in computed))
        layer_of[number] = _add_to_layer(number, layers, lowest, diagram)
    return [sorted(layer) for layer in reversed(layers)]


def _add_to_layer(number: int, layers: list[list[int]], lowest: int, diagram: Diagram) -> int:
    """Add a box to the first layer with room, from the lowest on; the index of the layer."""
    index = lowest
    while index < len(layers) and _layer_width([*layers[index], number], diagram) > WIDTH:
        index += 1
    while len(layers) <= index:
        layers.append([])
    layers[index].append(number)
    return index


def _layer_width(layer: list[int], diagram: Diagram) -> float:
    return sum(diagram.boxes[number].width + GAP for number in layer) - GAP


_ORDER_SWEEPS = 12

# A box by its number, or a dummy vertex: ("bend", box, layer).
Vertex = int | tuple[str, int, int]

LayerEdges = list[tuple[Vertex, Vertex]]


@dataclass(frozen=True)
class LayeredGraph:
    """Ordered layers.

    Args:
        layers: The vertices of each layer from left to right.
        edges: The edges between each layer and the next.
    """

    layers: list[list[Vertex]]
    edges: list[LayerEdges]


def reduce_crossings(diagram: Diagram, layers: Sequence[Sequence[int]]) -> LayeredGraph:
    """Insert dummy vertices and order the layers so that few edges cross, by barycenter sweeps."""
    vertices, edges = _with_dummy_vertices(diagram, layers)
    best, fewest = vertices, _count_crossings(vertices, edges)
    for sweep in range(_ORDER_SWEEPS):
        vertices = _barycenter_sweep(vertices, edges, down=sweep % 2 == 0)
        crossings = _count_crossings(vertices, edges)
        if crossings < fewest:
            best, fewest = vertices, crossings
    return LayeredGraph(best, edges)


def _with_dummy_vertices(
    diagram: Diagram, layers: Sequence[Sequence[int]]
) -> tuple[list[list[Vertex]], list[LayerEdges]]:
    vertices: list[list[Vertex]] = [list(layer) for layer in layers]
    edges: list[LayerEdges] = [[] for _ in layers[1:]]
    layer_of = {number: index for index, numbers in enumerate(layers) for number in numbers}
    for number, readers in diagram.readers.items():
        chain: dict[int, Vertex] = {layer_of[number]: number}
        for reader in sorted(readers, key=lambda reader: (layer_of[reader], reader)):
            for index in range(max(chain) + 1, layer_of[reader]):
                chain[index] = ("bend", number, index)
                vertices[index].append(chain[index])
                edges[index - 1].append((chain[index - 1], chain[index]))
            edges[layer_of[reader] - 1].append((chain[layer_of[reader] - 1], reader))
    return vertices, edges


def _barycenter_sweep(
    vertices: list[list[Vertex]], edges: list[LayerEdges], down: bool
) -> list[list[Vertex]]:
    """Sort every layer but one by the mean position of the neighbours in the layer before it."""
    new = [list(layer) for layer in vertices]
    order = range(1, len(vertices)) if down else range(len(vertices) - 2, -1, -1)
    for index in order:
        fixed, between = (index - 1, edges[index - 1]) if down else (index + 1, edges[index])
        position = _relative_positions(new[fixed])
        near = neighbours(between, down)
        own = _relative_positions(new[index])
        barycenters = {
            vertex: _mean([position[other] for other in near.get(vertex, ())], own[vertex])
            for vertex in new[index]
        }
        new[index].sort(key=barycenters.__getitem__)
    return new


def neighbours(edges: LayerEdges, down: bool) -> dict[Vertex, list[Vertex]]:
    """The neighbours of every lower vertex in the upper layer (``down``), or of every upper vertex below."""
    near: dict[Vertex, list[Vertex]] = {}
    for upper, lower in edges:
        vertex, other = (lower, upper) if down else (upper, lower)
        near.setdefault(vertex, []).append(other)
    return near


def _relative_positions(layer: Sequence[Vertex]) -> dict[Vertex, float]:
    """Positions between zero and one, so that layers of different lengths compare."""
    return {vertex: (index + 0.5) / len(layer) for index, vertex in enumerate(layer)}


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _count_crossings(vertices: list[list[Vertex]], edges: list[LayerEdges]) -> int:
    total = 0
    for (upper, lower), between in zip(pairwise(vertices), edges, strict=True):
        above, below = _positions(upper), _positions(lower)
        pairs = [(above[a], below[b]) for a, b in between]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    return total


def _positions(layer: Sequence[Vertex]) -> Mapping[Vertex, int]:
    return {vertex: index for index, vertex in enumerate(layer)}


MARGIN, LAYER_GAP = 12.0, 40.0  # around the diagram, and between layers

_DUMMY_WIDTH, _DUMMY_GAP = 2.0, 12.0  # width of a dummy vertex, and the gap beside it

_DUMMY_WEIGHT = 4.0  # of a dummy vertex relative to a box, for straight edges

_COORDINATE_SWEEPS = 24

Neighbours = Mapping[Vertex, Sequence[Vertex]]


@dataclass(frozen=True)
class Coordinates:
    """Coordinates in pixels.

    Args:
        center: x of the center of each vertex.
        top: y of the upper edge of each layer.
        height_of: Height of each layer.
        width: Width of the diagram.
        height: Height of the diagram.
    """

    center: Mapping[Vertex, float]
    top: Sequence[float]
    height_of: Sequence[float]
    width: float
    height: float


def assign_coordinates(diagram: Diagram, graph: LayeredGraph) -> Coordinates:
    """Coordinates of all vertices: each as near the mean of its neighbours as its layer allows."""
    center = _vertex_centers(diagram, graph)
    left = min(center[vertex] - _width(diagram, vertex) / 2 for vertex in center)
    right = max(center[vertex] + _width(diagram, vertex) / 2 for vertex in center)
    heights = [max(diagram.boxes[n].height for n in layer if isinstance(n, int)) for layer in graph.layers]
    top, y = [], MARGIN
    for height in heights:
        top.append(y)
        y += height + LAYER_GAP
    shifted = {vertex: round(x - left + MARGIN, 1) for vertex, x in center.items()}
    return Coordinates(shifted, top, heights, round(right - left + 2 * MARGIN), round(y - LAYER_GAP + MARGIN))


def _vertex_centers(diagram: Diagram, graph: LayeredGraph) -> dict[Vertex, float]:
    width = max(WIDTH, *(_layer_span(diagram, layer) for layer in graph.layers))
    above = {vertex: near for edges in graph.edges for vertex, near in neighbours(edges, True).items()}
    below = {vertex: near for edges in graph.edges for vertex, near in neighbours(edges, False).items()}
    center = {vertex: width / 2 for layer in graph.layers for vertex in layer}
    for sweep in range(_COORDINATE_SWEEPS):
        down = sweep % 2 == 0
        near = (above, below) if down else (below, above)
        for layer in graph.layers if down else reversed(graph.layers):
            preferred = [_preferred_center(vertex, near, center) for vertex in layer]
            center |= _place_layer(diagram, layer, preferred, width)
    return center


def _preferred_center(
    vertex: Vertex, near: tuple[Neighbours, Neighbours], center: Mapping[Vertex, float]
) -> float:
    """The mean center of the neighbours on one side; of both sides for a dummy vertex, for straight edges."""
    joined = near[0].get(vertex) or near[1].get(vertex) or [vertex]
    if not isinstance(vertex, int):
        joined = [*near[0][vertex], *near[1][vertex]]
    return sum(center[other] for other in joined) / len(joined)


def _place_layer(
    diagram: Diagram, layer: Sequence[Vertex], preferred: Sequence[float], width: float
) -> dict[Vertex, float]:
    widths = [_width(diagram, vertex) for vertex in layer]
    distances = [_min_distance(diagram, a, b) for a, b in pairwise(layer)]
    weights = [1.0 if isinstance(vertex, int) else _DUMMY_WEIGHT for vertex in layer]
    centers = separate(preferred, distances, widths[0] / 2, width - widths[-1] / 2, weights)
    return dict(zip(layer, centers, strict=True))


def separate(
    preferred: Sequence[float],
    distances: Sequence[float],
    low: float,
    high: float,
    weights: Sequence[float] = (),
) -> list[float]:
    """Positions in the given order with least distances, as near to the preferred ones as possible.

    Minimises the weighted sum of squared differences. Without the distances this is isotonic regression,
    which pools neighbours that are out of order and gives them their mean.

    Args:
        preferred: Preferred positions.
        distances: Least distance of each from the next.
        low: Least position of the first.
        high: Greatest position of the last, if there is room.
        weights: Weight of each; equal by default.
    """
    offsets = [0.0, *accumulate(distances)]
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, count
    for position, offset, weight in zip(preferred, offsets, weights or [1.0] * len(preferred), strict=True):
        total, pool_weight, count = (position - offset) * weight, weight, 1
        while pools and pools[-1][0] * pool_weight > total * pools[-1][1]:
            last_total, last_weight, last_count = pools.pop()
            total, pool_weight, count = total + last_total, pool_weight + last_weight, count + last_count
        pools.append((total, pool_weight, count))
    most = max(low, high - offsets[-1])
    flat = [min(max(total / weight, low), most) for total, weight, count in pools for _ in range(count)]
    return [position + offset for position, offset in zip(flat, offsets, strict=True)]


def _width(diagram: Diagram, vertex: Vertex) -> float:
    return diagram.boxes[vertex].width if isinstance(vertex, int) else _DUMMY_WIDTH


def _min_distance(diagram: Diagram, a: Vertex, b: Vertex) -> float:
    """The least distance between the centers of two neighbours."""
    gap = GAP if isinstance(a, int) and isinstance(b, int) else _DUMMY_GAP
    return (_width(diagram, a) + _width(diagram, b)) / 2 + gap


def _layer_span(diagram: Diagram, layer: Sequence[Vertex]) -> float:
    return (
        _width(diagram, layer[0]) / 2
        + _width(diagram, layer[-1]) / 2
        + sum(_min_distance(diagram, a, b) for a, b in pairwise(layer))
    )
