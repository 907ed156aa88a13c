"""A sheet as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zoo.sheets.sheet import Sheet


def plain(sheet: Sheet) -> str:
    """The title, the table, and how to read it."""
    lines = [sheet.title, *plain_table([sheet.headings, *sheet.rows], sheet.right)]
    return "\n".join([*lines, sheet.legend] if sheet.legend else lines)


def plain_table(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """The lines of a table whose columns are two spaces apart."""
    table, right = [list(row) for row in rows], set(right)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_set(row, widths, right)).rstrip() for row in table]


def _set(row: Sequence[str], widths: Sequence[int], right: set[int]) -> list[str]:
    return [
        text.rjust(width) if column in right else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
