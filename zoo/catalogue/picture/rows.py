"""A row for every box: below all that it reads, and no row wider than a page."""

from __future__ import annotations

from zoo.catalogue.picture.diagram import Diagram

WIDTH = 860.0  # pixels; a single box may be wider
GAP = 26.0  # between boxes of a row


def rows_of(found: Diagram) -> list[list[int]]:
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
        height[number] = _put(number, rows, lowest, found)
    return [sorted(row) for row in reversed(rows)]


def _put(number: int, rows: list[list[int]], lowest: int, found: Diagram) -> int:
    """Add a box to the first row from the lowest on that has room; the row."""
    row = lowest
    while row < len(rows) and _length([*rows[row], number], found) > WIDTH:
        row += 1
    while len(rows) <= row:
        rows.append([])
    rows[row].append(number)
    return row


def _length(row: list[int], found: Diagram) -> float:
    return sum(found.boxes[number].width + GAP for number in row) - GAP
