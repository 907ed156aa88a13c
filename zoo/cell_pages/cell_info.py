"""Information about cells for lists, and the keys to sort them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from zoo.base import Block, Cell, Modifier
from zoo.base.component import Component, first_paragraph
from zoo.errors import UsageError
from zoo.registry import registry_of

INPUT_SIZE, HIDDEN_SIZE = 65, 128  # the alphabet of Tiny Shakespeare, and the hidden size of a first run

CellInfo = dict[str, Any]
_SORT_KEYS: dict[str, Callable[[CellInfo], Any]] = {
    "name": lambda info: info["name"],
    "family": lambda info: info["family"],
    "year": lambda info: info["year"],
    "scope": lambda info: info["scope"],
    "state_size": lambda info: info["state_size"]["count"],
    "parameters": lambda info: info["parameters"]["count"],
    "speed": lambda info: info.get("speed", {}).get("ns_per_token"),
}
SORT_KEYS = tuple(_SORT_KEYS)


def option_prefix(component: type[Component]) -> str:
    """The prefix of the options of a block or modifier, which are options of the cell that it makes."""
    return f"{component.name}_" if issubclass(component, Block | Modifier) else ""


def cell_info(name: str) -> CellInfo:
    """Information about a registered cell, without compiling it.

    Counts are None where the sizes are invalid for the cell with its default options.

    Raises:
        UnknownNameError: if no cell has the name.
    """
    registry = registry_of(Cell)
    cls, source = registry.cls(name), registry.source(name)
    return {
        "name": name,
        "family": cls.family,
        "year": cls.card.year,
        "scope": cls.card.scope,
        "states": {state.name: [size.text for size in state.shape] for state in cls.states.values()},
        "state_size": _count_and_formula(
            lambda: cls().state_size(INPUT_SIZE, HIDDEN_SIZE), cls.state_formula()
        ),
        "parameters": _count_and_formula(
            lambda: cls().parameter_count(INPUT_SIZE, HIDDEN_SIZE), cls.parameter_formula()
        ),
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


def _count_and_formula(count: Callable[[], int], formula: str) -> CellInfo:
    try:
        number = count()
    except UsageError:
        number = None
    return {"input_size": INPUT_SIZE, "hidden_size": HIDDEN_SIZE, "count": number, "formula": formula}


def sort_cells(rows: Iterable[CellInfo], order: str) -> list[CellInfo]:
    """Sort cells by a key, then by name; cells without a value come last.

    Args:
        rows: The cells.
        order: One of ``SORT_KEYS``, with a minus in front from the greatest to the least.
    """
    key = _SORT_KEYS[order.removeprefix("-")]
    named = sorted(rows, key=_SORT_KEYS["name"])
    known = [info for info in named if key(info) is not None]
    known.sort(key=key, reverse=order.startswith("-"))
    return known + [info for info in named if key(info) is None]


def group_by_family(rows: Iterable[CellInfo]) -> dict[str, list[CellInfo]]:
    """The cells of each family, sorted by name."""
    ordered = sort_cells(rows, "family")
    return {family: list(members) for family, members in groupby(ordered, key=lambda info: info["family"])}


def family_description(cls: type[Cell]) -> str:
    """Description of a family: the first paragraph of the package of that name.

    Empty for a cell outside such a package.
    """
    package, _, _ = cls.__module__.rpartition(".")
    if package.rpartition(".")[2] != cls.family:
        return ""
    return first_paragraph(sys.modules[package])
