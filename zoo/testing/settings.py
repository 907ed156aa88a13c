"""Settings of checks from the environment."""

from __future__ import annotations

import os

from zoo.errors import UsageError

EXAMPLES_VARIABLE = "ZOO_TEST_EXAMPLES"


def example_count() -> int:
    """Examples for each law and each kind of input: ``ZOO_TEST_EXAMPLES``, or 5.

    Raises:
        UsageError: if the variable is not a positive integer.
    """
    text = os.environ.get(EXAMPLES_VARIABLE, "5")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"{EXAMPLES_VARIABLE} is {text!r}; expected a positive number of examples for each law."
        )
    return int(text)
