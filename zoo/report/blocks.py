"""A report as plain data: sections of blocks, such as charts, tables, hidden units and text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

from zoo.base.metric import is_share, metric_text
from zoo.tables import Number, Table


@dataclass(frozen=True)
class StateUnits:
    """Activations of the units of one state over a text.

    Args:
        name: Name of the state, ``l0.h``.
        label: Its label, ``layer 1, h``.
        numbers: Indices of the ``U`` units shown.
        total: Number of units of the state.
        peaks: Largest magnitude of each unit.
        spreads: Standard deviation of each unit.
        levels: ``(U, N)`` signed bytes in base64; 127 is the peak of the unit.
        features: Index into ``Units.features`` of the best correlated feature of each unit.
        correlations: Its correlation, from -1 to 1.
    """

    name: str
    label: str
    numbers: tuple[int, ...]
    total: int
    peaks: tuple[float, ...]
    spreads: tuple[float, ...]
    levels: str
    features: tuple[int, ...]
    correlations: tuple[float, ...]


@dataclass(frozen=True)
class Trace:
    """The values of one input over N steps."""

    name: str
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Units:
    """Hidden units as colour over a text of N symbols, or as a line above the lines of numeric inputs.

    Args:
        name: Anchor on the page.
        title: The title.
        symbols: The text; empty for numeric inputs.
        surprise: Cost of each symbol for the model in bits; None for the first.
        states: Activations after each symbol.
        features: Names of the features of the text: ``inside quotes``.
        note: A sentence below it.
        traces: Numeric inputs of N steps; empty for a text.
        starts: First step of each example of numeric inputs.
        answers: Steps of numeric inputs with a target.
        gates: Whether the states are gates. A figure has a heat map for each.
    """

    kind: ClassVar[str] = "units"
    name: str
    title: str
    symbols: tuple[str, ...]
    surprise: tuple[Number, ...]
    states: tuple[StateUnits, ...]
    features: tuple[str, ...]
    note: str = ""
    traces: tuple[Trace, ...] = ()
    starts: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    gates: bool = False

    @property
    def length(self) -> int:
        """``N``."""
        return len(self.surprise)


@dataclass(frozen=True)
class Samples:
    """Texts that the model generated, by step."""

    kind: ClassVar[str] = "samples"
    name: str
    title: str
    steps: tuple[int, ...]
    texts: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class KeyValue:
    """A name and its value.

    Args:
        label: The name.
        text: The value.
        marked: Whether it is highlighted, as a setting that is not the default.
        link: An ``https`` address for the text; empty for none.
    """

    label: str
    text: str
    marked: bool = False
    link: str = ""


@dataclass(frozen=True)
class KeyValues:
    """Names and values."""

    kind: ClassVar[str] = "key_values"
    name: str
    title: str
    facts: tuple[KeyValue, ...]
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class TextBlock:
    """A paragraph, or a preformatted block if ``fixed``; addresses become links."""

    kind: ClassVar[str] = "text"
    text: str
    fixed: bool = False
    warning: bool = False


@dataclass(frozen=True)
class Paragraphs:
    """A group of paragraphs and preformatted blocks."""

    kind: ClassVar[str] = "paragraphs"
    name: str
    title: str
    parts: tuple[TextBlock, ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG drawing.

    Args:
        name: Anchor on the page.
        title: The title, also for screen readers.
        svg: The SVG text.
        note: A sentence below it.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Args:
        label: Its label, with the unit.
        style: Format of numbers: ``number``, ``integer``, ``share`` or ``seconds``.
        log: Whether it is logarithmic at first.
        switch: Whether the page has a switch between linear and logarithmic.
        low: Upper bound of its beginning, if fixed.
        high: Lower bound of its end, if fixed.
        names: The texts of the values 0, 1, and so on, such as classes; empty for numbers.
    """

    label: str
    style: str = "number"
    log: bool = False
    switch: bool = True
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """A line, or points.

    Args:
        name: Name in the legend; several series with one name share an entry.
        x: Horizontal positions, in ascending order for a line.
        y: Values; None is a gap.
        slot: Index of colour and dash or marker; a cell has the same slot in every chart.
        shade: Replaces the slot for ordered series, such as steps of training: 0 early, 1 late.
        thin: Whether it is thin and pale, behind a line of the same name.
        marks: Points instead of a line.
        notes: A text for each point.
        group: The choice of the chart that shows it; empty for always.
        low: Lower ends of an interval around a line; empty for none.
        high: Upper ends.
    """

    name: str
    x: tuple[Number, ...]
    y: tuple[Number, ...]
    slot: int = 0
    shade: float | None = None
    thin: bool = False
    marks: bool = False
    notes: tuple[str, ...] = ()
    group: str = ""
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A line across a chart at a reference level: a published threshold, a limit."""

    label: str
    y: float


@dataclass(frozen=True)
class Chart:
    """Lines or points between two axes.

    Args:
        name: Name of its file and anchor on the page.
        title: The title.
        x: The horizontal axis.
        y: The vertical axis.
        series: The series, later over earlier.
        references: Reference levels.
        note: A sentence below it.
        choose: Noun for the groups of the series: ``state``; empty without groups.
        wide: Whether it takes the full width of the page.
    """

    kind: ClassVar[str] = "chart"
    name: str
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    references: tuple[Reference, ...] = ()
    note: str = ""
    choose: str = ""
    wide: bool = False


@dataclass(frozen=True)
class IntervalRow:
    """A value with an interval: the mean of a cell.

    Args:
        name: Name of the row.
        value: The value.
        low: Lower end of the interval; None without one.
        high: Upper end.
        slot: Index of the colour, as in the charts.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    slot: int = 0


