"""Charts: axes, lines and points, levels to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
