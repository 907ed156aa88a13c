"""Figures of a report as files: charts, heat maps of tables, and hidden units as colour over text."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.arguments import as_choice, as_instance, as_path
from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.installation import install_hint
from zoo.report import palette
from zoo.report.blocks import Axis, Chart, Intervals, ReportPage, Series, StateUnits, Units
from zoo.storage import write_bytes
from zoo.storage.safe_read import cannot_write
from zoo.tables import Number, Table

_MAX_FIGURES = 6

_MAX_LINES = 16  # of text in a figure

_MAX_TRACES = 8  # inputs in a figure

_MAX_SYMBOLS = 100  # below the heat maps of gates

_MAX_STEPS = 200  # of numeric inputs above the heat maps of gates

_WIDTH = 84  # characters of a line

_MIN_CORRELATION = 0.5  # smallest correlation of a unit with a feature for a figure


def draw_text(units: Units) -> Iterator[tuple[str, Any]]:
    """Yield names and figures of units, best correlated first."""
    for feature, state, row in _best_units(units)[:_MAX_FIGURES]:
        name = f"unit-{state.name}-{state.numbers[row]}"
        values = _unit_values(state, row, units.length)
        r = f"{state.correlations[row]:.2f}".replace("-", "−")
        title = f"{state.label}, unit {state.numbers[row]}: {feature}, r = {r}"
        yield (
            name,
            _trace_figure(units, values, title)
            if units.traces
            else _text_figure(units.symbols, values, title),
        )


def _best_units(units: Units) -> list[tuple[str, StateUnits, int]]:
    """The best correlated unit of each feature; if none is correlated, the unit that varies most."""
    rows = [(state, row) for state in units.states for row in range(len(state.numbers))]
    rows.sort(key=lambda pair: -abs(pair[0].correlations[pair[1]]))
    best: dict[str, tuple[StateUnits, int]] = {}
    for state, row in rows:
        if state.features[row] >= 0 and (abs(state.correlations[row]) >= _MIN_CORRELATION or not best):
            best.setdefault(units.features[state.features[row]], (state, row))
    return [(feature, *unit) for feature, unit in best.items()]


def _unit_values(state: StateUnits, row: int, length: int) -> Array:
    levels = np.frombuffer(base64.b64decode(state.levels), np.int8)
    values: Array = levels.reshape(-1, length)[row] / 127
    return values


def _trace_figure(units: Units, values: Array, title: str) -> Any:
    """The unit, and below it the inputs, as lines over the same steps."""
    figures: Any = importlib.import_module("matplotlib.figure")
    inputs = units.traces[:_MAX_TRACES]
    figure = figures.Figure(figsize=(7.0, 1.2 + 0.6 * len(inputs)), layout="constrained")
    rows = figure.subplots(1 + len(inputs), 1, sharex=True, height_ratios=[1.6, *[1.0] * len(inputs)])
    lines = [("unit", values.tolist()), *((trace.name, trace.values) for trace in inputs)]
    for row, (axes, (name, line)) in enumerate(zip(np.atleast_1d(rows), lines, strict=True)):
        style = _UNIT_LINE if row == 0 else _INPUT_LINE
        _plot_steps(axes, np.array(line, float), units.starts, **style)
        _name_row(axes, name, units.starts)
    rows[0].set_title(title, loc="left", fontsize=9)
    rows[-1].set_xlabel("step")
    return figure


_UNIT_LINE = {"color": palette.SERIES[0][0], "linewidth": 1.5}
_INPUT_LINE = {"color": "0.25", "linewidth": 0.9}


def _plot_steps(axes: Any, values: Array, starts: Sequence[int], **style: Any) -> None:
    """Plot values over steps, with a gap before each example but the first."""
    # One line with gaps and one collection: with two lines for each of 360 sequences, a page took 7 s.
    gaps = np.array(starts[1:], int)
    axes.plot(  # a gap half a step before an example leaves room for the width of the steps around it
        np.insert(np.arange(float(len(values))), gaps, gaps - 0.5), np.insert(values, gaps, np.nan), **style
    )


def _name_row(axes: Any, name: str, starts: Sequence[int]) -> None:
    """Write the name of a row at its left, and mark the starts of examples."""
    style = {"colors": "0.6", "linewidth": 0.6, "linestyles": [(0, _REFERENCE_DASHES[0])]}
    axes.vlines(np.array(starts[1:], int) - 0.5, 0, 1, transform=axes.get_xaxis_transform(), **style)
    axes.set_ylabel(plain_text(name), rotation=0, ha="right", va="center", fontsize=8)
    axes.tick_params(labelsize=7)


def draw_gate_rows(
    gates: Mapping[str, Array],
    *,
    numbers: Mapping[str, Sequence[int]] | None = None,
    symbols: Sequence[str] = (),
    lines: Sequence[tuple[str, Array]] = (),
    starts: Sequence[int] = (0,),
    title: str = "",
) -> Any:
    """Draw lines, the mean of each gate over its units, and a heat map of each gate, over the same steps.

    Args:
        gates: Name to values, ``(units, N)``.
        numbers: Name to the indices of the units; None if all are shown.
        symbols: Texts of the steps; empty for numbers.
        lines: Names and values of lines, ``(N,)``.
        starts: First step of each example.
        title: Title above the first row.
    """
    figures: Any = importlib.import_module("matplotlib.figure")
    heights = [*[0.5] * len(lines), 1.0, *[0.9] * len(gates)]
    # A wider legend leaves no room for the rows: 4.6 inches, of 0.5 and 0.052 a character for each name.
    columns = min(4, max(1, int(4.6 // (0.5 + 0.052 * max(map(len, gates))))))
    size = 7.0, 0.75 + 0.15 * math.ceil(len(gates) / columns) + sum(heights)
    figure = figures.Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for axes, (name, values) in zip(rows, lines, strict=False):
        _plot_steps(axes, values, starts, drawstyle="steps-mid", **_INPUT_LINE)
        _name_row(axes, name, starts)
    means, maps = rows[len(lines)], rows[len(lines) + 1 :]
    ends = [0.0, 1.0]
    for slot, (name, values) in enumerate(gates.items()):
        style, mean = _line_style(Series(name, (), (), slot=slot)), values.mean(axis=0)
        _plot_steps(means, mean, starts, label=plain_text(name), **style)
        ends += gate_range(mean)
    means.set_ylim(min(ends), max(ends))
    _name_row(means, "mean", starts)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
    means.legend(frameon=False, fontsize=7, ncols=columns, **above)
    for axes, (name, values) in zip(maps, gates.items(), strict=True):
        _draw_map(figure, axes, values, range(len(values)) if numbers is None else numbers[name])
        _name_row(axes, name.replace(", ", ",\n").replace(" = ", " =\n"), starts)
    if title:
        figure.suptitle(plain_text(title), x=0.01, ha="left", fontsize=9)
    if 0 < len(symbols) <= _MAX_SYMBOLS:
        _write_symbols(rows[-1], symbols)
    else:
        rows[-1].set_xlabel("step")
    return figure


def _write_symbols(axes: Any, symbols: Sequence[str]) -> None:
    """Write the texts of the steps below the last row; as labels of ticks they take three times as long."""
    axes.set_xticks([])
    bottom = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top"}
    for step, symbol in enumerate(symbols):
        shown = symbol.replace("\n", "↵").replace("\t", " ")
        axes.text(step, -0.04, shown, family="monospace", fontsize=7, parse_math=False, **bottom)


def gate_range(values: Array) -> tuple[float, float]:
    """Return the ends of an axis for gates: 0 and 1, or further out if finite values are outside."""
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=0.0)), float(finite.max(initial=1.0))


def _draw_map(figure: Any, axes: Any, values: Array, numbers: Sequence[int]) -> None:
    """Draw a heat map with a scale of its own: white at zero, blue above and orange below."""
    colors: Any = importlib.import_module("matplotlib.colors")
    blue, orange = palette.SERIES[0][0], palette.SERIES[1][0]
    scale = colors.LinearSegmentedColormap.from_list("gates", [orange, "#ffffff", blue])
    low, high = gate_range(values)
    limit = max(high, -low)
    count, length = values.shape
    image = axes.imshow(
        values, aspect="auto", cmap=scale, vmin=-limit, vmax=limit,
        extent=(-0.5, length - 0.5, count - 0.5, -0.5),
    )  # fmt: skip
    rows = [0, count - 1] if count > 1 else [0]
    axes.set_yticks(rows, [f"unit {numbers[row]}" for row in rows])
    bar = figure.colorbar(image, ax=axes, aspect=10, fraction=0.03, pad=0.01)
    ends = [0.0, limit] if low == 0 else [-limit, 0.0, limit]
    bar.ax.set_ylim(ends[0], limit)
    bar.ax.set_yticks(ends, ["0, closed", "1, open"] if ends == [0, 1] else [f"{end:.3g}" for end in ends])
    bar.ax.tick_params(labelsize=7)


def _block_gates(units: Units) -> Iterator[tuple[str, Any]]:
    """Yield names and figures of the gates of each layer, over the first steps or whole examples."""
    stop = _shown_steps(units)
    starts = [start for start in units.starts if start < stop] or [0]
    lines = [(trace.name, np.array(trace.values[:stop], float)) for trace in units.traces[:_MAX_TRACES]]
    layers: dict[str, dict[str, Array]] = {}
    numbers: dict[str, dict[str, Sequence[int]]] = {}
    for state in units.states:
        layer, _, gate = state.label.rpartition(", ")
        values = np.stack(
            [
                _unit_values(state, row, units.length)[:stop] * state.peaks[row]
                for row in range(len(state.numbers))
            ]
        )
        layers.setdefault(layer, {})[gate] = values
        numbers.setdefault(layer, {})[gate] = state.numbers
    for layer, gates in layers.items():
        title = f"Gates of {layer}"
        yield (
            f"gates-{layer}",
            draw_gate_rows(
                gates,
                numbers=numbers[layer],
                symbols=units.symbols[:stop],
                lines=lines,
                starts=starts,
                title=title,
            ),
        )


def _shown_steps(units: Units) -> int:
    """Number of steps in a figure: symbols that have room, or whole examples of numeric inputs."""
    if not units.traces:
        return min(units.length, _MAX_SYMBOLS)
    ends = [end for end in (*units.starts[1:], units.length) if end <= _MAX_STEPS]
    return ends[-1] if ends else _MAX_STEPS


def _text_figure(symbols: tuple[str, ...], values: Array, title: str) -> Any:
    collections: Any = importlib.import_module("matplotlib.collections")
    colors: Any = importlib.import_module("matplotlib.colors")
    layout = list(_layout(symbols))
    lines = 1 + max(line for _, line, _ in layout)
    figure, axes = new_figure(7.0, 0.6 + 0.19 * lines)
    squares, colours = list[Any](), list[Any]()
    for index, line, column in layout:
        share = float(values[index])
        colour = palette.HEAT["positive" if share > 0 else "negative"][0]
        squares.append([(column, line), (column + 1, line), (column + 1, line + 1), (column, line + 1)])
        colours.append(colors.to_rgba(colour, min(1.0, abs(share))))
        shown = symbols[index].replace("\n", "↵").replace("\t", " ")
        axes.text(
            column + 0.5,
            line + 0.55,
            shown,
            ha="center",
            va="center",
            family="monospace",
            fontsize=8.5,
            parse_math=False,
            in_layout=False,  # it is inside of the axes; their layout takes a third of the time
        )
    axes.add_collection(collections.PolyCollection(squares, facecolors=colours), autolim=False)
    axes.set(xlim=(0, _WIDTH), ylim=(lines, 0))
    axes.set_title(title, loc="left", fontsize=9)
    axes.axis("off")
    return figure


def _layout(symbols: tuple[str, ...]) -> Iterator[tuple[int, int, int]]:
    """Index, line and column of each symbol that the figure has room for."""
    line = column = 0
    for index, symbol in enumerate(symbols):
        if column == _WIDTH:
            line, column = line + 1, 0
        if line == _MAX_LINES:
            return
        yield index, line, column
        line, column = (line + 1, 0) if symbol == "\n" else (line, column + 1)


def draw_heat(table: Table) -> Any:
    """Draw the shaded columns of a table: a square with a text for each entry."""
    columns = [index for index, column in enumerate(table.columns) if column.heat]
    height, width = len(table.rows), len(columns)
    figure, axes = new_figure(1.8 + 1.2 * width, 0.7 + 0.28 * height)
    for line, row in enumerate(table.rows):
        for index, column in enumerate(columns):
            entry = row[column]
            axes.add_patch(_hatched(index, line) if entry.hatched else _square(index, line, entry.shade))
            text = entry.text or ("–" if entry.value is None else f"{entry.value:.4g}")
            axes.text(index + 0.5, line + 0.5, text, ha="center", va="center", fontsize=8)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_xticks(
        [index + 0.5 for index in range(width)],
        [plain_text(table.columns[column].label) for column in columns],
    )
    axes.set_yticks(
        [line + 0.5 for line in range(height)], [plain_text(str(row[0].value)) for row in table.rows]
    )
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    if table.hatch:
        axes.legend(
            handles=[_hatched(0, 0, table.hatch)], frameon=False, loc="upper left", bbox_to_anchor=(0, 0)
        )
    if table.marks:
        figure.supxlabel(plain_text(table.marks), fontsize=7, x=0, ha="left", wrap=True)
    return figure


def _hatched(x: float, y: float, label: str = "") -> Any:
    """A square of thin diagonal lines, which are visible without colour."""
    import matplotlib.patches as patches

    colour = palette.BACKGROUND["hatch"][0]
    return patches.Rectangle(
        (x, y), 1, 1, facecolor="none", edgecolor=colour, linewidth=0, hatch="////", label=plain_text(label)
    )


def _square(x: float, y: float, shade: float | None) -> Any:
    import matplotlib.patches as patches

    colour = "none" if shade is None else palette.HEAT["good"][0]
    return patches.Rectangle(
        (x, y), 1, 1, facecolor=colour, alpha=None if shade is None else 0.08 + 0.92 * shade
    )


_MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "x"}

_REFERENCE_DASHES = (5, 4), (1, 2)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure with one pair of axes, sizes in inches; no window is opened."""
    figures: Any = importlib.import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def plain_text(text: str) -> str:
    """Escape dollar signs, which begin a formula in matplotlib."""
    return text.replace("$", r"\$")


