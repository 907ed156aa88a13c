"""A sheet as Markdown."""

from __future__ import annotations

from zoo.sheets.sheet import Sheet


def section(sheet: Sheet) -> str:
    """A heading, how to read the table, and the table."""
    rule = ["--:" if column in sheet.right else "---" for column in range(len(sheet.headings))]
    rows = [_row(sheet.headings), "|" + "|".join(rule) + "|", *map(_row, sheet.rows)]
    legend = [sheet.legend, ""] if sheet.legend else []
    return "\n".join([f"### {sheet.title}", "", *legend, *rows])


def _row(texts: tuple[str, ...]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
