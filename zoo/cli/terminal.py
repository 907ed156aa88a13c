"""Output to a terminal or a pipe: text, styles and tables.

Text of files and plugins is printed with control characters as escape sequences.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from zoo.tables import TextTable

WIDTH = 100  # of text, unless a terminal has another width

_STYLES = re.compile(r"\x1b\[(?:[0-2]|3[1-7])m")  # escape sequences of `styled`

# Characters that control a terminal: C0, C1, and bidirectional marks, which change the order in which a line
# is displayed. A model trained on such bytes prints them.
_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _CONTROLS if chr(code) not in "\n\t"}

MAX_MESSAGE_CHARACTERS = 2000
"""Largest message in characters: an error may quote a whole file."""


def escape_controls(text: str) -> str:
    """Replace control characters by escape sequences of Python, except newlines and tabs."""
    return text.translate(_ESCAPES)


def shorten_middle(text: str, longest: int = MAX_MESSAGE_CHARACTERS) -> str:
    """Shorten a text of more than ``longest`` characters to its start, its length and its end."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} ... ({len(text):,} characters) ... {text[-(longest // 4) :]}"


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream, stdout by default, is a terminal that can move its cursor."""
    return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"


def make_console() -> Console:
    """A rich console on stdout; it honours ``NO_COLOR``."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def echo(text: str = "", nl: bool = True) -> None:
    """Print a text on standard output with control characters escaped: it may come from a file or a plugin.

    On a terminal the styles of `styled` stay.
    """
    if is_terminal():
        styles = [*_STYLES.findall(text), ""]
        text = "".join(
            escape_controls(part) + style for part, style in zip(_STYLES.split(text), styles, strict=True)
        )
    else:
        text = escape_controls(text)
    click.echo(text, nl=nl)


def rich_text(text: str, style: str = "", **layout: Any) -> Text:
    """A rich text with control characters escaped, which rich does not do."""
    from rich.text import Text

    return Text(escape_controls(text), style, **layout)


def bold(text: str) -> str:
    """The text in bold on a terminal."""
    return styled(text, bold=True)


def dim(text: str) -> str:
    """The text dimmed on a terminal."""
    return styled(text, dim=True)


def styled(text: str, **style: Any) -> str:
    """The text in a style of ``click.style`` on a terminal; without its colour under ``NO_COLOR``."""
    if os.environ.get("NO_COLOR"):
        style.pop("fg", None)
    return click.style(text, **style) if style and is_terminal() else text


def show_table(table: TextTable, cut: bool = False, wrap: Collection[str] = ()) -> None:
    """Print a table with title and legend: at its full width into a pipe, fitted and styled on a terminal.

    Args:
        table: The table.
        cut: Whether lines are cut to a width of 100 in a pipe too.
        wrap: Headings of columns that may wrap on a terminal.
    """
    if table.title:
        echo(f"\n{bold(table.title)}")
    if is_terminal():
        console = make_console()
        console.print(_rich_table(table.fit(console.width), wrap))
    else:
        echo("\n".join(map(truncate, table.lines()) if cut else table.lines()))
    if table.legend:
        echo(dim(table.legend))


def indent(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    """Indent lines by two spaces for each level of ``depth``."""
    return (f"{'  ' * depth}{line}".rstrip() for line in lines)


def truncate(line: str, width: int = WIDTH) -> str:
    """Cut a line to ``width`` characters, with an ellipsis as the last."""
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def _rich_table(table: TextTable, wrap: Collection[str]) -> Table:
    from rich.table import Table

    rich_table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column, heading in enumerate(table.headings):
        rich_table.add_column(
            heading,
            justify="right" if column in table.right else "left",
            style="" if table.title or column else "bold",
            no_wrap=heading not in wrap,
            overflow="ellipsis",
        )
    for row in table.rows:
        rich_table.add_row(*map(rich_text, row))
    return rich_table
