"""Choose the hidden size whose number of parameters is nearest to a budget."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_HIDDEN = 2**15
TOLERANCE = 0.05
"""Allowed relative difference between the parameters of a cell and the budget."""
_MAX_GAP = 1024
"""Largest distance between consecutive valid hidden sizes, which heads, orders and periods must divide."""

Count = Callable[[int], "int | None"]
"""Parameters at a hidden size; None if the size is invalid. It never decreases as ``H`` grows."""


@dataclass(frozen=True)
class HiddenSize:
    """A hidden size and its number of parameters.

    Args:
        hidden: ``H``.
        parameters: ``P``, of all layers and the readout.
    """

    hidden: int
    parameters: int


def nearest_hidden_size(budget: int, count: Count) -> HiddenSize | None:
    """Find the size whose number of parameters is nearest to a budget; the smaller of two equally near ones.

    Args:
        budget: Number of parameters.
        count: Parameters at each hidden size.

    Returns:
        None if no size up to `MAX_HIDDEN` is valid, or all of them have fewer parameters.
    """
    cached_count = functools.cache(count)
    above = _first_reaching(budget, cached_count)
    if above is None:
        return None
    below = _first_valid(range(above.hidden - 1, max(0, above.hidden - 1 - _MAX_GAP), -1), cached_count)
    return min(filter(None, (below, above)), key=lambda size: abs(size.parameters - budget))


def smallest_hidden_size(count: Count) -> HiddenSize | None:
    """Find the smallest valid size, which has the fewest parameters; None if there is none."""
    return _next_size(1, functools.cache(count))


def _first_reaching(budget: int, count: Count) -> HiddenSize | None:
    """Find the smallest size with at least ``budget`` parameters, by bisection."""
    low, high = 1, 1
    while (size := _next_size(high, count)) is not None and size.parameters < budget:
        low, high = size.hidden + 1, 2 * size.hidden
        if size.hidden > MAX_HIDDEN:
            return None
    while low < high:
        middle = (low + high) // 2
        size = _next_size(middle, count)
        if size is not None and size.parameters < budget:
            low = size.hidden + 1
        else:
            high = middle
    return _next_size(low, count)


def _next_size(hidden: int, count: Count) -> HiddenSize | None:
    """Find the first valid size from ``hidden`` on."""
    return _first_valid(range(hidden, hidden + _MAX_GAP), count)


def _first_valid(candidates: Iterable[int], count: Count) -> HiddenSize | None:
    sizes = ((hidden, count(hidden)) for hidden in candidates)
    return next((HiddenSize(hidden, number) for hidden, number in sizes if number is not None), None)
