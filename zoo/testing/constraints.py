"""The laws of a constraint: each ``check_x(constraint)`` raises AssertionError if it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias
from unittest import SkipTest

import numpy as np
from hypothesis import strategies as st

from zoo.array_types import Array
from zoo.base import Constraint
from zoo.errors import UsageError
from zoo.testing.assertions import require, require_docs, try_examples

Check: TypeAlias = Callable[[Constraint], None]

_SHAPES = ((5,), (10, 4), (3, 3), (6, 12))
_SEEDS = st.integers(0, 2**32 - 1)


def check_card(constraint: Constraint) -> None:
    """The card names its variant, and every option has a help text."""
    require_docs(constraint, constraint.declared_options)


def check_in_place(constraint: Constraint) -> None:
    """``start`` and ``project`` change the array in place and return nothing."""

    def law(seed: int) -> None:
        for values, initial in _parameters(constraint, seed):
            results = constraint.project(values, initial), constraint.start(values)  # type: ignore[func-returns-value]
            require(
                constraint,
                results == (None, None),
                "an array that is returned",
                "a change in place, as in np.clip(values, -1, 1, out=values)",
            )

    try_examples(law, _SEEDS, count=5)


def check_project_twice(constraint: Constraint) -> None:
    """A second projection changes nothing."""

    def law(seed: int) -> None:
        for values, initial in _parameters(constraint, seed):
            constraint.project(values, initial)
            _require_allowed(constraint, values, initial, "the result of a projection")

    try_examples(law, _SEEDS, count=20)


def check_start(constraint: Constraint) -> None:
    """``start`` makes initial values allowed: a projection changes nothing."""

    def law(seed: int) -> None:
        for _, initial in _parameters(constraint, seed):
            values = initial.copy()
            constraint.start(values)
            _require_allowed(constraint, values, initial, "the result of start")

    try_examples(law, _SEEDS, count=20)


def check_initial_unchanged(constraint: Constraint) -> None:
    """``project`` does not write to the initial values."""

    def law(seed: int) -> None:
        for values, initial in _parameters(constraint, seed):
            before = initial.tobytes()
            constraint.project(values, initial)
            require(constraint, initial.tobytes() == before, "other initial values", "unchanged ones")

    try_examples(law, _SEEDS, count=5)


def check_nan(constraint: Constraint) -> None:
    """A parameter that is NaN stays NaN, so that a diverged run is visible."""

    def law(seed: int) -> None:
        for values, initial in _parameters(constraint, seed):
            values[...] = np.nan
            constraint.project(values, initial)
            require(constraint, np.isnan(values).any(), f"{values}", "NaN")

    try_examples(law, _SEEDS, count=5)


def _require_allowed(constraint: Constraint, values: Array, initial: Array, what: str) -> None:
    projected = values.copy()
    constraint.project(projected, initial)
    same = np.allclose(projected, values, rtol=1e-6, atol=0)
    require(constraint, same, f"{projected} after another projection", f"{values}", what)


def _parameters(constraint: Constraint, seed: int) -> Iterator[tuple[Array, Array]]:
    """Values and initial values of every shape that suits the constraint, in both dtypes."""
    suitable = [shape for shape in _SHAPES if _suits(constraint, shape)]
    if not suitable:
        raise SkipTest(f"the constraint suits no parameter of shape {', '.join(map(str, _SHAPES))}")
    for shape in suitable:
        for dtype in (np.float32, np.float64):
            values, initial = np.random.default_rng(seed).normal(size=(2, *shape)).astype(dtype)
            yield values, initial


def _suits(constraint: Constraint, shape: tuple[int, ...]) -> bool:
    try:
        constraint.check("parameter", shape)
    except UsageError:
        return False
    return True


CONSTRAINT_CHECKS: tuple[Check, ...] = (
    *(check_in_place, check_project_twice, check_start),
    *(check_initial_unchanged, check_nan, check_card),
)
"""All laws; the others depend on the first."""
