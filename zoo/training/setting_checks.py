"""Checks of the settings of a training run: valid values, and their description in messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zoo.arguments import is_number
from zoo.base.loss import EXPECTED_WEIGHT, is_weight
from zoo.kernels.precision import BF16
from zoo.layers.validation import DTYPES


class Check(NamedTuple):
    """The check of a setting.

    Attributes:
        allows: Whether a value is valid. None is also valid where it is the default.
        expected: Description of valid values, for messages.
        choices: The values on the command line; empty if there is no list.
    """

    allows: Callable[[Any], bool]
    expected: str
    choices: tuple[str, ...] = ()


def _is_options(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_cells(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, tuple) and len(value) > 1 and all(isinstance(cell, str) for cell in value)
    )


def _is_cell_options(value: Any) -> bool:
    return all(map(_is_options, value)) if isinstance(value, tuple) else _is_options(value)


def _is_weights(value: Any) -> bool:
    return _is_options(value) and all(map(is_weight, value.values()))


def _is_sources(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(source, str) for source in value)


def _is_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) and name for name in value)


def _is_assignments(value: Any) -> bool:
    # Without files: those of a run directory must not cause imports.
    return _is_names(value) and not any(".py:" in text for text in value)


MAX_SAMPLE_LENGTH = 80_000
"""Symbols of a sample in training, which is a line of the log; ``zoo sample`` writes any number."""


def one_of(*choices: str) -> Check:
    """A check for one of some texts."""
    *first, last = map(repr, choices)
    few = f"{', '.join(first)} or {last}" if first else last
    expected = few if len(choices) < 4 else f"one of {', '.join(choices)}"
    return Check(lambda value: isinstance(value, str) and value in choices, expected, choices)


def at_least(low: int) -> Check:
    """A check for an integer."""
    return Check(lambda value: type(value) is int and value >= low, f"an integer of at least {low}")


POSITIVE_INT = at_least(1)
NONNEGATIVE_INT = at_least(0)
NONNEGATIVE_NUMBER = Check(lambda value: is_number(value) and value >= 0, "a number of at least 0")
POSITIVE_NUMBER = Check(lambda value: is_number(value) and value > 0, "a number above 0")
FRACTION = Check(lambda value: is_number(value) and 0 <= value < 1, "a number from 0 up to, not including, 1")
SAMPLE_LENGTH = Check(
    lambda value: type(value) is int and 0 <= value <= MAX_SAMPLE_LENGTH,
    f"an integer from 0 to {MAX_SAMPLE_LENGTH:,}",
)
SEED = Check(lambda value: type(value) is int and 0 <= value < 2**63, "an integer from 0 to 2^63 - 1")
STRING = Check(lambda value: isinstance(value, str), "a string")
# The model checks both: its message has a hint for bfloat16, and a precision may be the name of the dtype.
DTYPE = STRING._replace(choices=tuple(DTYPES))
PRECISION = STRING._replace(choices=("float32", BF16))
BOOL = Check(lambda value: isinstance(value, bool), "true or false")
OPTIONS = Check(_is_options, "a mapping of names to values")
WEIGHTS = Check(_is_weights, f"{EXPECTED_WEIGHT} for each column, as in load=2,price=1")
CLASS_WEIGHTS = Check(
    lambda value: (isinstance(value, str) and value == "balanced") or (_is_weights(value) and bool(value)),
    f"'balanced', or {EXPECTED_WEIGHT} for each class, as in run=3,walk=1, or in Python "
    "{'run': 3, 'walk': 1}",
)
CELLS = Check(_is_cells, "a string, or a tuple with a string for each layer")
CELL_OPTIONS = Check(_is_cell_options, "a mapping of names to values, or a tuple with one for each layer")
COLUMNS = Check(_is_names, "names of columns")
ASSIGNMENTS = Check(_is_assignments, "texts with registered names, without files")
SOURCES = Check(_is_sources, "one or more names of files, directories or built-in texts")
