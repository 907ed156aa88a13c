"""Sheets on a terminal, and in a pipe."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from zoo.cli.terminal import echo, faint, is_terminal, make_console, rich_text, strong
from zoo.sheets.plain import plain_table

if TYPE_CHECKING:
    from zoo.sheets import Sheet


def show_sheets(sheets: Iterable[Sheet], sentences: Collection[str] = ()) -> None:
    """Print tables under their titles.

    Args:
        sheets: The tables.
        sentences: Headings of columns that a terminal may break into lines.
    """
    for sheet in sheets:
        echo(f"\n{strong(sheet.title)}")
        if is_terminal():
            _show_fitted(sheet.fitted(make_console().width), sentences)
        else:
            echo("\n".join(plain_table([sheet.headings, *sheet.rows], sheet.right)))
        if sheet.legend:
            echo(faint(sheet.legend))


def _show_fitted(sheet: Sheet, sentences: Collection[str]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column, heading in enumerate(sheet.headings):
        justify: Any = "right" if column in sheet.right else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in sentences)
    for row in sheet.rows:
        table.add_row(*map(rich_text, row))
    make_console().print(table)