@dataclass(frozen=True)
class Intervals:
    """Values with intervals on a horizontal axis, one below the other.

    Args:
        name: Name of its file and anchor on the page.
        title: The title.
        axis: The horizontal axis.
        rows: The values, the best first.
        references: Reference levels.
        note: A sentence below it.
    """

    kind: ClassVar[str] = "intervals"
    name: str
    title: str
    axis: Axis
    rows: tuple[IntervalRow, ...]
    references: tuple[Reference, ...] = ()
    note: str = ""


PageBlock = Chart | Intervals | Table | Units | Samples | KeyValues | TextBlock | Paragraphs | Picture


@dataclass(frozen=True)
class PageSection:
    """A part of the page with a heading."""

    name: str
    title: str
    blocks: tuple[PageBlock, ...]


@dataclass(frozen=True)
class Tile:
    """A number at the top of the page."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class ReportPage:
    """A page.

    Args:
        title: The title.
        subtitle: One line below it.
        tiles: The most important numbers.
        sections: The sections.
    """

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    sections: tuple[PageSection, ...]


def to_json(value: Any) -> Any:
    """Convert blocks to JSON values; every block has its ``kind``."""
    if is_dataclass(value):
        named = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        return {"kind": value.kind, **named} if hasattr(value, "kind") else named
    return [to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def readable(name: str) -> str:
    """A name with spaces instead of underscores."""
    return name.replace("_", " ")


def array_location(name: str) -> str:
    """Layer and name of an array: ``l0.h`` becomes ``layer 1, h``."""
    layer, *rest = name.split(".")
    if layer[:1] == "l" and layer[1:].isdecimal():
        layer = f"layer {int(layer[1:]) + 1}"
    return ", ".join([layer, *rest])


def score_axis(metric: str, higher_is_better: bool) -> Axis:
    """The axis of a metric."""
    better = "higher is better" if higher_is_better else "lower is better"
    return Axis(f"{metric_text(metric)}, {better}", "share" if is_share(metric) else "number")


def reference_levels(
    baseline: float | None, threshold: float | None, label: str = "without memory"
) -> tuple[Reference, ...]:
    """Reference levels: the best score without memory or another baseline, and the threshold, where known."""
    known = {label: baseline, "solved": threshold}
    return tuple(Reference(label, float(level)) for label, level in known.items() if level is not None)


def key_values(title: str, values: Mapping[str, Any], note: str = "") -> KeyValues:
    """A block of names and values."""
    rows = tuple(KeyValue(readable(name), value_text(value)) for name, value in values.items())
    return KeyValues(title.lower(), title, rows, note)


def value_text(value: Any) -> str:
    """A value as text; an entry of a plan by its label, name and options."""
    if isinstance(value, Mapping) and {"label", "name"} <= value.keys():
        name = " = ".join(dict.fromkeys((str(value["label"]), str(value["name"]))))
        return f"{name} ({value_text(value['options'])})" if value.get("options") else name
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {json.dumps(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(value_text, value)) or "none"
    return "not set" if value is None else f"{value:,}" if type(value) is int else str(value)
