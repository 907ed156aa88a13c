"""Assertions of the laws, whose messages name the component, and trials of a law on generated examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol
from unittest import SkipTest

import numpy as np

from zoo.array_types import Array
from zoo.base import Component


class Labelled(Protocol):
    """A component, or a loss."""

    def label(self) -> str:
        """Its name in error messages."""


NO_DERIVATIVE = (
    "If values are finite and gradients are NaN, a branch of np.where that is not selected may have no "
    "derivative: clamp its argument, np.where(a > 0, np.sqrt(np.maximum(a, 1e-12)), 0.0)."
)


def fail(component: Labelled, what: str, actual: object, expected: object, meaning: str = "") -> NoReturn:
    """Raise the error of a broken law.

    Args:
        component: The component that breaks it.
        what: The value that is checked; empty if ``actual`` names it.
        actual: The value.
        expected: The value that it should have.
        meaning: The usual cause and the remedy, in whole sentences.

    Raises:
        AssertionError: always.
    """
    parts = ": ".join(filter(None, [component.label(), what, f"found {actual}, expected {expected}."]))
    raise AssertionError(f"{parts} {meaning}".rstrip())


def require(
    component: Labelled, holds: object, actual: object, expected: object, what: str = "", meaning: str = ""
) -> None:
    """Fail unless a law holds.

    ``actual`` and ``expected`` may be functions, since printing an array takes longer than a check.

    Raises:
        AssertionError: if it does not hold; see :func:`fail`.
    """
    if not holds:
        actual, expected = (text() if callable(text) else text for text in (actual, expected))
        fail(component, what, actual, expected, meaning)


def is_close(actual: Array, expected: Array, tolerance: float, equal_nan: bool = False) -> bool:
    """Whether arrays of one shape are equal to a relative and absolute tolerance."""
    if actual.shape != expected.shape:
        return False
    return bool(np.allclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=equal_nan))


def require_docs(component: Component, declarations: Mapping[str, Any], variant: bool = True) -> None:
    """Require a docstring and, of a published component, a variant on the card and a help of declarations.

    Raises:
        AssertionError: naming what is missing.
    """
    require(component, component.summary(), "no docstring", "a line that says what it is")
    if component.card.published:
        has_variant = component.card.variant.strip() or not variant
        require(component, has_variant, "a card without a variant", "which variant it is")
        without_help = [name for name, each in declarations.items() if not each.help.strip()]
        require(component, not without_help, f"{without_help} without help", "a line of help each")


def skip_unless_compiled(component: Component, kernel: str) -> None:
    """Skip a law of compiled kernels for a function without ``@zoo.njit``, which runs as plain Python.

    Args:
        component: The component.
        kernel: Name of its kernel.

    Raises:
        SkipTest: for a Python function, with advice.
    """
    if not hasattr(component.kernel(kernel), "py_func"):
        raise SkipTest(f"{kernel} runs as plain Python; write @zoo.njit above its definition to compile it")


def assert_same(
    component: Component, actual: Mapping[str, Array], expected: Mapping[str, Array], meaning: str
) -> None:
    """Every array equals its counterpart exactly."""
    assert_close(component, actual, expected, 0.0, meaning)


def assert_close(
    component: Component,
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    tolerance: float,
    meaning: str,
) -> None:
    """Every element differs from its counterpart by at most the tolerance times the array's maximum, or one.

    The inputs have size one: a small result is a difference of such numbers, with their rounding errors.
    """
    worst = max(actual, key=lambda name: _excess(actual[name], expected[name], tolerance))
    if _excess(actual[worst], expected[worst], tolerance) > 0:
        _report(component, worst, actual[worst], expected[worst], tolerance, meaning)


def _report(
    component: Component, what: str, actual: Array, expected: Array, tolerance: float, meaning: str
) -> NoReturn:
    if actual.shape != expected.shape:
        fail(component, what, f"shape {actual.shape}", f"shape {expected.shape}", meaning)
    index = np.unravel_index(int(np.argmax(_distance(actual, expected))), actual.shape)
    where = f"{what} at {[int(i) for i in index]}" if index else what
    if np.isnan(actual[index]) and np.isfinite(expected[index]):
        meaning = f"{NO_DERIVATIVE} {meaning}"
    margin = f" (within {_margin(expected, tolerance):.1e})" if tolerance else " (to the bit)"
    fail(component, where, f"{actual[index]:.10g}", f"{expected[index]:.10g}{margin}", meaning)


def _excess(actual: Array, expected: Array, tolerance: float) -> float:
    """The largest distance minus the margin; at most zero if the arrays agree."""
    if actual.shape != expected.shape:
        return np.inf
    if actual.size == 0:
        return -1.0
    return float(np.max(_distance(actual, expected))) - _margin(expected, tolerance)


def _margin(expected: Array, tolerance: float) -> float:
    finite = np.abs(expected[np.isfinite(expected)]) if tolerance else np.empty(0)
    return tolerance * float(finite.max(initial=1.0))


def _distance(actual: Array, expected: Array) -> Array:
    """Distances; zero between two NaN or two equal infinities, infinite between a number and NaN."""
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(actual.astype(np.float64) - expected.astype(np.float64)))
    return np.where(np.isnan(distance), np.inf, distance)


def skip_unless(condition: bool) -> None:
    """Let Hypothesis draw another example unless the condition holds."""
    from hypothesis import assume

    assume(condition)


def try_examples(law: Callable[..., None], *strategies: Any, count: int) -> None:
    """Try a law on examples and shrink the first that breaks it; nothing is stored.

    Args:
        law: Raises AssertionError if it is broken, for a value of each strategy.
        *strategies: Hypothesis strategies.
        count: The number of examples.

    Raises:
        AssertionError: for the smallest example found that breaks the law.
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky

    @settings(
        max_examples=count,
        phases=(Phase.generate, Phase.shrink),
        deadline=None,  # the first example may wait for a compiler
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*strategies))
    def holds(values: tuple[Any, ...]) -> None:
        law(*values)

    try:
        holds()
    except Flaky as error:
        first = next(iter(getattr(error, "exceptions", ())), error)
        raise AssertionError(f"{first} The failure came and went with the same inputs.") from error
