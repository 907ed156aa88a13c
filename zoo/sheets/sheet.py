"""A table, whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sheet:
    """A table.

    Args:
        title: What it shows, a few words.
        headings: One for each column.
        rows: Texts, one for each column.
        right: Columns that are set to the right.
        legend: How to read it; a sentence or two.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...]
    legend: str = ""
