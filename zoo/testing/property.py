"""Try a law on examples that Hypothesis generates; they are the same in every run, and so is the result."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from zoo.errors import UsageError


def example_count() -> int:
    """Examples for each law and each kind of input: ``ZOO_TEST_EXAMPLES``, or 5.

    Raises:
        UsageError: if the variable is not a positive integer.
    """
    text = os.environ.get("ZOO_TEST_EXAMPLES", "5")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"ZOO_TEST_EXAMPLES is {text!r}; expected a positive number of examples for each law."
        )
    return int(text)


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
