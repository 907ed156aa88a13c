"""A table, whoever shows it.

A sheet as plain text.

A sheet as Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TextTable:
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

    def fit(self, width: int) -> TextTable:
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
        return replace(self, headings=headings, rows=rows, right=right, spare=spare).fit(width)


def plain_text(sheet: TextTable) -> str:
    """The title, the table, and how to read it."""
    lines = [sheet.title, *plain_table([sheet.headings, *sheet.rows], sheet.right)]
    return "\n".join([*lines, sheet.legend] if sheet.legend else lines)


def plain_table(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """The lines of a table whose columns are two spaces apart."""
    table, right = [list(row) for row in rows], set(right)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_aligned(row, widths, right)).rstrip() for row in table]


def _aligned(row: Sequence[str], widths: Sequence[int], right: set[int]) -> list[str]:
    return [
        text.rjust(width) if column in right else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def markdown_section(sheet: TextTable) -> str:
    """A heading, how to read the table, and the table."""
    rule = ["--:" if column in sheet.right else "---" for column in range(len(sheet.headings))]
    rows = [_markdown_row(sheet.headings), "|" + "|".join(rule) + "|", *map(_markdown_row, sheet.rows)]
    legend = [sheet.legend, ""] if sheet.legend else []
    return "\n".join([f"### {sheet.title}", "", *legend, *rows])


def _markdown_row(texts: tuple[str, ...]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
