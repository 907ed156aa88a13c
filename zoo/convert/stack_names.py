"""Parameters of a stack by layer, and which cell they are said to be of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.arguments import as_mapping
from zoo.arrays import as_array
from zoo.base import Cell
from zoo.convert.gate_layout import Array, Arrays, has_form
from zoo.errors import UsageError
from zoo.registry import resolve_cell

_NAME = re.compile(r"(l(\d+)(?:\.(reverse))?)\.(\w+)")


def counterpart(cell: str | type[Cell] | Cell, library: str, cells: Iterable[str], who: str) -> Cell:
    """The cell itself, if the other library has it.

    Args:
        cell: A name, a class or a cell.
        library: What the library is called.
        cells: Those it has.
        who: Who asks, for errors.

    Raises:
        UsageError: if it has not.
    """
    found = resolve_cell(cell)
    if found.name not in cells or not has_form(found):
        raise UsageError(
            f"{who}: {library} has no {found.label()} with weights of its own; it has {', '.join(cells)}."
        )
    return found


def layer_name(index: int, reverse: bool) -> str:
    """How zoo names a layer in one direction: ``l0``, ``l0.reverse``."""
    return f"l{index}.reverse" if reverse else f"l{index}"


def layer_names(count: int, bidirectional: bool) -> list[str]:
    """The names of so many layers, in order; with two directions, forwards comes first."""
    ways = (False, True) if bidirectional else (False,)
    return [layer_name(index, reverse) for index in range(count) for reverse in ways]


def by_layer(cell: Cell, params: Mapping[str, Any], who: str) -> dict[str, Arrays]:
    """Parameters ``"l0.Wx"`` by the name of their layer, in order.

    Raises:
        UsageError: if they are not all the parameters of some layers of the cell.
    """
    groups: dict[str, Arrays] = {}
    for name, value in as_mapping(params, f"{who}: params").items():
        match = _NAME.fullmatch(name)
        if match is None or match[4] not in cell.params:
            raise UsageError(
                f"{who}: {cell.label()} has no parameter {name!r}; expected l0.{', l0.'.join(cell.params)} "
                f"and so on for every layer."
            )
        groups.setdefault(match[1], {})[match[4]] = as_array(value, f"{who}: {name}")
    both = any(name.endswith("reverse") for name in groups)
    expected = layer_names(len(groups) // (1 + both), both)
    if set(groups) != set(expected) or not groups:
        raise UsageError(
            f"{who}: found the layers {', '.join(sorted(groups)) or '(none)'}; some are missing."
        )
    for layer in expected:
        missing = [name for name in cell.params if name not in groups[layer]]
        if missing:
            raise UsageError(f"{who}: {layer}.{missing[0]} is missing; give all parameters of a layer.")
    return {layer: groups[layer] for layer in expected}


def joined(layers: Mapping[str, Mapping[str, Array]]) -> Arrays:
    """The parameters of all layers under zoo's names, each an array of its own."""
    return {
        f"{layer}.{name}": np.array(value, order="C")
        for layer, arrays in layers.items()
        for name, value in arrays.items()
    }
