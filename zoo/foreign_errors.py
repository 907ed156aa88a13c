"""Exceptions of foreign code: store one instead of raising it, and describe its message and its line."""

from __future__ import annotations

import importlib
import os
import traceback
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

import pluggy

import zoo
from zoo.errors import DefinitionError, ZooError

_IMPORT_CODE = tuple(
    str(Path(file).parent) + os.sep for file in (zoo.__file__, pluggy.__file__, importlib.__file__)
)

_GENERATED_FILES = ("<frozen ", "<string>")  # import system; code of dataclasses

_MAX_TEXT = 1000  # characters of a message: an exception may carry a whole array


@dataclass
class ImportResult:
    """The result of importing foreign code.

    Attributes:
        error: The exception; None if there was none.
    """

    error: BaseException | None = None


def error_text(error: BaseException) -> str:
    """The message of an exception with its type, unless it is one of zoo, and its source line."""
    # TracebackException survives a __str__ that raises.
    text = " ".join(str(traceback.TracebackException(type(error), error, None)).split())
    message = text if isinstance(error, ZooError) else f"{type(error).__name__}: {text}".rstrip(": ")
    message = (
        message if len(message) <= _MAX_TEXT else f"{message[:_MAX_TEXT]}... ({len(message):,} characters)"
    )
    line = _source_line(error)
    return f"{message}{f' ({line})' * bool(line)}{_folder_advice(error)}"


def _source_line(error: BaseException) -> str:
    """File and line of a wrong declaration, or of the innermost frame outside zoo and the import system."""
    if isinstance(error, SyntaxError):
        return ""  # the message contains the location
    if isinstance(error, DefinitionError) and error.location:
        return error.location
    frame = _innermost_frame(error)
    return f"{Path(frame.filename).name}, line {frame.lineno}" if frame else ""


def _innermost_frame(error: BaseException) -> traceback.FrameSummary | None:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_IMPORT_CODE, *_GENERATED_FILES))
    ]
    return frames[-1] if frames else None


def _folder_advice(error: BaseException) -> str:
    """Advice if a file outside a package imports a module of its own folder, where Python does not search."""
    frame = _innermost_frame(error)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not missing or "." in missing or frame is None:
        return ""
    folder = Path(frame.filename).parent
    is_in_folder = PathFinder.find_spec(missing, [str(folder)]) is not None
    if not is_in_folder or PathFinder.find_spec("__init__", [str(folder)]) is not None:
        return ""
    return f". {missing} is in the folder of this file; add {folder} to PYTHONPATH to import it"
