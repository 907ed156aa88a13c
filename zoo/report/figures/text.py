"""Hidden units as colour over text: a figure for each of the features that some unit follows most closely."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.report import palette
from zoo.report.blocks import StateUnits, Units
from zoo.report.figures.charts import new_figure

_FIGURES = 6
_LINES = 16  # of text in a figure
_WIDTH = 84  # characters of a line
_CLOSE = 0.5  # a correlation from which a unit is said to follow something

Array = np.ndarray[Any, Any]


def draw(units: Units) -> Iterator[tuple[str, Any]]:
    """Names and figures, the unit with the closest correlation first."""
    for feature, state, row in _best(units)[:_FIGURES]:
        name = f"unit-{state.name}-{state.numbers[row]}"
        r = f"{state.correlations[row]:.2f}".replace("-", "−")
        title = f"{state.label}, unit {state.numbers[row]}: {feature}, r = {r}"
        yield name, _figure(units.symbols, _shares(state, row, len(units.symbols)), title)


def _best(units: Units) -> list[tuple[str, StateUnits, int]]:
    """For each feature the unit that follows it most closely; if none does, the unit that varies most."""
    rows = [(state, row) for state in units.states for row in range(len(state.numbers))]
    rows.sort(key=lambda found: -abs(found[0].correlations[found[1]]))
    best: dict[str, tuple[StateUnits, int]] = {}
    for state, row in rows:
        if state.features[row] >= 0 and (abs(state.correlations[row]) >= _CLOSE or not best):
            best.setdefault(units.features[state.features[row]], (state, row))
    return [(feature, *found) for feature, found in best.items()]


def _shares(state: StateUnits, row: int, length: int) -> Array:
    levels = np.frombuffer(base64.b64decode(state.levels), np.int8)
    found: Array = levels.reshape(-1, length)[row] / 127
    return found


def _figure(symbols: tuple[str, ...], shares: Array, title: str) -> Any:
    import matplotlib.patches as patches

    placed = list(_placed(symbols))
    lines = 1 + max(line for _, line, _ in placed)
    figure, axes = new_figure(7.0, 0.6 + 0.19 * lines)
    for place, line, column in placed:
        share = float(shares[place])
        colour = palette.SHADES["positive" if share > 0 else "negative"][0]
        axes.add_patch(patches.Rectangle((column, line), 1, 1, facecolor=colour, alpha=min(1.0, abs(share))))
        shown = symbols[place].replace("\n", "↵").replace("\t", " ")
        axes.text(
            column + 0.5,
            line + 0.55,
            shown,
            ha="center",
            va="center",
            family="monospace",
            fontsize=8.5,
            parse_math=False,
        )
    axes.set(xlim=(0, _WIDTH), ylim=(lines, 0))
    axes.set_title(title, loc="left", fontsize=9)
    axes.axis("off")
    return figure


def _placed(symbols: tuple[str, ...]) -> Iterator[tuple[int, int, int]]:
    """Place in the text, line and column of each symbol that the figure has room for."""
    line = column = 0
    for place, symbol in enumerate(symbols):
        if column == _WIDTH:
            line, column = line + 1, 0
        if line == _LINES:
            return
        yield place, line, column
        line, column = (line + 1, 0) if symbol == "\n" else (line, column + 1)
