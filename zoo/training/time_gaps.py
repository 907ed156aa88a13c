"""Times between steps that are longer than the solver of a cell can take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.layers.stack import Stack


def long_gap_note(stack: Stack, description: Mapping[str, Any]) -> str:
    """A sentence if the largest time between steps is above the limit of a cell; empty if it is not.

    Args:
        stack: The layers.
        description: The description of the data, with the largest ``dt`` if they have times.
    """
    largest = description.get("largest_dt")
    if largest is None:
        return ""
    declared = [(cell.inputs["dt"], cell.options) for cell in stack.cells if "dt" in cell.inputs]
    limits = [limit for each, options in declared if (limit := each.limit_for(options)) is not None]
    if not limits or largest <= min(limits):
        return ""
    return (
        f"the largest time between rows is {largest:,.4g} times the median, and {stack.label()} solves its "
        f"equation in explicit steps, which are stable up to a dt of {min(limits):g}, so its states may grow "
        f"without bound; choose a cell without this limit, such as cfc or ltc, or see the options of the cell"
    )
