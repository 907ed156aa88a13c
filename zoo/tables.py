"""Tables of text and of values, with writers for terminals, documents, papers and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Args:
        title: A few words; empty for none.
        headings: One for each column.
        rows: Texts, one for each column.
        right: Columns that are aligned right.
        legend: A sentence or two that explain the columns; empty for none.
        spare: Columns that `fit` may drop, the first ones first.
        marks: The meaning of marks in entries, such as `†`; empty for none.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    legend: str = ""
    spare: tuple[int, ...] = ()
    marks: str = ""

    @property
    def width(self) -> int:
        """Width of the plain text in characters."""
        columns = zip(self.headings, *self.rows, strict=True)
        return sum(max(map(len, column)) + 2 for column in columns) - 2

    def fit(self, width: int) -> TextTable:
        """Drop spare columns until the table fits into ``width`` characters, or none is left."""
        if self.width <= width or not self.spare:
            return self
        return self.select(column for column in range(len(self.headings)) if column != self.spare[0]).fit(
            width
        )

    def select(self, columns: Iterable[int]) -> TextTable:
        """The table with some of its columns, in their order."""
        columns = list(columns)
        right, spare = (
            tuple(columns.index(column) for column in some if column in columns)
            for some in (self.right, self.spare)
        )
        headings, *rows = (
            tuple(texts[column] for column in columns) for texts in (self.headings, *self.rows)
        )
        return replace(self, headings=headings, rows=tuple(rows), right=right, spare=spare)

    def blocks(self, width: int) -> list[TextTable]:
        """Tables with the first column and some of the others, of which each fits into ``width`` characters.

        They are as few as possible. Their numbers of columns differ by one at most. A table with two columns
        may be wider. Each omits rows without values. The title is above the first table, legend and marks
        are below the last one.
        """
        others = range(1, len(self.headings))
        if self.width <= width or len(others) < 2:
            return [self]
        tables = list[TextTable]()
        for count in range(2, len(others) + 1):
            ends = [-(-len(others) * number // count) for number in range(count + 1)]
            tables = [self.select([0, *others[first:end]]) for first, end in pairwise(ends)]
            if all(table.width <= width for table in tables):
                break
        last = len(tables) - 1
        return [
            replace(
                table,
                rows=tuple(row for row in table.rows if any(row[1:])),
                title=self.title if number == 0 else "",
                legend=self.legend if number == last else "",
                marks=self.marks if number == last else "",
            )
            for number, table in enumerate(tables)
        ]

    def lines(self) -> list[str]:
        """Headings and rows as lines of plain text."""
        return align([self.headings, *self.rows], self.right)

    def plain_text(self) -> str:
        """Title, table and legend as plain text."""
        return "\n".join(filter(None, [self.title, *self.lines(), self.legend, self.marks]))

    def markdown(self) -> list[str]:
        """Headings and rows as lines of Markdown; their texts are Markdown."""
        rule = ["--:" if column in self.right else "---" for column in range(len(self.headings))]
        headings, *rows = (
            f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"
            for texts in (self.headings, *self.rows)
        )
        return [headings, f"|{'|'.join(rule)}|", *rows]

    def markdown_section(self) -> str:
        """Title as a heading, legend, table and marks in Markdown."""
        legend = [self.legend, ""] if self.legend else []
        marks = ["", self.marks] if self.marks else []
        return "\n".join([f"### {self.title}", "", *legend, *self.markdown(), *marks])

    def html(self) -> str:
        """The table as HTML, with title, legend and marks as its caption."""
        from html import escape

        def row(tag: str, texts: Sequence[str]) -> str:
            sides = ("right" if column in self.right else "left" for column in range(len(texts)))
            entries = (
                f'<{tag} style="text-align: {side}">{escape(text)}</{tag}>'
                for side, text in zip(sides, texts, strict=True)
            )
            return f"<tr>{''.join(entries)}</tr>"

        caption = escape(" ".join(filter(None, [self.title and f"{self.title}.", self.legend, self.marks])))
        body = "".join(row("td", texts) for texts in self.rows)
        return (
            f"<table>{f'<caption>{caption}</caption>' if caption else ''}"
            f"<thead>{row('th', self.headings)}</thead><tbody>{body}</tbody></table>"
        )

    _repr_html_ = html  # for notebooks

    def csv(self) -> str:
        """Headings and rows as CSV."""
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.headings, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """The table in LaTeX with the package booktabs, title and legend as comments, and marks below it.

        Underscores of headings become spaces.
        """
        headings, *rows = (
            f"{' & '.join(map(escape_latex, texts))} \\\\"
            for texts in (tuple(text.replace("_", " ") for text in self.headings), *self.rows)
        )
        columns = "".join("r" if column in self.right else "l" for column in range(len(self.headings)))
        return "\n".join(
            [
                *(f"% {' '.join(text.split())}" for text in (self.title, self.legend) if text),
                f"\\begin{{tabular}}{{{columns}}}",
                *("\\toprule", headings, "\\midrule", *rows, "\\bottomrule"),
                "\\end{tabular}",
                *(f"\\par{{\\footnotesize {escape_latex(self.marks)}\\par}}" for _ in self.marks[:1]),
            ]
        )


# Letters with a meaning in LaTeX, and the ones that a font may lack.
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "\\": "\\textbackslash{}",
    "±": "$\\pm$",
    "×": "$\\times$",
    "–": "--",
    "†": "$\\dagger$",
}


def escape_latex(text: str) -> str:
    """Escape the letters that have a meaning in LaTeX, or that a font may lack."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


Number = float | int | None


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        label: Its heading.
        style: ``text``, or the format of numbers: ``number``, ``integer``, ``share`` or ``seconds``.
        help: A sentence about it.
        heat: Whether its entries have a shade as background.
        spare: Order in which a narrow terminal leaves columns out; 0 for never.
    """

    label: str
    style: str = "text"
    help: str = ""
    heat: bool = False
    spare: int = 0


@dataclass(frozen=True)
class TableEntry:
    """One entry of a table: a row has one for each column.

    Args:
        value: The value to sort by, and to show without ``text``; None for an empty entry.
        text: The text to show.
        shade: From 0, the worst, to 1, the best; None for no background.
        hatched: Whether a page and a figure draw thin diagonal lines behind the text.
    """

    value: str | Number
    text: str = ""
    shade: float | None = None
    hatched: bool = False


@dataclass(frozen=True)
class Table:
    """A sortable table; the first column names the row.

    Args:
        name: Anchor on the page, and name of the figure of a table with shades.
        title: The title.
        columns: The columns.
        rows: One entry for each column.
        note: A sentence below it.
        wide: Whether it takes the full width of the page.
        hatch: The meaning of hatched entries, for the legend of a page or a figure.
        marks: The meaning of marks in entries, such as `†`.
    """

    kind: ClassVar[str] = "table"
    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableEntry, ...], ...]
    note: str = ""
    wide: bool = True
    hatch: str = ""
    marks: str = ""

    def as_text(self) -> TextTable:
        """The table as text, with numbers aligned right."""
        spare = sorted((column.spare, index) for index, column in enumerate(self.columns) if column.spare)
        return TextTable(
            self.title,
            tuple(column.label for column in self.columns),
            tuple(tuple(entry.text or str(entry.value) for entry in row) for row in self.rows),
            tuple(index for index, column in enumerate(self.columns) if column.style != "text"),
            self.note,
            tuple(index for _, index in spare),
            self.marks,
        )


def align(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Lines of texts in columns two spaces apart; those in ``right`` are aligned right."""
    table, right = [list(row) for row in rows], set(right)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
