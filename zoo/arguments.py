"""Validation of the arguments of public functions; arrays are checked in :mod:`zoo.layers.validation`."""

from __future__ import annotations

import errno
import math
import numbers
import os
import reprlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from zoo.errors import UsageError

SEEDS = 2**64
"""Number of seeds."""


def is_seed(value: Any) -> bool:
    """Whether a value is an integer from 0 to 2^64 - 1."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_integer and 0 <= int(value) < SEEDS


def check_seed(seed: Any, what: str = "seed") -> int:
    """Check a seed and return it.

    Raises:
        UsageError: if it is not an integer from 0 to 2^64 - 1; None would not be reproducible.
    """
    if not is_seed(seed):
        raise UsageError(f"{what} is {short_repr(seed)}; expected an integer from 0 to 2^64 - 1.")
    return int(seed)


def expand_user(path: str | Path) -> Path:
    """Expand ``~``, except for an unknown user, for whom ``Path.expanduser`` raises RuntimeError."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - does not raise


def real_path(path: str | Path) -> Path:
    """The absolute path without links; a loop of links stays, where ``Path.resolve`` raises RuntimeError."""
    return Path(os.path.realpath(expand_user(path)))


K = TypeVar("K")

_MOST_BITS = 4096  # Python does not print integers of more than 4,300 digits

_LARGEST = sys.float_info.max


class _ShortRepr(reprlib.Repr):
    def repr_ndarray(self, array: Any, level: int) -> str:  # noqa: ARG002 - as reprlib calls it
        """An array within a list or mapping."""
        return dtype_and_shape(array)

    def repr_function(self, function: Any, level: int) -> str:  # noqa: ARG002 - as reprlib calls it
        """A function by its name: an address differs from run to run."""
        return f"the function {function.__qualname__}"

    def repr_mappingproxy(self, mapping: Mapping[Any, Any], level: int) -> str:
        return self.repr_dict(dict(mapping), level)


_REPR = _ShortRepr()

_REPR.maxstring = _REPR.maxother = 60


def short_repr(value: object) -> str:
    """Describe a value in one short line of an error message."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", ())
    if dtype is not None and shape and not isinstance(value, type):
        return f"an array {dtype}{shape}"
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"an integer of {value.bit_length():,} bits"
    text = _REPR.repr(value)
    return " ".join(text.split()) if "\n" in text else text


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with a noun that agrees with it: ``1 row``, ``2,000 rows``; a plural without s is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def dtype_and_shape(array: Any) -> str:
    """Describe an array in an error message: ``float32(4, 3)``, or its value if it has no axis."""
    kinds = {"U": "texts", "S": "bytes", "O": "objects"}
    name = kinds.get(array.dtype.kind, str(array.dtype))
    return f"{name}{array.shape}" if array.shape else short_repr(array.item())


def as_path(value: Any, name: str) -> Path:
    """Convert to a path.

    Raises:
        UsageError: if it is neither a string nor a path, is empty, contains NUL, or is too long for a file.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        why = "; no file name holds a NUL" if isinstance(text, str) and text else ""
        raise UsageError(f"{name} is {short_repr(value)}; expected a path, as a string or a Path{why}.")
    try:
        os.lstat(text)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # methods of Path raise it, too
            raise UsageError(f"{name} is {short_repr(text)}; the name is too long for a file.") from None
    return Path(text)


def as_directory(value: Any, name: str) -> Path:
    """Convert to the path of a directory, which need not exist.

    Raises:
        UsageError: if it is not a path, or a part of it is a file.
    """
    path = as_path(value, name)
    if _is_file(path):
        raise UsageError(f"{name} is {short_repr(str(path))}, a file; give a directory.")
    if (parent := _file_in(path)) is not None:
        raise UsageError(
            f"{name} is {short_repr(str(path))}, and {short_repr(str(parent))} is a file; give a directory."
        )
    return path


def missing_directory(path: Path) -> str:
    """The message for a file that cannot be written, because its directory ``path`` is not one."""
    file = _file_in(path / "file")
    if file is not None:
        return f"{file} is a file, not a directory; choose another name."
    return f"{path}: no such file or directory; create it first."


def _file_in(path: Path) -> Path | None:
    """The part of a path that should be a directory, and is a file."""
    return next(filter(_is_file, path.parents), None)


def _is_file(path: Path) -> bool:
    """Whether a path exists and is no directory: a device, too, where ``isfile`` is false."""
    return os.path.exists(path) and not os.path.isdir(path)  # noqa: PTH110, PTH112 - those of Path may raise


def as_integer(
    value: Any, name: str, low: int | None = None, high: int | None = None, expected: str = ""
) -> int:
    """Convert to an integer in a range.

    Args:
        value: The value.
        name: Its name in the message of the error.
        low: The least integer; None for no limit.
        high: The greatest integer; None for no limit.
        expected: End of the message, in place of the range.

    Raises:
        UsageError: if it is not an integer, or outside of the range.
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    number = int(value) if is_integer else 0
    if is_integer and (low is None or number >= low) and (high is None or number <= high):
        return number
    at_least = "" if low is None else f" of at least {low}"
    at_most = "" if high is None else f" of at most {high}"
    limits = at_least + at_most if low is None or high is None else f" from {low} to {high}"
    raise UsageError(f"{name} is {short_repr(value)}; expected {expected or 'an integer' + limits}.")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite int or float that a float can hold; a boolean is not a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def as_number(value: Any, name: str, expected: str = "a finite number") -> float:
    """Convert to a finite float.

    Raises:
        UsageError: if it is not a finite number.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        number = float(value) if is_real else math.nan  # NumPy warns if float32 is compared with `_LARGEST`
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return number


def as_fraction(value: Any, name: str) -> float:
    """Convert to a float from 0 up to, not including, 1.

    Raises:
        UsageError: if it is not a number in this range.
    """
    expected = "a number from 0 up to, not including, 1"
    number = as_number(value, name, expected)
    if not 0 <= number < 1:
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return number


def as_bool(value: Any, name: str) -> bool:
    """Convert to a boolean.

    Raises:
        UsageError: if it is neither True nor False: "no" would count as true.
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # those of NumPy
        raise UsageError(f"{name} is {short_repr(value)}; expected True or False.")
    return bool(value)


def as_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Check that a value is one of the choices.

    Raises:
        UsageError: if it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} is {short_repr(value)}; expected one of {', '.join(map(repr, choices))}.")
    return value


def as_instance(value: Any, name: str, kind: type[K], expected: str) -> K:
    """Check that a value is an instance of a class.

    Raises:
        UsageError: if it is not.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return value


def as_mapping(value: Any, name: str) -> Mapping[Any, Any]:
    """Check that a value is a mapping with string keys.

    Raises:
        UsageError: if it is not.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{name} is {short_repr(value)}; expected a mapping from names.")
    return value


def as_elements(value: Any, name: str, expected: str) -> tuple[Any, ...]:
    """Convert an iterable to a tuple.

    Raises:
        UsageError: if it is not iterable.
    """
    if not isinstance(value, Iterable) or getattr(value, "shape", None) == ():  # an array of no axis
        raise UsageError(f"{name} is {short_repr(value)}; expected {expected}.")
    return tuple(value)
