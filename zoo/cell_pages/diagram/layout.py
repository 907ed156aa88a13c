"""A row for every box: below all that it reads, and no row wider than a page.

The order of a row: each box near the middle of what it is joined to, so that few arrows cross.

An arrow that passes rows has a place in each of them, a bend; arrows from one box share their bends.

Where everything stands: each box as near the middle of what it is joined to as its row allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

from zoo.cell_pages.diagram.boxes import Diagram

WIDTH = 860.0  # pixels; a single box may be wider

GAP = 26.0  # between boxes of a row


def assign_layers(found: Diagram) -> list[list[int]]:
    """The numbers of the boxes in every row, from top to bottom.

    Counted from below, a box stands one row above the highest of those that read it; where a row is full, in
    the next one above it. What a step is given stands above all that is computed, and weights, which come
    last, near their use.
    """
    rows: list[list[int]] = []
    height: dict[int, int] = {}
    numbers = range(len(found.boxes) - 1, -1, -1)
    computed = [n for n in numbers if found.boxes[n].kind in ("value", "output")]
    given = [n for n in reversed(numbers) if found.boxes[n].kind in ("x", "state", "input")]
    for number in [*computed, *given, *(n for n in numbers if found.boxes[n].kind == "weights")]:
        lowest = max((height[reader] + 1 for reader in found.readers[number]), default=0)
        if number in given:
            lowest = max(lowest, 1 + max(height[n] for n in computed))
        height[number] = _add_to_layer(number, rows, lowest, found)
    return [sorted(row) for row in reversed(rows)]


def _add_to_layer(number: int, rows: list[list[int]], lowest: int, found: Diagram) -> int:
    """Add a box to the first row from the lowest on that has room; the row."""
    row = lowest
    while row < len(rows) and _layer_width([*rows[row], number], found) > WIDTH:
        row += 1
    while len(rows) <= row:
        rows.append([])
    rows[row].append(number)
    return row


def _layer_width(row: list[int], found: Diagram) -> float:
    return sum(found.boxes[number].width + GAP for number in row) - GAP


_ORDER_SWEEPS = 12

# A box by its number, or where arrows from that box pass a row: ("bend", box, row).
Vertex = int | tuple[str, int, int]

LayerEdges = list[tuple[Vertex, Vertex]]


@dataclass(frozen=True)
class LayeredGraph:
    """Rows in order.

    Args:
        rows: The items of each row from left to right.
        links: Between each row and the next, what is joined.
    """

    rows: list[list[Vertex]]
    links: list[LayerEdges]


def reduce_crossings(found: Diagram, rows: Sequence[Sequence[int]]) -> LayeredGraph:
    """Rows with the bends of long arrows put in, in an order with few crossings."""
    items, links = _with_dummy_vertices(found, rows)
    best, fewest = items, _count_crossings(items, links)
    for sweep in range(_ORDER_SWEEPS):
        items = _barycenter_sweep(items, links, down=sweep % 2 == 0)
        crossings = _count_crossings(items, links)
        if crossings < fewest:
            best, fewest = items, crossings
    return LayeredGraph(best, links)


def _with_dummy_vertices(
    found: Diagram, rows: Sequence[Sequence[int]]
) -> tuple[list[list[Vertex]], list[LayerEdges]]:
    items: list[list[Vertex]] = [list(row) for row in rows]
    links: list[LayerEdges] = [[] for _ in rows[1:]]
    row_of = {number: row for row, numbers in enumerate(rows) for number in numbers}
    for number, readers in found.readers.items():
        chain: dict[int, Vertex] = {row_of[number]: number}
        for reader in sorted(readers, key=lambda reader: (row_of[reader], reader)):
            for row in range(max(chain) + 1, row_of[reader]):
                chain[row] = ("bend", number, row)
                items[row].append(chain[row])
                links[row - 1].append((chain[row - 1], chain[row]))
            links[row_of[reader] - 1].append((chain[row_of[reader] - 1], reader))
    return items, links


def _barycenter_sweep(items: list[list[Vertex]], links: list[LayerEdges], down: bool) -> list[list[Vertex]]:
    """Every row but one sorted by the mean place of what it is joined to in the row before it."""
    new = [list(row) for row in items]
    steps = range(1, len(items)) if down else range(len(items) - 2, -1, -1)
    for row in steps:
        before, between = (row - 1, links[row - 1]) if down else (row + 1, links[row])
        place = _relative_positions(new[before])
        near = neighbours(between, down)
        own = _relative_positions(new[row])
        keys = {item: _mean([place[other] for other in near.get(item, ())], own[item]) for item in new[row]}
        new[row].sort(key=keys.__getitem__)
    return new


def neighbours(links: LayerEdges, down: bool) -> dict[Vertex, list[Vertex]]:
    """What every item of the lower row is joined to in the upper one (``down``), or the other way round."""
    found: dict[Vertex, list[Vertex]] = {}
    for upper, lower in links:
        item, other = (lower, upper) if down else (upper, lower)
        found.setdefault(item, []).append(other)
    return found


def _relative_positions(row: Sequence[Vertex]) -> dict[Vertex, float]:
    """Places between zero and one, so that rows of different lengths compare."""
    return {item: (place + 0.5) / len(row) for place, item in enumerate(row)}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _count_crossings(items: list[list[Vertex]], links: list[LayerEdges]) -> int:
    total = 0
    for (upper, lower), between in zip(pairwise(items), links, strict=True):
        above, below = _index(upper), _index(lower)
        pairs = [(above[a], below[b]) for a, b in between]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    return total


def _index(row: Sequence[Vertex]) -> Mapping[Vertex, int]:
    return {item: place for place, item in enumerate(row)}


MARGIN, LAYER_GAP = 12.0, 40.0  # around the picture, and from row to row

_DUMMY_WIDTH, _DUMMY_GAP = 2.0, 12.0  # the width of a bend, and the gap beside it

_DUMMY_WEIGHT = 4.0  # how much more a bend minds its place than a box does

_COORDINATE_SWEEPS = 24

Neighbours = Mapping[Vertex, Sequence[Vertex]]


@dataclass(frozen=True)
class Coordinates:
    """Where everything stands.

    Args:
        middle: From the left, the middle of each box and bend.
        top: From the top, the upper edge of each row.
        depth: The height of each row.
        width: Of the picture.
        height: Of the picture.
    """

    middle: Mapping[Vertex, float]
    top: Sequence[float]
    depth: Sequence[float]
    width: float
    height: float


def assign_coordinates(found: Diagram, order: LayeredGraph) -> Coordinates:
    """A place for everything."""
    middle = _vertex_centers(found, order)
    left = min(middle[item] - _width(found, item) / 2 for item in middle)
    right = max(middle[item] + _width(found, item) / 2 for item in middle)
    depth = [max(found.boxes[n].height for n in row if isinstance(n, int)) for row in order.rows]
    top, y = [], MARGIN
    for height in depth:
        top.append(y)
        y += height + LAYER_GAP
    shifted = {item: round(x - left + MARGIN, 1) for item, x in middle.items()}
    return Coordinates(shifted, top, depth, round(right - left + 2 * MARGIN), round(y - LAYER_GAP + MARGIN))


def _vertex_centers(found: Diagram, order: LayeredGraph) -> dict[Vertex, float]:
    room = max(WIDTH, *(_layer_span(found, row) for row in order.rows))
    above = {item: items for links in order.links for item, items in neighbours(links, True).items()}
    below = {item: items for links in order.links for item, items in neighbours(links, False).items()}
    middle = {item: room / 2 for row in order.rows for item in row}
    for sweep in range(_COORDINATE_SWEEPS):
        down = sweep % 2 == 0
        for row in order.rows if down else reversed(order.rows):
            wished = [
                _preferred_center(item, (above, below) if down else (below, above), middle) for item in row
            ]
            middle |= _place_layer(found, row, wished, room)
    return middle


def _preferred_center(
    item: Vertex, near: tuple[Neighbours, Neighbours], middle: Mapping[Vertex, float]
) -> float:
    """Above or below the middle of what it is joined to on one side; a bend minds both, to be straight."""
    joined = near[0].get(item) or near[1].get(item) or [item]
    if not isinstance(item, int):
        joined = [*near[0][item], *near[1][item]]
    return sum(middle[other] for other in joined) / len(joined)


def _place_layer(
    found: Diagram, row: Sequence[Vertex], wished: Sequence[float], room: float
) -> dict[Vertex, float]:
    """The places of a row's items."""
    widths = [_width(found, item) for item in row]
    apart = [_min_distance(found, a, b) for a, b in pairwise(row)]
    weights = [1.0 if isinstance(item, int) else _DUMMY_WEIGHT for item in row]
    places = separate(wished, apart, widths[0] / 2, room - widths[-1] / 2, weights)
    return dict(zip(row, places, strict=True))


