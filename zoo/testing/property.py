"""Try a law on examples that Hypothesis chooses."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo._lazy import require
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.testing.trials import EVERY_KIND, Case, Kind, suitable_sizes

Span = tuple[int, int]


def examples() -> int:
    """Examples for each law and each kind of input: ``ZOO_TEST_EXAMPLES``, or 5.

    Raises:
        UsageError: if the variable is no positive integer.
    """
    text = os.environ.get("ZOO_TEST_EXAMPLES", "5")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"ZOO_TEST_EXAMPLES is {text!r}; expected a positive number of examples for each law."
        )
    return int(text)


def for_all(
    cell: Cell,
    law: Callable[[Case], None],
    *,
    kinds: tuple[Kind, ...] = EVERY_KIND,
    steps: Span = (1, 4),
    batch: Span = (1, 3),
    most_inputs: int = 3,
    most_hidden: int = 4,
    layers: tuple[int, ...] = (1, 2),
    least_inputs: int = 1,
) -> None:
    """Try a law at every kind of input, at sizes from one up.

    The kinds are few, so each is tried; the rest is Hypothesis's choice, the smallest sizes first.

    Args:
        cell: The cell.
        law: Raises AssertionError where it is broken.
        kinds: Dtypes, each with tokens or without.
        steps: Least and most ``T``.
        batch: Least and most ``B``.
        most_inputs: Largest ``I``.
        most_hidden: Largest ``H``.
        layers: Numbers of layers.
        least_inputs: Smallest ``I``.

    Raises:
        AssertionError: with the smallest case found for which the law is broken.
    """
    require("hypothesis", "zoo.testing", "testing")
    from hypothesis import strategies as st

    sizes = suitable_sizes(cell, most_inputs, most_hidden, layers, least_inputs)
    for dtype, tokens in kinds:
        cases = st.builds(
            Case,
            cell=st.just(cell),
            steps=st.integers(*steps),
            batch=st.integers(*batch),
            sizes=st.sampled_from(sizes),
            dtype=st.just(dtype),
            tokens=st.just(tokens),
            seed=st.integers(0, 99),
        )
        _search(law, cases)


def _search(law: Callable[[Case], None], cases: Any) -> None:
    """Run Hypothesis: the same examples each time, kept nowhere; the first may wait for a compiler."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Flaky

    @settings(
        max_examples=examples(),
        phases=(Phase.generate, Phase.shrink),
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def holds(case: Case) -> None:
        at_case(case, law)

    try:
        holds()
    except Flaky as error:
        first = next(iter(getattr(error, "exceptions", ())), error)
        raise AssertionError(f"{first} The failure came and went with the same inputs.") from error


def at_case(case: Case, law: Callable[[Case], None]) -> None:
    """Try a law on one case, which an error names at its end."""
    try:
        with np.errstate(
            all="ignore"
        ):  # plain Python would warn of the infinities that some laws make on purpose
            law(case)
    except AssertionError as error:
        raise AssertionError(f"{error} [{case}]") from error.__cause__
