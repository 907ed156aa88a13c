"""What stands between a text and the person who reads it: a terminal, or not.

Sheets on a terminal, and in a pipe.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from zoo.cli.terminal_text import escape_controls
from zoo.tables.text_table import plain_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from zoo.tables import TextTable

WIDTH = 100  # of what is written for reading where nobody says how wide it may be

_STYLES = re.compile(r"\x1b\[(?:[0-2]|3[1-7])m")  # what `styled` writes


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream, stdout by default, is a terminal that can move its cursor."""
    return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"


def make_console() -> Console:
    """A rich console on stdout; it honours ``NO_COLOR``."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def echo(text: str = "", nl: bool = True) -> None:
    """Print a text on standard output, as every command does: it may come from a file or a plugin.

    On a terminal the looks of ``styled`` stay; every other control becomes visible.
    """
    if is_terminal():
        looks = [*_STYLES.findall(text), ""]
        text = "".join(
            escape_controls(part) + look for part, look in zip(_STYLES.split(text), looks, strict=True)
        )
    else:
        text = escape_controls(text)
    click.echo(text, nl=nl)


def rich_text(text: str, style: str = "", **layout: Any) -> Text:
    """A text for rich, which passes controls on to the terminal."""
    from rich.text import Text

    return Text(escape_controls(text), style, **layout)


def bold(text: str) -> str:
    """The text in bold on a terminal."""
    return styled(text, bold=True)


def dim(text: str) -> str:
    """The text dimmed on a terminal."""
    return styled(text, dim=True)


def styled(text: str, **look: Any) -> str:
    """The text in a look (see ``click.style``) on a terminal; without its colour under ``NO_COLOR``."""
    if os.environ.get("NO_COLOR"):
        look.pop("fg", None)
    return click.style(text, **look) if look and is_terminal() else text


def show_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = (), fit: bool = False
) -> None:
    """Print a table: as wide as it must be into a pipe, fitted and coloured on a terminal.

    Args:
        headings: One for each column.
        rows: Texts, one for each column.
        right: Columns that are set to the right.
        fit: Whether the last column is cut to a width of 100 in a pipe too.
    """
    if is_terminal():
        _show_fitted(headings, rows, set(right))
    else:
        lines = plain_table([headings, *rows], right)
        echo("\n".join(truncate(line) for line in lines) if fit else "\n".join(lines))


def truncate(line: str, width: int = WIDTH) -> str:
    """A line of at most so many characters, the last of them an ellipsis where it was cut."""
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def _show_fitted(headings: Sequence[str], rows: Iterable[Sequence[str]], right: set[int]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if column in right else "left",
            style="bold" if column == 0 else "",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*map(rich_text, row))
    make_console().print(table)


def show_tables(sheets: Iterable[TextTable], sentences: Collection[str] = ()) -> None:
    """Print tables under their titles.

    Args:
        sheets: The tables.
        sentences: Headings of columns that a terminal may break into lines.
    """
    for sheet in sheets:
        echo(f"\n{bold(sheet.title)}")
        if is_terminal():
            _show_fitted_table(sheet.fit(make_console().width), sentences)
        else:
            echo("\n".join(plain_table([sheet.headings, *sheet.rows], sheet.right)))
        if sheet.legend:
            echo(dim(sheet.legend))


def _show_fitted_table(sheet: TextTable, sentences: Collection[str]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column, heading in enumerate(sheet.headings):
        justify: Any = "right" if column in sheet.right else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in sentences)
    for row in sheet.rows:
        table.add_row(*map(rich_text, row))
    make_console().print(table)
