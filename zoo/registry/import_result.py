"""The result of running foreign code, whose exception is stored and not raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class ImportResult:
    """The result of importing foreign code.

    Attributes:
        error: The exception; None if there was none.
    """

    error: BaseException | None = None


@contextmanager
def captured_error() -> Iterator[ImportResult]:
    """Run code of this package in the block, and store its exception instead of raising it."""
    result = ImportResult()
    try:
        yield result
    except Exception as error:
        result.error = error
