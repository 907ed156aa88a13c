"""Exceptions of zoo; messages say what was found, what was expected and what to do."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import FrameType


class ZooError(Exception):
    """Base class of the errors of zoo; the command line prints them without a traceback."""


class DefinitionError(ZooError, TypeError):
    """The class of a component is not well formed.

    Args:
        message: The message.
        location: File and line of the declaration that is wrong, ``"cells.py, line 9"``; empty if the line of
            the traceback is the right one.
    """

    def __init__(self, message: str, location: str = "") -> None:
        super().__init__(message)
        self.location = location


class UsageError(ZooError, ValueError):
    """An argument, option or shape is invalid."""


class UnknownNameError(ZooError, KeyError):
    """The name of a component is unknown."""

    __str__ = Exception.__str__  # KeyError would print the repr of the message


class PluginError(ZooError):
    """A plugin could not be loaded; raised only under ``ZOO_STRICT_PLUGINS=1``."""


class DataError(ZooError, ValueError):
    """A text or a table is missing, unreadable, or too small."""


class MissingSourceError(DataError, UsageError):
    """The caller names a file, a directory, a built-in text or a column that does not exist."""


class CheckpointError(ZooError):
    """A checkpoint or run directory is damaged, foreign, or does not match."""


class DivergenceError(ZooError):
    """Training diverged.

    Args:
        reason: The step, the numbers that are not finite, and what to change.
        saved: Where earlier states of the run are; empty without a run directory.
    """

    def __init__(self, reason: str, saved: str = "") -> None:
        super().__init__(reason, saved)
        self.reason, self.saved = reason, saved

    def __str__(self) -> str:
        """The sentences of the message."""
        return f"training diverged: {self.reason}.{self.saved}"


class ZooWarning(UserWarning):
    """A problem that does not stop the work."""


def warn_caller(sentence: str) -> None:
    """Warn with :class:`ZooWarning` at the line that called zoo, however deep in zoo the problem is."""
    warnings.warn(sentence, ZooWarning, stacklevel=_caller()[1])


def warn_without(sentence: str, owner: str, others: int, result: str) -> None:
    """Warn that some series or sequences have no result.

    Args:
        sentence: The reason, and advice.
        owner: The first of them, as in ``series 'a'``.
        others: The number of further ones.
        result: The result, as in ``forecast``.
    """
    owners = f"{owner} and {others:,} more have" if others else f"{owner} has"
    warn_caller(f"{sentence} Until then {owners} no {result}.")


def caller_location() -> str:
    """File and line that called zoo, ``"cells.py, line 9"``."""
    frame, _ = _caller()
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


def _caller() -> tuple[FrameType, int]:
    """The innermost frame outside zoo, and its stack level for the caller of this function."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "zoo":
        frame, level = frame.f_back, level + 1
    return frame, level
