"""Warnings about auxiliary inputs: times that are too long for the solver of a cell, inputs without data."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import Any

from zoo.base import Cell
from zoo.layers.stack import Stack


def aux_notes(stack: Stack, kind: str, description: Mapping[str, Any]) -> list[str]:
    """Warnings about the auxiliary inputs of cells that are trained on a table or on labelled sequences.

    Args:
        stack: The layers.
        kind: The kind of the data, ``"table"``, ``"sequences"``, ``"text"`` or ``"task"``.
        description: The description of the data.
    """
    notes = [long_gap_note(stack, description)]
    if kind in ("table", "sequences"):  # a task or a text has no columns
        notes += [
            f"{stack.label()} has the auxiliary input {name!r}, and data only give `dt`, the time between "
            f"rows, so it is 0 in each row; to give it the values of a column, train an estimator of "
            f"zoo.sklearn with `aux`, or a zoo.SequenceModel"
            for name in inputs_without_values(stack, ("dt",))
        ]
    return [f"{note}." for note in notes if note]


def inputs_without_values(stack: Stack, given: Collection[str]) -> list[str]:
    """The auxiliary inputs that are not given and declare no default, so they are zero."""
    return [name for name, each in stack.inputs.items() if name not in given and not each.has_default]


def long_gap_note(stack: Stack, description: Mapping[str, Any]) -> str:
    """A sentence if the largest time between steps is above the limit of a cell; empty if it is not.

    Args:
        stack: The layers.
        description: The description of the data, with the largest ``dt`` if they have times.
    """
    largest = description.get("largest_dt")
    if largest is None:
        return ""
    limited = [
        (limit, cell)
        for cell in stack.cells
        if "dt" in cell.inputs and (limit := cell.inputs["dt"].limit_for(cell.options)) is not None
    ]
    limit, cell = min(limited, key=itemgetter(0), default=(math.inf, stack.cell))
    if largest <= limit:
        return ""
    options = [name for name in cell.options if _raises_limit(cell, name, limit)]
    remedy = f"raise {' or '.join(options)}, or " if options else ""
    return (
        f"the largest time between rows is {largest:,.4g} times the median, and {stack.label()} solves its "
        f"equation in explicit steps, which are stable up to a dt of {limit:g}, so its states may grow "
        f"without bound; {remedy}choose a cell without this limit, such as cfc or ltc"
    )


def _raises_limit(cell: Cell, name: str, limit: float) -> bool:
    """Whether twice the value of an option raises the limit of ``dt``."""
    value = cell.options[name]
    if type(value) not in (int, float):
        return False
    raised = cell.inputs["dt"].limit_for({**cell.options, name: 2 * value})
    return raised is not None and raised > limit
