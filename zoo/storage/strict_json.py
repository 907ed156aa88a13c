"""Strict JSON: no NaN, no duplicate keys, string keys only, bounded nesting and numbers.

Errors are ``ValueError`` with a reason; the caller adds the name of the file.
"""

from __future__ import annotations

import json
import math
from collections import Counter

# Real configurations nest four or five deep. The bound is far below Python's recursion limit, so every
# process can read what another wrote, however deep its own stack is.
MAX_DEPTH = 64
# Readers may convert a number to a float, which holds 308 digits. A seed has 19.
MAX_DIGITS = 300
_TOO_LARGE = 10**MAX_DIGITS


def dumps(value: object, *, indent: int | None = None, where: str = "value") -> str:
    """Encode a value canonically: sorted keys, plain ASCII, no spaces unless ``indent`` is given.

    Args:
        value: Built of dict (with string keys), list, tuple (becomes a list), str, int, float, bool, None.
        indent: Spaces per level for a file that people read; None for one line.
        where: Name of the value in error messages.

    Raises:
        ValueError: Something in the value cannot be stored, or would not come back unchanged.
    """
    _check(value, where, 0)
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, sort_keys=True, allow_nan=False, indent=indent, separators=separators)


def loads(data: bytes) -> object:
    """Decode UTF-8 JSON.

    Raises:
        ValueError: Not UTF-8, not JSON, a duplicate key, a number that is not finite or has more than 300
            digits, or nested too deep.
    """
    try:
        value: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short,
        )
        _check_depth(value, 0)
    except RecursionError:
        raise _too_deep() from None
    return value


def loads_object(data: bytes) -> dict[str, object]:
    """Decode UTF-8 JSON whose outermost value must be an object; raises as `loads`."""
    value = loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"it holds a JSON {type(value).__name__}, expected an object")
    return value


_MAX_QUOTED = 60


def quote(text: str) -> str:
    """Quote text of a file for a message: no control characters, and the first 60 characters alone."""
    return ascii(text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "...")


def _check(value: object, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}, and JSON keys are strings")
            _check(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]", depth + 1)
    else:
        _check_leaf(value, where)


def _check_leaf(value: object, where: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {float(value)}, and JSON has no such number")
    elif isinstance(value, int) and abs(value) >= _TOO_LARGE:
        raise ValueError(f"{where} is an integer of more than {MAX_DIGITS} digits")
    elif value is not None and not isinstance(value, str | int):
        raise ValueError(f"{where} has the type {type(value).__name__}, which JSON cannot hold")


def _check_depth(value: object, depth: int) -> None:
    # Not `_check`, which names locations: the keys of a hostile file could make a name of megabytes.
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, depth + 1)


def _too_deep() -> ValueError:
    return ValueError(f"its JSON is nested more than {MAX_DEPTH} levels deep")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {quote(twice)} is there twice")
    return unique


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {quote(text)} is too large")
    return number


def _short(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"the number {quote(text)} has more than {MAX_DIGITS} digits")
    return int(text)
