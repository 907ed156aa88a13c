"""A report: sections of blocks, and the form in which a page gets them."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from zoo.report.blocks.charts import Chart
from zoo.report.blocks.tables import Table
from zoo.report.blocks.texts import Facts, Picture, Prose, Samples, Text
from zoo.report.blocks.units import Units

Block = Chart | Table | Units | Samples | Facts | Text | Prose | Picture


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


def plain(value: Any) -> Any:
    """Blocks as JSON values; every block says its kind."""
    if is_dataclass(value):
        named = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"kind": value.kind, **named} if hasattr(value, "kind") else named
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value
