"""Tables, some of whose columns are heat maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zoo.report.blocks.charts import Number


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        label: Its heading.
        style: ``text``, or as for :class:`Axis`.
        help: What it is, in a sentence.
        heat: Whether its entries have a shade as background.
    """

    label: str
    style: str = "text"
    help: str = ""
    heat: bool = False


@dataclass(frozen=True)
class Entry:
    """One place of a table.

    Args:
        value: What it is sorted by, and shown as unless there is a text; None for nothing.
        text: What is shown.
        shade: From 0, the worst, to 1, the best; None for no background.
    """

    value: str | Number
    text: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows that the reader can sort; the first column names the row.

    Args:
        name: Its place on the page, and the name of its file where it has shades.
        title: Above it.
        columns: The columns.
        rows: An entry for each column.
        note: A sentence below it.
        wide: Whether it takes the whole width of the page.
    """

    kind: ClassVar[str] = "table"
    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]
    note: str = ""
    wide: bool = True