def separate(
    wished: Sequence[float], apart: Sequence[float], low: float, high: float, weights: Sequence[float] = ()
) -> list[float]:
    """Places in the order given, at least so far apart, as near to those wished for as can be.

    The sum of the squared distances is least: without the gaps this is isotonic regression, in which
    neighbours that are out of order are pooled and share their mean.

    Args:
        wished: Where each would be.
        apart: The least distance of each from the next.
        low: Where the first may be at least.
        high: Where the last may be at most, if there is room.
        weights: How much each counts; all the same if none are given.
    """
    offsets = [0.0, *accumulate(apart)]
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, members
    for wish, offset, weight in zip(wished, offsets, weights or [1.0] * len(wished), strict=True):
        total, heavy, count = (wish - offset) * weight, weight, 1
        while pools and pools[-1][0] * heavy > total * pools[-1][1]:
            before, more, members = pools.pop()
            total, heavy, count = total + before, heavy + more, count + members
        pools.append((total, heavy, count))
    most = max(low, high - offsets[-1])
    flat = [min(max(total / heavy, low), most) for total, heavy, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(flat, offsets, strict=True)]


def _width(found: Diagram, item: Vertex) -> float:
    return found.boxes[item].width if isinstance(item, int) else _DUMMY_WIDTH


def _min_distance(found: Diagram, a: Vertex, b: Vertex) -> float:
    """The least distance of the middles of two neighbours; bends stand closer than boxes."""
    gap = GAP if isinstance(a, int) and isinstance(b, int) else _DUMMY_GAP
    return (_width(found, a) + _width(found, b)) / 2 + gap


def _layer_span(found: Diagram, row: Sequence[Vertex]) -> float:
    return (
        _width(found, row[0]) / 2
        + _width(found, row[-1]) / 2
        + sum(_min_distance(found, a, b) for a, b in pairwise(row))
    )
