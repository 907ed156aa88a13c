"""Write charts and diagrams as SVG without a drawing library: equal input gives equal bytes everywhere.

Colours are those of ``zoo report``, and follow the light or dark theme of the reader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from zoo.report import palette

Point = tuple[float, float]
"""Position in pixels, from the top left corner."""

_STYLE = """\
text {{ font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: {ink}; }}
.page {{ fill: {card}; }}
.title {{ font-weight: 600; }}
.note {{ font-size: 12px; fill: {muted}; }}
.code {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }}
.math {{ font: italic 16px "STIX Two Math", "Latin Modern Math", Georgia, "Times New Roman", serif; }}
.small {{ font-size: 11px; }}
.grid {{ stroke: {line}; stroke-width: 1; fill: none; }}
.axis {{ stroke: {muted}; stroke-width: 1; fill: none; }}
.box {{ fill: {raised}; stroke: {muted}; stroke-width: 1.2; }}
.edge {{ stroke: {muted}; stroke-width: 1.6; fill: none; }}
.head {{ fill: {muted}; }}
.dashed {{ stroke-dasharray: 5 4; }}
.curve {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}
.band {{ opacity: 0.16; stroke: none; }}
"""
_CAPTION = 0.35  # of the font size: from the middle of a line of text to its base line


def _theme(number: int, used: Container[str]) -> str:
    """Style rules of one theme for the classes in use."""
    colours = {name: pair[number] for name, pair in palette.BACKGROUND.items()}
    series = "".join(
        f".stroke-{n} {{ stroke: {pair[number]}; }}\n.fill-{n} {{ fill: {pair[number]}; }}\n"
        for n, pair in enumerate(palette.SERIES)
    )
    rules = (_STYLE.format(**colours) + series).splitlines(keepends=True)
    return "".join(rule for rule in rules if rule[0] != "." or rule[1:].partition(" ")[0] in used)


class Canvas:
    """A picture to which elements are added.

    Args:
        width: Pixels.
        height: Pixels.
        title: A sentence that replaces the picture for readers who cannot see it.
        program: The program that draws it.
    """

    def __init__(self, width: int, height: int, title: str, program: str = "tools/make_figures.py") -> None:
        self.width, self.height, self.title, self.program = width, height, title, program
        self.elements: list[str] = []

    def text(self, at: Point, text: str, kind: str = "", anchor: str = "start") -> None:
        """Add a line of text; ``at`` is the middle of its height."""
        x, y = at[0], at[1] + 13 * _CAPTION
        attributes = f' class="{kind}"' * bool(kind) + f' text-anchor="{anchor}"' * (anchor != "start")
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text, quote=False)}</text>')

    def math(self, at: Point, formula: str, anchor: str = "middle", colour: int | None = None) -> None:
        """Add a formula in one line, with subscripts and superscripts in braces: ``h_{t-1} W^{T}``."""
        spans, shift = [], 0
        for part in filter(None, re.split(r"([_^]\{[^}]*\})", formula)):
            level = {"_": 4, "^": -6}.get(part[0], 0) if part[1:2] == "{" else 0
            text = part[2:-1] if level else part
            size = ' font-size="11"' if level else ""
            spans.append(f'<tspan dy="{level - shift}"{size}>{escape(text, quote=False)}</tspan>')
            shift = level
        kind = "math" if colour is None else f"math fill-{colour}"
        x, y = at[0], at[1] + 16 * _CAPTION
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{"".join(spans)}</text>'
        )

    def path(self, points: Sequence[Point], kind: str, closed: bool = False) -> None:
        """Add straight lines through points."""
        data = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.elements.append(f'<path class="{kind}" d="M{data}{"Z" * closed}"/>')

    def rectangle(
        self, corner: Point, width: float, height: float, kind: str = "box", radius: int = 0
    ) -> None:
        """Add a rectangle."""
        x, y = corner
        rounded = f' rx="{radius}"' * bool(radius)
        size = f'width="{width:.1f}" height="{height:.1f}"{rounded}'
        self.elements.append(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}/>')

    def box(self, middle: Point, width: float, height: float, text: str, kind: str = "box") -> None:
        """Add a rectangle with a formula in its middle."""
        self.rectangle((middle[0] - width / 2, middle[1] - height / 2), width, height, kind, radius=5)
        self.math(middle, text)

    def arrow(self, points: Sequence[Point], colour: int | None = None, kind: str = "") -> None:
        """Add lines that end in a head; ``colour`` is the number of a series."""
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        base = (x1 - 8 * dx, y1 - 8 * dy)
        line, head = ("edge", "head") if colour is None else (f"curve stroke-{colour}", f"fill-{colour}")
        self.path([*points[:-1], base], f"{line} {kind}".strip())
        wings = [(base[0] - 4 * dy, base[1] + 4 * dx), (base[0] + 4 * dy, base[1] - 4 * dx)]
        self.path([(x1, y1), *wings], head, closed=True)

    def svg(self) -> str:
        """The picture as the text of an SVG file."""
        named = re.findall(r'class="([^"]*)"', "".join(self.elements))
        used = {"page", *" ".join(named).split()}
        light, dark = _theme(0, used), _theme(1, used)
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
                f"<!-- made by: python {self.program} -->",
                f"<title>{escape(self.title, quote=False)}</title>",
                f"<style>\n{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n</style>",
                f'<rect class="page" width="{self.width}" height="{self.height}" rx="6"/>',
                *self.elements,
                "</svg>\n",
            ]
        )


@dataclass(frozen=True)
class Axis:
    """An axis.

    Args:
        label: Name and unit.
        low: Value at its start.
        high: Value at its end.
        ticks: Values with a tick.
        log: Whether it is logarithmic.
        names: Texts of the ticks; by default their values.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[float] = ()
    log: bool = False
    names: Sequence[str] = ()

    def fraction(self, value: float) -> float:
        """Position of a value, from 0 to 1; values outside are clipped."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)

    def labelled_ticks(self) -> Iterator[tuple[float, str]]:
        """Fractions and texts of the ticks."""
        names = self.names or [_tick_name(value, self.log) for value in self.ticks]
        for value, name in zip(self.ticks, names, strict=True):
            yield self.fraction(value), name


def _tick_name(value: float, log: bool) -> str:
    if log and (value >= 10000 or value < 0.001):
        return f"1e{round(math.log10(value))}"
    return f"{value:,.10g}"


@dataclass(frozen=True)
class Plot:
    """A pair of axes in a rectangle of a canvas.

    Args:
        canvas: Where it is drawn.
        corner: Top left corner of the area between the axes.
        width: Of this area.
        height: Of this area.
        x: Horizontal axis.
        y: Vertical axis.
        title: A line above.
    """

    canvas: Canvas
    corner: Point
    width: float
    height: float
    x: Axis
    y: Axis
    title: str = ""

    def __post_init__(self) -> None:
        """Draw grid, ticks and labels."""
        left, top = self.corner
        bottom = top + self.height
        for fraction, name in self.y.labelled_ticks():
            y = bottom - fraction * self.height
            self.canvas.path([(left, y), (left + self.width, y)], "grid")
            self.canvas.text((left - 8, y), name, "note", "end")
        for fraction, name in self.x.labelled_ticks():
            x = left + fraction * self.width
            self.canvas.path([(x, bottom), (x, bottom + 4)], "axis")
            self.canvas.text((x, bottom + 15), name, "note", "middle")
        self.canvas.path([(left, bottom), (left + self.width, bottom)], "axis")
        self.canvas.text((left + self.width / 2, bottom + 35), self.x.label, "", "middle")
        if self.y.label:
            self.canvas.text((left - 8, top - 16), self.y.label, "", "start")
        if self.title:
            self.canvas.text((left + self.width / 2, top - 16), self.title, "title", "middle")

    def at(self, x: float, y: float) -> Point:
        """Pixels of a pair of values."""
        left, top = self.corner
        return left + self.x.fraction(x) * self.width, top + (1 - self.y.fraction(y)) * self.height

    def curve(self, xs: Sequence[float], ys: Sequence[float], colour: int, kind: str = "") -> None:
        """Add a curve."""
        points = [self.at(x, y) for x, y in zip(xs, ys, strict=True)]
        self.canvas.path(points, f"curve stroke-{colour} {kind}".strip())

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], colour: int) -> None:
        """Add the area between two curves."""
        points = [*zip(xs, high, strict=True), *reversed(list(zip(xs, low, strict=True)))]
        self.canvas.path([self.at(x, y) for x, y in points], f"band fill-{colour}", closed=True)

    def horizontal(self, value: float, text: str, below: bool = False) -> None:
        """Add a dashed line across the plot, with a text above or below its end."""
        left, top = self.corner
        y = top + (1 - self.y.fraction(value)) * self.height
        self.canvas.path([(left, y), (left + self.width, y)], "edge dashed")
        self.canvas.text((left + self.width - 4, y + (10 if below else -9)), text, "note", "end")

    def names(self, names: Sequence[str], at: Point, colours: Sequence[int] | None = None) -> None:
        """Add a legend, one name a line."""
        for row, name in enumerate(names):
            x, y = at[0], at[1] + 19 * row
            colour = colours[row] if colours else row
            self.canvas.path([(x, y), (x + 22, y)], f"curve stroke-{colour}")
            self.canvas.text((x + 29, y), name)