def draw_chart(chart: Chart, group: str = "") -> Any:
    """Draw a chart, or one group of its series."""
    figure, axes = new_figure(7.0 if chart.wide else 5.0, 3.4)
    drawn = [series for series in chart.series if series.group in ("", group)]
    named: set[str] = set()
    for series in drawn:
        label = "" if series.thin or series.name in named else plain_text(series.name)
        named |= {series.name} if label else set()
        style = _line_style(series)
        axes.plot(*_drawable(series, chart), label=label or "_", **style)
        if series.low:
            ends = ([math.nan if end is None else end for end in each] for each in (series.low, series.high))
            axes.fill_between(series.x, *ends, color=style["color"], alpha=0.22, linewidth=0)
    for index, reference in enumerate(chart.references):
        label = plain_text(f"{reference.label} {reference.y:.4g}")
        axes.axhline(
            reference.y, color="0.45", linewidth=0.9, linestyle=(0, _REFERENCE_DASHES[index % 2]), label=label
        )
    _frame(axes, chart, group)
    if len(named) + len(chart.references) > 1:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # inside, it may cover a curve
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
        elif axis.names:
            drawn.set_ticks(range(len(axis.names)), [plain_text(name) for name in axis.names])
    if chart.y.high is not None:
        axes.set_ylim(chart.y.low, chart.y.high)
    axes.grid(axis="y", alpha=0.3)


