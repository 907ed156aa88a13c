"""Describe an exception that foreign code raised: its message, and the line that caused it."""

from __future__ import annotations

import importlib
import os
import traceback
from pathlib import Path

import pluggy

import zoo
from zoo.errors import ZooError

_IMPORT_CODE = tuple(
    str(Path(file).parent) + os.sep for file in (zoo.__file__, pluggy.__file__, importlib.__file__)
)

_GENERATED_FILES = ("<frozen ", "<string>")  # import system; code of dataclasses

_MAX_TEXT = 1000  # characters of a message: an exception may carry a whole array


def error_text(error: BaseException) -> str:
    """The message of an exception with its type, unless it is one of zoo, and its source line."""
    # TracebackException survives a __str__ that raises.
    text = " ".join(str(traceback.TracebackException(type(error), error, None)).split())
    message = text if isinstance(error, ZooError) else f"{type(error).__name__}: {text}".rstrip(": ")
    message = (
        message if len(message) <= _MAX_TEXT else f"{message[:_MAX_TEXT]}... ({len(message):,} characters)"
    )
    line = _source_line(error)
    return f"{message} ({line})" if line else message


def _source_line(error: BaseException) -> str:
    """File and line of the innermost frame that is neither zoo's nor the import system's."""
    if isinstance(error, SyntaxError):
        return ""  # the message contains the location
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_IMPORT_CODE, *_GENERATED_FILES))
    ]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
