"""What a stack may be made of, checked."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.arguments import short_repr
from zoo.contracts import Cell
from zoo.errors import UsageError

MOST_LAYERS = 1000


def as_cells(cell: Cell | Sequence[Cell], num_layers: int) -> tuple[Cell, ...]:
    """The cell of each floor.

    Raises:
        UsageError: if the number of floors is none, or not that of the cells.
    """
    cells = (cell,) if isinstance(cell, Cell) else tuple(cell)
    floors = as_size(label(cells), "num_layers", num_layers, MOST_LAYERS)
    if isinstance(cell, Cell):
        return cells * floors
    if floors not in (1, len(cells)) or not 1 <= len(cells) <= MOST_LAYERS:
        raise UsageError(
            f"num_layers is {floors} and there are {len(cells)} cells; expected a cell for each layer, or "
            f"one cell for all."
        )
    return cells


def label(cells: tuple[Cell, ...]) -> str:
    """How an error names the cells: as one, if they are."""
    if cells and all(cell == cells[0] for cell in cells):
        return cells[0].label()
    return f"cells {', '.join(repr(cell.name) for cell in cells)}"


def as_size(who: str, name: str, value: object, most: int | None = None) -> int:
    """A positive integer.

    Raises:
        UsageError: if it is none, or larger than it may be.
    """
    right = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
    if not right or (most is not None and int(value) > most):  # type: ignore[call-overload]
        expected = "a positive integer" if most is None else f"an integer from 1 to {most}"
        raise UsageError(f"{who}: {name} is {reprlib.repr(value)}; expected {expected}.")
    return int(value)  # type: ignore[call-overload,no-any-return]


def as_dropout(value: Any, who: str) -> float:
    """A probability less than one.

    Raises:
        UsageError: if it is none.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1:
        raise UsageError(
            f"{who}: dropout is {short_repr(value)}; expected a number from 0 up to, not including, 1."
        )
    return float(value)
