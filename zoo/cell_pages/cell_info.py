"""A cell in a list: plain facts, and what a list can be sorted by."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from zoo.base import Cell
from zoo.base.component import first_paragraph
from zoo.errors import UsageError
from zoo.registry import registry_of

INPUTS, HIDDEN = 65, 128  # the alphabet of Tiny Shakespeare, and the hidden size of a first run

Facts = dict[str, Any]
_KEYS: dict[str, Callable[[Facts], Any]] = {
    "name": lambda facts: facts["name"],
    "family": lambda facts: facts["family"],
    "year": lambda facts: facts["year"],
    "scope": lambda facts: facts["scope"],
    "carried": lambda facts: facts["carried"]["count"],
    "parameters": lambda facts: facts["parameters"]["count"],
    "speed": lambda facts: facts.get("speed", {}).get("ns_per_token"),
}
ORDERS = tuple(_KEYS)


def facts_of(name: str) -> Facts:
    """What there is to know of a registered cell without compiling it.

    Counts are None where the cell, with its default options, does not come in these sizes.

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
        "carried": _counted(lambda: cls().state_count(INPUTS, HIDDEN), cls.state_formula()),
        "parameters": _counted(lambda: cls().parameter_count(INPUTS, HIDDEN), cls.parameter_formula()),
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


def _counted(count: Callable[[], int], formula: str) -> Facts:
    try:
        found = count()
    except UsageError:
        found = None
    return {"input_size": INPUTS, "hidden_size": HIDDEN, "count": found, "formula": formula}


def in_order(rows: Iterable[Facts], order: str) -> list[Facts]:
    """Cells sorted by a fact, those that are equal by name; those that lack it come last.

    Args:
        rows: The cells.
        order: One of ``ORDERS``, with a minus in front from the greatest to the least.
    """
    key = _KEYS[order.removeprefix("-")]
    named = sorted(rows, key=_KEYS["name"])
    known = [facts for facts in named if key(facts) is not None]
    known.sort(key=key, reverse=order.startswith("-"))
    return known + [facts for facts in named if key(facts) is None]


def by_family(rows: Iterable[Facts]) -> dict[str, list[Facts]]:
    """The cells of each family, families and cells in the order of their names."""
    ordered = in_order(rows, "family")
    return {family: list(members) for family, members in groupby(ordered, key=lambda facts: facts["family"])}


def about_family(cls: type[Cell]) -> str:
    """Description of a family: the first paragraph of the package that has its name and its cells.

    Empty for a cell that lies elsewhere.
    """
    package, _, _ = cls.__module__.rpartition(".")
    if package.rpartition(".")[2] != cls.family:
        return ""
    return first_paragraph(sys.modules[package])
