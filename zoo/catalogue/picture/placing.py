"""Where everything stands: each box as near the middle of what it is joined to as its row allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from zoo.catalogue.picture.diagram import Diagram
from zoo.catalogue.picture.ordering import Item, Ordered, neighbours
from zoo.catalogue.picture.rows import GAP, WIDTH

MARGIN, BETWEEN = 12.0, 40.0  # around the picture, and from row to row
_BEND, _NARROW = 2.0, 12.0  # the width of a bend, and the gap beside it
_STRAIGHT = 4.0  # how much more a bend minds its place than a box does
_SWEEPS = 24
Near = Mapping[Item, Sequence[Item]]


@dataclass(frozen=True)
class Placed:
    """Where everything stands.

    Args:
        middle: From the left, the middle of each box and bend.
        top: From the top, the upper edge of each row.
        depth: The height of each row.
        width: Of the picture.
        height: Of the picture.
    """

    middle: Mapping[Item, float]
    top: Sequence[float]
    depth: Sequence[float]
    width: float
    height: float


def placed(found: Diagram, order: Ordered) -> Placed:
    """A place for everything."""
    middle = _middles(found, order)
    left = min(middle[item] - _width(found, item) / 2 for item in middle)
    right = max(middle[item] + _width(found, item) / 2 for item in middle)
    depth = [max(found.boxes[n].height for n in row if isinstance(n, int)) for row in order.rows]
    top, y = [], MARGIN
    for height in depth:
        top.append(y)
        y += height + BETWEEN
    shifted = {item: round(x - left + MARGIN, 1) for item, x in middle.items()}
    return Placed(shifted, top, depth, round(right - left + 2 * MARGIN), round(y - BETWEEN + MARGIN))


def _middles(found: Diagram, order: Ordered) -> dict[Item, float]:
    room = max(WIDTH, *(_length(found, row) for row in order.rows))
    above = {item: items for links in order.links for item, items in neighbours(links, True).items()}
    below = {item: items for links in order.links for item, items in neighbours(links, False).items()}
    middle = {item: room / 2 for row in order.rows for item in row}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in order.rows if down else reversed(order.rows):
            wished = [_wish(item, (above, below) if down else (below, above), middle) for item in row]
            middle |= _set(found, row, wished, room)
    return middle


def _wish(item: Item, near: tuple[Near, Near], middle: Mapping[Item, float]) -> float:
    """Above or below the middle of what it is joined to on one side; a bend minds both, to be straight."""
    joined = near[0].get(item) or near[1].get(item) or [item]
    if not isinstance(item, int):
        joined = [*near[0][item], *near[1][item]]
    return sum(middle[other] for other in joined) / len(joined)


def _set(found: Diagram, row: Sequence[Item], wished: Sequence[float], room: float) -> dict[Item, float]:
    """The places of a row's items."""
    widths = [_width(found, item) for item in row]
    apart = [_apart(found, a, b) for a, b in pairwise(row)]
    weights = [1.0 if isinstance(item, int) else _STRAIGHT for item in row]
    places = spread(wished, apart, widths[0] / 2, room - widths[-1] / 2, weights)
    return dict(zip(row, places, strict=True))


def spread(
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


def _width(found: Diagram, item: Item) -> float:
    return found.boxes[item].width if isinstance(item, int) else _BEND


def _apart(found: Diagram, a: Item, b: Item) -> float:
    """The least distance of the middles of two neighbours; bends stand closer than boxes."""
    gap = GAP if isinstance(a, int) and isinstance(b, int) else _NARROW
    return (_width(found, a) + _width(found, b)) / 2 + gap


def _length(found: Diagram, row: Sequence[Item]) -> float:
    return (
        _width(found, row[0]) / 2
        + _width(found, row[-1]) / 2
        + sum(_apart(found, a, b) for a, b in pairwise(row))
    )
