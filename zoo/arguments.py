"""Seeds of random numbers: integers from 0 to 2^64 - 1.

Paths as people write them: ``Path.expanduser`` and ``Path.resolve`` raise RuntimeError for some.

Arguments of public functions, checked: one sentence for a value of the wrong kind or size.

Arrays have checks of their own, :mod:`zoo.layers.validation`.
"""

from __future__ import annotations

import numbers
import os
import reprlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

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


def expand_user(path: str | Path) -> Path:
    """The path with ``~`` expanded; that of a user who is not there stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - which raises nothing


def real_path(path: str | Path) -> Path:
    """The absolute path, expanded, with links followed as far as they lead; a loop of links stays."""
    return Path(os.path.realpath(expand_user(path)))


K = TypeVar("K")

_MOST_BITS = 4096  # Python refuses to write integers of more than 4,300 digits

_LARGEST = sys.float_info.max

_REPR = reprlib.Repr()

_REPR.maxstring = _REPR.maxother = 60


def short_repr(value: object) -> str:
    """A value in a message: in one short line, whatever it is."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", ())
    if dtype is not None and shape and not isinstance(value, type):
        return f"an array {dtype}{shape}"
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"an integer of {value.bit_length():,} bits"
    text = _REPR.repr(value)
    return " ".join(text.split()) if "\n" in text else text


def dtype_and_shape(array: Any) -> str:
    """An array in a message: ``float32(4, 3)``, or its value if it has no axis."""
    kinds = {"U": "texts", "S": "bytes", "O": "objects"}
    name = kinds.get(array.dtype.kind, str(array.dtype))
    return f"{name}{array.shape}" if array.shape else short_repr(array.item())


def as_path(value: Any, name: str) -> Path:
    """A path that a file can have.

    Raises:
        UsageError: if it is neither a string nor a path, is empty, or holds a NUL.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        why = "; no file name holds a NUL" if isinstance(text, str) and text else ""
        raise UsageError(f"{name} is {short_repr(value)}; expected a path, as a string or a Path{why}.")
    return Path(text)


def as_integer(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """An integer in a range.

    Raises:
        UsageError: if it is no integer, or outside of the range.
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    number = int(value) if is_integer else 0
    if is_integer and (low is None or number >= low) and (high is None or number <= high):
        return number
    if low is not None and high is not None:
        raise UsageError(f"{name} is {short_repr(value)}; expected an integer from {low} to {high}.")
    at_least = "" if low is None else f" of at least {low}"
    at_most = "" if high is None else f" of at most {high}"
    raise UsageError(f"{name} is {short_repr(value)}; expected an integer{at_least}{at_most}.")


def as_number(value: Any, name: str, expected: str = "a finite number") -> float:
    """A finite number.

    Raises:
        UsageError: if it is none.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not -_LARGEST <= value <= _LARGEST:
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return float(value)


def as_bool(value: Any, name: str) -> bool:
    """True or False.

    Raises:
        UsageError: if it is neither: "no" would count as true.
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # those of NumPy
        raise UsageError(f"{name} is {short_repr(value)}; expected True or False.")
    return bool(value)


def as_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """One of some words.

    Raises:
        UsageError: if it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} is {short_repr(value)}; expected one of {', '.join(map(repr, choices))}.")
    return value


def as_instance(value: Any, name: str, kind: type[K], expected: str) -> K:
    """An instance of a class.

    Raises:
        UsageError: if it is none.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return value


def as_mapping(value: Any, name: str) -> Mapping[Any, Any]:
    """A mapping from strings.

    Raises:
        UsageError: if it is none, or has other keys.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{name} is {short_repr(value)}; expected a mapping from names.")
    return value


def as_elements(value: Any, name: str, expected: str) -> tuple[Any, ...]:
    """The elements of an iterable, as a tuple.

    Raises:
        UsageError: if it is not iterable.
    """
    if not isinstance(value, Iterable) or getattr(value, "shape", None) == ():  # an array of no axis
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return tuple(value)
