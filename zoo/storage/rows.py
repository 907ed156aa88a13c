"""Records in a JSON file, checked against the kinds of value that their fields may hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from zoo.errors import CheckpointError
from zoo.storage.strict_json import quote

MAX_BYTES = 64 * 2**20
"""Of a file of records: those of 30,000 runs and their summary take about 35 MB."""

Kinds = Mapping[str, str]
"""Field to kind: ``str``, ``bool``, ``int``, ``float`` or ``measure``, or one of them with `` | None``."""


LARGEST = 1e100
"""Of a measure: sums of squares of such numbers are finite."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_measure(value: Any) -> bool:
    """Whether a value is a number that can be averaged with others: finite, and no larger than `LARGEST`."""
    return _is_number(value) and abs(value) <= LARGEST


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "a text"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: type(value) is int, "an integer"),
    "float": (_is_number, "a number"),
    "measure": (is_measure, f"a number up to {LARGEST:g}"),
}


def check_row(values: object, kinds: Kinds, where: str) -> dict[str, Any]:
    """A record with every field of ``kinds``; a field that may be None may be missing.

    Args:
        values: The record as it was read.
        kinds: The fields that it should have. Others are left out.
        where: The place of the record, for messages.

    Raises:
        CheckpointError: if it is no object, a field is missing, or its value is of another kind.
    """
    if not isinstance(values, dict):
        raise CheckpointError(f"{where} is no object of names and values.")
    return {name: _checked(values.get(name), kind, f"{where}: {name}") for name, kind in kinds.items()}


def check_rows(rows: object, kinds: Kinds, where: str) -> list[dict[str, Any]]:
    """A list of records, each as `check_row` takes it; raises `CheckpointError`."""
    if not isinstance(rows, list):
        raise CheckpointError(f"{where} is no list; make it again with `zoo compare`.")
    return [check_row(values, kinds, f"{where}[{place}]") for place, values in enumerate(rows)]


def _checked(value: object, kind: str, where: str) -> object:
    name, _, none = kind.partition(" | ")
    allows, words = _ALLOWED[name]
    if not (value is None and none) and not allows(value):
        raise CheckpointError(f"{where} is {quote(str(value))}; expected {words}.")
    return value
