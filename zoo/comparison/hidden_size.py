"""The hidden size at which a cell comes nearest to a budget of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MOST_HIDDEN = 2**15
TOLERANCE = 0.05
"""Allowed relative difference between the parameters of a cell and the budget."""
_REACH = 1024
"""Sizes that suit a cell lie at most so far apart: heads, orders and periods divide them."""

Count = Callable[[int], "int | None"]
"""Parameters at a hidden size; None if the cell does not come in that size. It never falls as H grows."""


@dataclass(frozen=True)
class Size:
    """A hidden size, and what comes of it.

    Args:
        hidden: ``H``.
        parameters: ``P``, of all layers and the readout.
    """

    hidden: int
    parameters: int


def nearest(budget: int, count: Count) -> Size | None:
    """The size whose number of parameters is nearest to a budget; of two as near, the smaller one.

    Args:
        budget: Parameters that are asked for.
        count: Parameters at each hidden size.

    Returns:
        None if the cell comes in no size up to `MOST_HIDDEN`, or has fewer parameters in all of them.
    """
    known = functools.cache(count)
    above = _first_above(budget, known)
    if above is None:
        return None
    below = _size(range(above.hidden - 1, max(0, above.hidden - 1 - _REACH), -1), known)
    return min(filter(None, (below, above)), key=lambda size: abs(size.parameters - budget))


def smallest(count: Count) -> Size | None:
    """The smallest size that a cell comes in, with the fewest parameters; None if it comes in none."""
    return _next(1, functools.cache(count))


def _first_above(budget: int, count: Count) -> Size | None:
    """The smallest size with at least so many parameters."""
    low, high = 1, 1
    while (found := _next(high, count)) is not None and found.parameters < budget:
        low, high = found.hidden + 1, 2 * found.hidden
        if found.hidden > MOST_HIDDEN:
            return None
    while low < high:
        middle = (low + high) // 2
        found = _next(middle, count)
        if found is not None and found.parameters < budget:
            low = found.hidden + 1
        else:
            high = middle
    return _next(low, count)


def _next(hidden: int, count: Count) -> Size | None:
    """The next size that suits the cell, from ``hidden`` on."""
    return _size(range(hidden, hidden + _REACH), count)


def _size(candidates: Iterable[int], count: Count) -> Size | None:
    sizes = ((hidden, count(hidden)) for hidden in candidates)
    return next((Size(hidden, number) for hidden, number in sizes if number is not None), None)
