"""A table with shades as a heat map."""

from __future__ import annotations

from typing import Any

from zoo.report import palette
from zoo.report.blocks import Table
from zoo.report.figures.charts import new_figure, plain_text


def draw(table: Table) -> Any:
    """A square for each entry of the shaded columns, with its text."""
    columns = [place for place, column in enumerate(table.columns) if column.heat]
    height, width = len(table.rows), len(columns)
    figure, axes = new_figure(1.8 + 1.2 * width, 0.7 + 0.28 * height)
    for line, row in enumerate(table.rows):
        for place, column in enumerate(columns):
            entry = row[column]
            axes.add_patch(_square(place, line, entry.shade))
            text = entry.text or ("–" if entry.value is None else f"{entry.value:.4g}")
            axes.text(place + 0.5, line + 0.5, text, ha="center", va="center", fontsize=8)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_xticks(
        [place + 0.5 for place in range(width)],
        [plain_text(table.columns[column].label) for column in columns],
    )
    axes.set_yticks(
        [line + 0.5 for line in range(height)], [plain_text(str(row[0].value)) for row in table.rows]
    )
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure


def _square(x: float, y: float, shade: float | None) -> Any:
    import matplotlib.patches as patches

    colour = "none" if shade is None else palette.SHADES["good"][0]
    return patches.Rectangle(
        (x, y), 1, 1, facecolor=colour, alpha=None if shade is None else 0.08 + 0.92 * shade
    )
