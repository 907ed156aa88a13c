"""A table, whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sheet:
    """A table.

    Args:
        title: What it shows, a few words.
        headings: One for each column.
        rows: Texts, one for each column.
        right: Columns that are set to the right.
        legend: How to read it; a sentence or two.
        spare: Columns that may be left out where there is no room for all, the first ones first.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...]
    legend: str = ""
    spare: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Letters in its widest line, with two spaces between columns."""
        columns = zip(self.headings, *self.rows, strict=True)
        return sum(max(map(len, column)) + 2 for column in columns) - 2

    def fitted(self, width: int) -> Sheet:
        """This sheet without those columns that can be spared and have no room."""
        if self.width <= width or not self.spare:
            return self
        kept = [column for column in range(len(self.headings)) if column != self.spare[0]]
        places = {column: place for place, column in enumerate(kept)}
        rows = tuple(tuple(row[column] for column in kept) for row in self.rows)
        right, spare = (
            tuple(places[column] for column in some if column in places) for some in (self.right, self.spare)
        )
        headings = tuple(self.headings[column] for column in kept)
        return replace(self, headings=headings, rows=rows, right=right, spare=spare).fitted(width)
