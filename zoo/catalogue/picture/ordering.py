"""The order of a row: each box near the middle of what it is joined to, so that few arrows cross.

An arrow that passes rows has a place in each of them, a bend; arrows from one box share their bends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from zoo.catalogue.picture.diagram import Diagram

_SWEEPS = 12
# A box by its number, or where arrows from that box pass a row: ("bend", box, row).
Item = int | tuple[str, int, int]
Links = list[tuple[Item, Item]]


@dataclass(frozen=True)
class Ordered:
    """Rows in order.

    Args:
        rows: The items of each row from left to right.
        links: Between each row and the next, what is joined.
    """

    rows: list[list[Item]]
    links: list[Links]


def ordered(found: Diagram, rows: Sequence[Sequence[int]]) -> Ordered:
    """Rows with the bends of long arrows put in, in an order with few crossings."""
    items, links = _with_bends(found, rows)
    best, fewest = items, _crossings(items, links)
    for sweep in range(_SWEEPS):
        items = _swept(items, links, down=sweep % 2 == 0)
        crossings = _crossings(items, links)
        if crossings < fewest:
            best, fewest = items, crossings
    return Ordered(best, links)


def _with_bends(found: Diagram, rows: Sequence[Sequence[int]]) -> tuple[list[list[Item]], list[Links]]:
    items: list[list[Item]] = [list(row) for row in rows]
    links: list[Links] = [[] for _ in rows[1:]]
    row_of = {number: row for row, numbers in enumerate(rows) for number in numbers}
    for number, readers in found.readers.items():
        chain: dict[int, Item] = {row_of[number]: number}
        for reader in sorted(readers, key=lambda reader: (row_of[reader], reader)):
            for row in range(max(chain) + 1, row_of[reader]):
                chain[row] = ("bend", number, row)
                items[row].append(chain[row])
                links[row - 1].append((chain[row - 1], chain[row]))
            links[row_of[reader] - 1].append((chain[row_of[reader] - 1], reader))
    return items, links


def _swept(items: list[list[Item]], links: list[Links], down: bool) -> list[list[Item]]:
    """Every row but one sorted by the mean place of what it is joined to in the row before it."""
    new = [list(row) for row in items]
    steps = range(1, len(items)) if down else range(len(items) - 2, -1, -1)
    for row in steps:
        before, between = (row - 1, links[row - 1]) if down else (row + 1, links[row])
        place = _places(new[before])
        near = neighbours(between, down)
        own = _places(new[row])
        keys = {item: _mean([place[other] for other in near.get(item, ())], own[item]) for item in new[row]}
        new[row].sort(key=keys.__getitem__)
    return new


def neighbours(links: Links, down: bool) -> dict[Item, list[Item]]:
    """What every item of the lower row is joined to in the upper one (``down``), or the other way round."""
    found: dict[Item, list[Item]] = {}
    for upper, lower in links:
        item, other = (lower, upper) if down else (upper, lower)
        found.setdefault(item, []).append(other)
    return found


def _places(row: Sequence[Item]) -> dict[Item, float]:
    """Places between zero and one, so that rows of different lengths compare."""
    return {item: (place + 0.5) / len(row) for place, item in enumerate(row)}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(items: list[list[Item]], links: list[Links]) -> int:
    total = 0
    for (upper, lower), between in zip(pairwise(items), links, strict=True):
        above, below = _index(upper), _index(lower)
        pairs = [(above[a], below[b]) for a, b in between]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    return total


def _index(row: Sequence[Item]) -> Mapping[Item, int]:
    return {item: place for place, item in enumerate(row)}
