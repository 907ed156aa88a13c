"""Names of a stack's parameters by layer, and the check that another library has the cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.arguments import as_mapping
from zoo.arrays import as_array
from zoo.base import Cell
from zoo.convert.gate_layout import Array, Arrays, has_gate_layout
from zoo.errors import UsageError
from zoo.registry import resolve_cell

_NAME = re.compile(r"(l(\d+)(?:\.(reverse))?)\.(\w+)")


def check_supported(cell: str | type[Cell] | Cell, library: str, cells: Iterable[str], who: str) -> Cell:
    """Resolve a cell and check that the other library has it.

    Args:
        cell: A name, a class or a cell.
        library: Name of the library.
        cells: Cells of the library.
        who: Owner for error messages.

    Raises:
        UsageError: if the library does not have it.
    """
    resolved = resolve_cell(cell)
    if resolved.name not in cells or not has_gate_layout(resolved):
        raise UsageError(
            f"{who}: {library} has no {resolved.label()} with its own weights; it has {', '.join(cells)}."
        )
    return resolved


def layer_name(index: int, reverse: bool) -> str:
    """Zoo's name of a layer in one direction: ``l0``, ``l0.reverse``."""
    return f"l{index}.reverse" if reverse else f"l{index}"


def layer_names(count: int, bidirectional: bool) -> list[str]:
    """The names of ``count`` layers, in order; the forward direction first."""
    directions = (False, True) if bidirectional else (False,)
    return [layer_name(index, reverse) for index in range(count) for reverse in directions]


def split_by_layer(cell: Cell, params: Mapping[str, Any], who: str) -> dict[str, Arrays]:
    """Group parameters ``"l0.Wx"`` by layer, in order.

    Raises:
        UsageError: if they are not the complete parameters of layers of the cell.
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
    is_bidirectional = any(name.endswith("reverse") for name in groups)
    expected = layer_names(len(groups) // (1 + is_bidirectional), is_bidirectional)
    if set(groups) != set(expected) or not groups:
        raise UsageError(
            f"{who}: found the layers {', '.join(sorted(groups)) or '(none)'}; some are missing."
        )
    for layer in expected:
        missing = [name for name in cell.params if name not in groups[layer]]
        if missing:
            raise UsageError(f"{who}: {layer}.{missing[0]} is missing; give all parameters of a layer.")
    return {layer: groups[layer] for layer in expected}


def merge_layers(layers: Mapping[str, Mapping[str, Array]]) -> Arrays:
    """Merge the parameters of all layers under zoo's names, as copies."""
    return {
        f"{layer}.{name}": np.array(value, order="C")
        for layer, arrays in layers.items()
        for name, value in arrays.items()
    }
