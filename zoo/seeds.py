"""Seeds of random numbers: integers from 0 to 2^64 - 1."""

from __future__ import annotations

import numbers
from typing import Any

from zoo.arguments import short_repr
from zoo.errors import UsageError

SEEDS = 2**64
"""Number of seeds."""


def is_seed(value: Any) -> bool:
    """Whether a value is an integer from 0 to 2^64 - 1."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_integer and 0 <= int(value) < SEEDS


def check_seed(seed: Any, what: str = "seed") -> int:
    """The seed itself.

    Raises:
        UsageError: if it is no integer from 0 to 2^64 - 1; None would start differently each time.
    """
    if not is_seed(seed):
        raise UsageError(f"{what} is {short_repr(seed)}; expected an integer from 0 to 2^64 - 1.")
    return int(seed)
