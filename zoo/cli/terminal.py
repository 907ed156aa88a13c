"""Output to a terminal or a pipe: text, styles and tables.

Text of files and plugins is printed with control characters as escape sequences.
"""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from zoo.tables import TextTable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH = 100  # of text, unless a terminal has another width
Facts = Mapping[str, Any]

_NARROWEST = 40  # width of a column that wraps

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


def make_console(stream: TextIO | None = None) -> Console:
    """A rich console on a stream, stdout by default; it honours ``NO_COLOR``."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False)


def echo(text: str = "", nl: bool = True, err: bool = False) -> None:
    """Print a text with control characters escaped, since it may come from a file or a plugin.

    On a terminal the styles of `styled` stay.

    Args:
        text: The text.
        nl: Whether a newline follows.
        err: Print progress on stderr instead of results on stdout.
    """
    if is_terminal(sys.stderr if err else sys.stdout):
        styles = [*_STYLES.findall(text), ""]
        text = "".join(
            escape_controls(part) + style for part, style in zip(_STYLES.split(text), styles, strict=True)
        )
    else:
        text = escape_controls(text)
    click.echo(text, nl=nl, err=err)


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


def show_table(table: TextTable, wrap: Collection[str] = ()) -> None:
    """Print a table with title and legend: as plain text into a pipe, fitted and styled on a terminal.

    Args:
        table: The table.
        wrap: Headings of columns that may wrap on a terminal. The last column also wraps in a pipe.
    """
    if table.title:
        echo(f"\n{bold(table.title)}")
    if is_terminal():
        console = make_console()
        console.print(_rich_table(table.fit(console.width), wrap))
    else:
        echo("\n".join(_wrapped_lines(table) if table.headings[-1] in wrap else table.lines()))
    for text in filter(None, (table.legend, table.marks)):
        echo(dim(text))


def print_facts(facts: Facts | Sequence[Facts], form: str) -> None:
    """Print an object or a list of objects as ``"json"``, or as ``"csv"`` with a row for each object.

    In CSV, a nested object becomes columns ``name.part``, except options and states, whose names differ from
    row to row: they are one text, ``delay=10, count=3``. A list is one text with commas.
    """
    if form == "json":
        echo(json.dumps(facts, indent=None if isinstance(facts, Mapping) else 2))
        return
    rows = [dict(_flatten(row)) for row in ([facts] if isinstance(facts, Mapping) else facts)]
    headings = tuple(dict.fromkeys(heading for row in rows for heading in row))
    texts = tuple(tuple(row.get(heading, "") for heading in headings) for row in rows)
    echo(TextTable("", headings, texts).csv().rstrip("\n"))


_OPEN_MAPPINGS = ("options", "states")


def _flatten(facts: Facts, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping) and name in _OPEN_MAPPINGS:
            texts = dict(_flatten(value)).items()
            yield f"{prefix}{name}", ", ".join(f"{each}={text}" for each, text in texts)
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", "" if value is None else str(value)


def indent(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    """Indent lines by two spaces for each level of ``depth``."""
    return (f"{'  ' * depth}{line}".rstrip() for line in lines)


def _wrapped_lines(table: TextTable) -> Iterator[str]:
    """The lines of a table whose last column is wrapped to 40 characters, or more if 100 are not used up."""
    first_columns = table.select(range(len(table.headings) - 1))
    texts = [table.headings[-1], *(row[-1] for row in table.rows)]
    for line, text in zip(first_columns.lines(), texts, strict=True):
        start = first_columns.width + 2
        parts = textwrap.wrap(text, max(_NARROWEST, WIDTH - start), break_long_words=False) or [""]
        yield f"{line:<{start}}{parts[0]}".rstrip()
        yield from (f"{'':{start}}{part}" for part in parts[1:])


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
