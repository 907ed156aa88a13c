"""JSON without its surprises: no NaN, no duplicate key, no key that changes its type, no bottomless nesting.

Everything here raises ``ValueError`` with a reason; the caller knows the file and adds its name.
"""

from __future__ import annotations

import json
import math
from collections import Counter

# Real configurations nest four or five deep. The bound lies far below Python's recursion limit, so
# whatever one process could write, every other can read, however deep its own stack is.
MAX_DEPTH = 64
# Whatever reads a number may convert it to a float, which holds 308 digits. A seed has 19.
MAX_DIGITS = 300
_TOO_LARGE = 10**MAX_DIGITS


def dumps(value: object, *, indent: int | None = None, where: str = "value") -> str:
    """One canonical text per value: sorted keys, plain ASCII, no spaces unless ``indent`` is given.

    Args:
        value: Built of dict (with string keys), list, tuple (becomes a list), str, int, float, bool, None.
        indent: Spaces per level for a file that people read; None for one line.
        where: What the value is called in an error message.

    Raises:
        ValueError: Something in the value cannot be stored, or would not come back as it was.
    """
    _check(value, where, 0)
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, sort_keys=True, allow_nan=False, indent=indent, separators=separators)


def loads(data: bytes) -> object:
    """The value in ``data`` (UTF-8 JSON).

    Raises:
        ValueError: Not UTF-8, not JSON, a key twice in one object, a number not finite or of more than 300
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
    """Like `loads`, for a file whose outermost value must be an object."""
    value = loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"it holds a JSON {type(value).__name__}, expected an object")
    return value


def quote(text: str, limit: int = 60) -> str:
    """``text`` from a file, made safe and short for a message: no control characters, no endless lines."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def _check(value: object, where: str, depth: int) -> None:
    """Raise ``ValueError`` unless JSON can hold ``value`` and give it back (a tuple as a list)."""
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
        raise ValueError(f"{where} is a {type(value).__name__}, which JSON cannot hold")


def _check_depth(value: object, depth: int) -> None:
    # Apart from `_check`, which names places: a name made of a hostile file's keys could be megabytes long.
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
