"""What went wrong in somebody else's code, and where, in one sentence."""

from __future__ import annotations

import importlib
import os
import traceback
from dataclasses import dataclass
from pathlib import Path

import pluggy

import zoo
from zoo.errors import ZooError

_MACHINERY = tuple(
    str(Path(file).parent) + os.sep for file in (zoo.__file__, pluggy.__file__, importlib.__file__)
)

_GENERATED = ("<frozen ", "<string>")  # import machinery; what dataclasses write

_LONGEST = 1000  # characters of a message: an exception may carry a whole array


@dataclass
class ImportResult:
    """The result of importing foreign code.

    Attributes:
        error: Whatever it raised; None if it ended normally.
    """

    error: BaseException | None = None


def sentence(error: BaseException) -> str:
    """The message of an exception with its type, unless it is zoo's own, and the line that caused it."""
    # TracebackException survives a __str__ that raises.
    text = " ".join(str(traceback.TracebackException(type(error), error, None)).split())
    said = text if isinstance(error, ZooError) else f"{type(error).__name__}: {text}".rstrip(": ")
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}... ({len(said):,} characters)"
    line = _line(error)
    return f"{said} ({line})" if line else said


def _line(error: BaseException) -> str:
    """File and line of the innermost frame that is neither zoo's nor the import machinery's."""
    if isinstance(error, SyntaxError):
        return ""  # the message names the place
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_MACHINERY, *_GENERATED))
    ]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
