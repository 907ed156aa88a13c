"""Comparing arrays, and saying what differs: who, what, found, expected, and what it usually means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from zoo.base import Component

Array = np.ndarray[Any, Any]


def fail(member: Component, what: str, found: object, expected: object, meaning: str) -> NoReturn:
    """Break a law.

    Args:
        member: Whose law it is.
        what: The thing looked at.
        found: Its value.
        expected: The value it should have.
        meaning: What usually causes this, and the way out; whole sentences.

    Raises:
        AssertionError: always.
    """
    raise AssertionError(f"{member.label()}: {what}: found {found}, expected {expected}. {meaning}")


def assert_same(
    member: Component, found: Mapping[str, Array], expected: Mapping[str, Array], meaning: str
) -> None:
    """Every array equals its counterpart bit for bit."""
    assert_close(member, found, expected, 0.0, meaning)


def assert_close(
    member: Component,
    found: Mapping[str, Array],
    expected: Mapping[str, Array],
    tolerance: float,
    meaning: str,
) -> None:
    """No number is further from its counterpart than the tolerance times the array's largest, or times one.

    The floor of one is the size of the numbers that go in: a small result is the difference of such, and
    carries their roundings.
    """
    worst = max(found, key=lambda name: _excess(found[name], expected[name], tolerance))
    if _excess(found[worst], expected[worst], tolerance) > 0:
        _report(member, worst, found[worst], expected[worst], tolerance, meaning)


def _report(
    member: Component, what: str, found: Array, expected: Array, tolerance: float, meaning: str
) -> NoReturn:
    if found.shape != expected.shape:
        fail(member, what, f"shape {found.shape}", f"shape {expected.shape}", meaning)
    place = np.unravel_index(int(np.argmax(_distance(found, expected))), found.shape)
    where = f"{what} at {[int(i) for i in place]}" if place else what
    margin = f" (within {_margin(expected, tolerance):.1e})" if tolerance else " (to the bit)"
    fail(member, where, f"{found[place]:.10g}", f"{expected[place]:.10g}{margin}", meaning)


def _excess(found: Array, expected: Array, tolerance: float) -> float:
    """The largest distance over what is allowed, relative to it; at most zero if the arrays agree."""
    if found.shape != expected.shape:
        return np.inf
    if found.size == 0:
        return -1.0
    return float(np.max(_distance(found, expected))) - _margin(expected, tolerance)


def _margin(expected: Array, tolerance: float) -> float:
    finite = np.abs(expected[np.isfinite(expected)]) if tolerance else np.empty(0)
    return tolerance * float(finite.max(initial=1.0))


def _distance(found: Array, expected: Array) -> Array:
    """Distances; zero between two NaN or two equal infinities, infinite between a number and NaN."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(found.astype(np.float64) - expected.astype(np.float64)))
    return np.where(np.isnan(distance), np.inf, distance)
