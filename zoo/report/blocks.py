"""Hidden units over what a model read.

Words: samples, facts, paragraphs; and a drawing that comes as text.

Tables, some of whose columns are heat maps.

Charts: axes, lines and points, levels to compare with.

A report: sections of blocks, and the form in which a page gets them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class StateUnits:
    """What the units of one state held while a text was read.

    Args:
        name: As in ``rnn.params``: ``l0.h``.
        label: For people: ``layer 1, h``.
        numbers: Which unit each row is, ``U`` of them.
        total: How many units the state has.
        peaks: Largest magnitude of each unit.
        spreads: Standard deviation of each unit.
        levels: ``(U, N)`` signed bytes in base64; 127 is the peak of the unit.
        features: For each unit the feature it follows most, as an index into ``Units.features``.
        correlations: And how closely, from -1 to 1.
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
class Units:
    """Hidden units as colour over a text of N symbols.

    Args:
        name: Its place on the page.
        title: Above it.
        symbols: The text.
        surprise: What each symbol cost the model before it was read, in bits; the first has None.
        states: What the units held after each symbol.
        features: What units are compared with: ``inside quotes``.
        note: A sentence below it.
    """

    kind: ClassVar[str] = "units"
    name: str
    title: str
    symbols: tuple[str, ...]
    surprise: tuple[Number, ...]
    states: tuple[StateUnits, ...]
    features: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Samples:
    """Texts that the model wrote, by step."""

    kind: ClassVar[str] = "samples"
    name: str
    title: str
    steps: tuple[int, ...]
    texts: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class KeyValue:
    """A name and what it stands for.

    Args:
        label: The name.
        text: What it stands for.
        marked: Whether it stands out, as a setting that is not the default.
        link: Where the text leads, an ``https`` address; empty for nowhere.
    """

    label: str
    text: str
    marked: bool = False
    link: str = ""


@dataclass(frozen=True)
class KeyValues:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    name: str
    title: str
    facts: tuple[KeyValue, ...]
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph, or if ``fixed`` a block in which every space counts; addresses in it become links."""

    kind: ClassVar[str] = "text"
    text: str
    fixed: bool = False
    warning: bool = False


@dataclass(frozen=True)
class Paragraphs:
    """Paragraphs and fixed blocks that belong together."""

    kind: ClassVar[str] = "prose"
    name: str
    title: str
    parts: tuple[Text, ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG drawing that zoo made.

    Args:
        name: Its place on the page.
        title: What it shows, also for those who cannot see it.
        svg: Its text.
        note: A sentence below it.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        label: Its heading.
        style: ``text``, or as for :class:`Axis`.
        help: What it is, in a sentence.
        heat: Whether its entries have a shade as background.
    """

    label: str
    style: str = "text"
    help: str = ""
    heat: bool = False


@dataclass(frozen=True)
class TableCell:
    """One place of a table.

    Args:
        value: What it is sorted by, and shown as unless there is a text; None for nothing.
        text: What is shown.
        shade: From 0, the worst, to 1, the best; None for no background.
    """

    value: str | Number
    text: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows that the reader can sort; the first column names the row.

    Args:
        name: Its place on the page, and the name of its file where it has shades.
        title: Above it.
        columns: The columns.
        rows: An entry for each column.
        note: A sentence below it.
        wide: Whether it takes the whole width of the page.
    """

    kind: ClassVar[str] = "table"
    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    note: str = ""
    wide: bool = True


Number = float | int | None


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Args:
        label: What is along it, with its unit.
        style: How numbers are written: ``number``, ``integer``, ``share`` or ``seconds``.
        log: Whether it is logarithmic at first.
        switch: Whether the reader can choose between linear and logarithmic.
        low: Where it begins at most, if that is fixed.
        high: Where it ends at least.
    """

    label: str
    style: str = "number"
    log: bool = False
    switch: bool = True
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A line, or points.

    Args:
        name: What the legend says; several series may share a name, and then an entry.
        x: Where, in ascending order for a line.
        y: How much; None is a gap.
        slot: Which colour and dash or marker; the same thing has the same slot in every chart.
        shade: In place of a slot for what is in an order, such as steps of training: 0 early, 1 late.
        thin: Whether it stands back behind a line of the same name.
        marks: Points instead of a line.
        notes: What else is to be told of each point.
        group: Under which choice of the chart it is shown; empty for always.
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


@dataclass(frozen=True)
class Reference:
    """A level to compare with, drawn across the chart with its value: a published threshold, a limit."""

    label: str
    y: float


@dataclass(frozen=True)
class Chart:
    """Lines or points between two axes.

    Args:
        name: Name of its file and of its place on the page.
        title: Above it.
        x: The horizontal axis.
        y: The vertical axis.
        series: What is drawn, later over earlier.
        references: Levels to compare with.
        note: A sentence below it.
        choose: What the groups of the series are: ``state``; empty where there are none.
        wide: Whether it takes the whole width of the page.
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


Block = Chart | Table | Units | Samples | KeyValues | Text | Paragraphs | Picture


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """One of the numbers at the top."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """A page.

    Args:
        title: What it is about.
        subtitle: In one line, what that is.
        tiles: The numbers one looks for first.
        sections: The rest.
    """

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]


def to_json(value: Any) -> Any:
    """Blocks as JSON values; every block says its kind."""
    if is_dataclass(value):
        named = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        return {"kind": value.kind, **named} if hasattr(value, "kind") else named
    return [to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


__all__ = [
    "Axis",
    "Block",
    "Chart",
    "Column",
    "KeyValue",
    "KeyValues",
    "Number",
    "Paragraphs",
    "Picture",
    "Reference",
    "Report",
    "Samples",
    "Section",
    "Series",
    "StateUnits",
    "Table",
    "TableCell",
    "Text",
    "Tile",
    "Units",
    "to_json",
]
