"""A chart as a figure."""

from __future__ import annotations

import importlib
from typing import Any

from zoo.report import palette
from zoo.report.blocks import Axis, Chart, Number, Series

_MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "x"}
_LEVELS = (5, 4), (1, 2)
_FEW = 8  # names that stand inside the axes; more stand beside them


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure with one pair of axes, in inches; nothing is shown and no window is opened."""
    figures: Any = importlib.import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def plain_text(words: str) -> str:
    """Words in which no dollar sign begins a formula."""
    return words.replace("$", r"\$")


def draw(chart: Chart, group: str = "") -> Any:
    """The figure of a chart, or of one group of its series."""
    figure, axes = new_figure(7.0 if chart.wide else 5.0, 3.4)
    drawn = [series for series in chart.series if series.group in ("", group)]
    named: set[str] = set()
    for series in drawn:
        label = "" if series.thin or series.name in named else plain_text(series.name)
        named |= {series.name} if label else set()
        axes.plot(*_kept(series, chart), label=label or "_", **_look(series))
    for place, reference in enumerate(chart.references):
        label = plain_text(f"{reference.label} {reference.y:.4g}")
        axes.axhline(reference.y, color="0.45", linewidth=0.9, linestyle=(0, _LEVELS[place % 2]), label=label)
    _frame(axes, chart, group)
    if len(named) + len(chart.references) > 1:
        beside = (
            {"loc": "upper left", "bbox_to_anchor": (1, 1)}
            if len(named) + len(chart.references) > _FEW
            else {}
        )
        axes.legend(frameon=False, **beside)
    return figure


def _frame(axes: Any, chart: Chart, group: str) -> None:
    axes.set_title(plain_text(f"{chart.title}, {group}" if group else chart.title), loc="left", fontsize=10)
    axes.set_xlabel(_label(chart.x))
    axes.set_ylabel(_label(chart.y))
    for axis, scale, drawn in (
        (chart.x, axes.set_xscale, axes.xaxis),
        (chart.y, axes.set_yscale, axes.yaxis),
    ):
        if axis.log:
            scale("log")
            _tick_log(drawn)
        elif axis.style == "share":
            drawn.set_major_formatter(_ticker().PercentFormatter(1.0))
    if chart.y.high is not None:
        axes.set_ylim(chart.y.low, chart.y.high)
    axes.grid(axis="y", alpha=0.3)


def _label(axis: Axis) -> str:
    return plain_text(f"{axis.label} (s)" if axis.style == "seconds" else axis.label)


def _tick_log(axis: Any) -> None:
    """Few ticks with plain numbers where an axis spans no decade, whose names would lie over each other."""
    low, high = axis.get_data_interval()
    if high < 20 * low:
        axis.set_major_locator(_ticker().MaxNLocator(4))
        axis.set_major_formatter(_ticker().StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(_ticker().NullFormatter())


def _ticker() -> Any:
    return importlib.import_module("matplotlib.ticker")


def _kept(series: Series, chart: Chart) -> tuple[list[Number], list[Number]]:
    """The places and values that can be drawn; nan is a gap."""
    nan = float("nan")
    pairs = list(zip(series.x, series.y, strict=True))
    xs: list[Number] = [nan if x is None or (chart.x.log and x <= 0) else x for x, _ in pairs]
    ys: list[Number] = [nan if y is None or (chart.y.log and y <= 0) else y for _, y in pairs]
    return xs, ys


def _look(series: Series) -> dict[str, Any]:
    """Colour, dash and marker, the same as on the page."""
    if series.shade is not None:
        return {"color": palette.ORDER[round(series.shade * (len(palette.ORDER) - 1))][0], "linewidth": 1.2}
    turn, place = divmod(series.slot, len(palette.THINGS))
    colour = palette.THINGS[place][0]
    if series.marks:
        marker = _MARKERS[palette.MARKERS[series.slot % len(palette.MARKERS)]]
        return {"color": colour, "linestyle": "none", "marker": marker, "markersize": 4.5}
    dash = palette.DASHES[turn % len(palette.DASHES)]
    look = {"color": colour, "linewidth": 0.6 if series.thin else 1.5, "alpha": 0.45 if series.thin else 1.0}
    single = sum(y is not None for y in series.y) == 1
    return {**look, "linestyle": (0, dash) if dash else "-", "marker": "o" if single else ""}