def draw_intervals(block: Intervals) -> Any:
    """Draw values with their intervals, one below the other."""
    count = len(block.rows)
    figure, axes = new_figure(5.0, 0.9 + 0.22 * count)
    for line, row in enumerate(block.rows):
        colour = palette.SERIES[row.slot % len(palette.SERIES)][0]
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [line, line], color=colour, linewidth=1.8, alpha=0.55)
        axes.plot([row.value], [line], color=colour, marker="o", markersize=4.5, linestyle="none")
    for index, reference in enumerate(block.references):
        label = plain_text(f"{reference.label} {reference.y:.4g}")
        dashes = (0, _REFERENCE_DASHES[index % 2])
        axes.axvline(reference.y, color="0.45", linewidth=0.9, linestyle=dashes, label=label)
    axes.set(ylim=(count - 0.5, -0.5), xlabel=_label(block.axis))
    axes.set_yticks(range(count), [plain_text(row.name) for row in block.rows])
    axes.tick_params(axis="y", length=0)
    axes.set_title(plain_text(block.title), loc="left", fontsize=9)
    if block.axis.style == "share":
        axes.xaxis.set_major_formatter(_ticker().PercentFormatter(1.0))
    axes.grid(axis="x", alpha=0.3)
    if block.references:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _label(axis: Axis) -> str:
    return plain_text(f"{axis.label} (s)" if axis.style == "seconds" else axis.label)


