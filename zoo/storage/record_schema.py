"""Checks of the records in a JSON file against a schema of their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo.arguments import is_number, short_repr
from zoo.errors import CheckpointError
from zoo.storage.strict_json import quote

MAX_BYTES = 64 * 2**20
"""Largest file of records in bytes: 30,000 runs and their summary take about 35 MB."""

Schema = Mapping[str, str]
"""Field to kind: ``str``, ``bool``, ``int``, ``float`` or ``bounded_float``, or one with `` | None``."""

MAX_BOUNDED_FLOAT = 1e100
"""Largest magnitude of a measure, so that sums of squares stay finite."""


def is_bounded_float(value: Any) -> bool:
    """Whether a value is a finite number of at most `MAX_BOUNDED_FLOAT`."""
    return is_number(value) and abs(value) <= MAX_BOUNDED_FLOAT


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "a text"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: type(value) is int, "an integer"),
    "float": (is_number, "a number"),
    "bounded_float": (is_bounded_float, f"a number up to {MAX_BOUNDED_FLOAT:g}"),
}


def check_record(values: object, schema: Schema, where: str) -> dict[str, Any]:
    """Validate a record; a field that may be None may be missing.

    Args:
        values: The record.
        schema: Its fields. Others are left out.
        where: Location of the record, for messages.

    Returns:
        The record with every field of ``schema``.

    Raises:
        CheckpointError: if it is not an object, a field is missing, or a value is of another kind.
    """
    if not isinstance(values, dict):
        raise CheckpointError(f"{where} is not an object of names and values.")
    missing = [name for name, kind in schema.items() if name not in values and not kind.endswith(" | None")]
    if missing:
        raise CheckpointError(
            f"{where} lacks {missing[0]!r}; another version of zoo wrote the file, or it is damaged. Run "
            f"`zoo compare` with another --out."
        )
    return {name: _checked(values.get(name), kind, f"{where}: {name}") for name, kind in schema.items()}


def check_records(rows: object, schema: Schema, where: str) -> list[dict[str, Any]]:
    """Validate a list of records as `check_record` does; raises `CheckpointError`."""
    if not isinstance(rows, list):
        raise CheckpointError(f"{where} is not a list; run `zoo compare` again.")
    return [check_record(values, schema, f"{where}[{index}]") for index, values in enumerate(rows)]


def _checked(value: object, kind: str, where: str) -> object:
    name, _, none = kind.partition(" | ")
    allows, words = _ALLOWED[name]
    if not (value is None and none) and not allows(value):
        text = quote(value) if isinstance(value, str) else short_repr(value)
        raise CheckpointError(f"{where} is {text}; expected {words}.")
    return value