def _tick_log(axis: Any) -> None:
    """Few ticks with plain numbers where an axis spans less than a decade; their labels would overlap."""
    low, high = axis.get_data_interval()
    if high < 20 * low:
        axis.set_major_locator(_ticker().MaxNLocator(4))
        axis.set_major_formatter(_ticker().StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(_ticker().NullFormatter())


def _ticker() -> Any:
    return importlib.import_module("matplotlib.ticker")


def _drawable(series: Series, chart: Chart) -> tuple[list[Number], list[Number]]:
    """Positions and values with NaN for gaps."""
    nan = float("nan")
    pairs = list(zip(series.x, series.y, strict=True))
    xs: list[Number] = [nan if x is None or (chart.x.log and x <= 0) else x for x, _ in pairs]
    ys: list[Number] = [nan if y is None or (chart.y.log and y <= 0) else y for _, y in pairs]
    return xs, ys


def _line_style(series: Series) -> dict[str, Any]:
    """Colour, dash and marker as on the page."""
    if series.shade is not None:
        return {
            "color": palette.SEQUENTIAL[round(series.shade * (len(palette.SEQUENTIAL) - 1))][0],
            "linewidth": 1.2,
        }
    turn, index = divmod(series.slot, len(palette.SERIES))
    colour = palette.SERIES[index][0]
    if series.marks:
        marker = _MARKERS[palette.MARKERS[series.slot % len(palette.MARKERS)]]
        return {"color": colour, "linestyle": "none", "marker": marker, "markersize": 4.5}
    dash = palette.DASHES[turn % len(palette.DASHES)]
    look = {"color": colour, "linewidth": 0.6 if series.thin else 1.5, "alpha": 0.45 if series.thin else 1.0}
    single = sum(y is not None for y in series.y) == 1
    return {**look, "linestyle": (0, dash) if dash else "-", "marker": "o" if single else ""}


ENDINGS = ("pdf", "png", "svg")

_DOTS_PER_INCH = 200

# No date and no random names: the same report gives the same files. Fonts of type 42, since many journals
# reject those of type 3.
SETTINGS = {
    "svg.hashsalt": "zoo",
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "hatch.linewidth": 0.7,
}
_METADATA = {"pdf": {"CreationDate": None}, "png": {"Software": None}, "svg": {"Date": None}}


def check_figures(ending: str) -> None:
    """Check that figures can be drawn.

    Raises:
        UsageError: if the ending is unknown, or matplotlib is not installed.
    """
    as_choice(ending, "report: the ending of figures", ENDINGS)
    check_matplotlib("report")


def check_matplotlib(owner: str) -> None:
    """Check that matplotlib is installed.

    Raises:
        UsageError: if it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f"{owner}: figures need matplotlib; {install_hint('report')} brings it.")


def write_figures(report: ReportPage, directory: str | Path, ending: str = "svg") -> list[Path]:
    """Write every chart, heat map and text with hidden units of a report as a file.

    Args:
        report: From :func:`make_report`.
        directory: The directory of the files, created if missing.
        ending: ``"svg"``, ``"pdf"`` or ``"png"``.

    Returns:
        The files.

    Raises:
        UsageError: if the ending is another, or matplotlib is not installed.
        CheckpointError: if a file cannot be written.
    """
    as_instance(report, "write_figures: report", ReportPage, "what make_report returns")
    check_figures(ending)
    matplotlib: Any = importlib.import_module("matplotlib")
    folder = as_path(directory, "write_figures: directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    files = []
    with matplotlib.rc_context(SETTINGS):
        for name, figure in _figures(report):
            files.append(folder / f"{_file_name(name)}.{ending}")
            write_bytes(files[-1], _render(figure, ending))
    return files


def _figures(report: ReportPage) -> Iterator[tuple[str, Any]]:
    """Yield names and figures; one for each group of a chart."""
    for block in (block for section in report.sections for block in section.blocks):
        if isinstance(block, Chart):
            for group in dict.fromkeys(series.group for series in block.series):
                yield "-".join(filter(None, (block.name, group))), draw_chart(block, group)
        elif isinstance(block, Intervals):
            yield block.name, draw_intervals(block)
        elif isinstance(block, Table) and sum(column.heat for column in block.columns) > 1:
            yield block.name, draw_heat(block)
        elif isinstance(block, Units):
            yield from _block_gates(block) if block.gates else draw_text(block)


def _render(figure: Any, ending: str) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format=ending, dpi=_DOTS_PER_INCH, metadata=_METADATA[ending])
    return data.getvalue()


def _file_name(name: str) -> str:
    """Make a safe file name: tasks and states may have any name."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip(".-")[:100] or "figure"


__all__ = ["ENDINGS", "check_figures", "write_figures"]
