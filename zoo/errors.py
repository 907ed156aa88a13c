"""Exceptions of zoo; messages say what was found, what was expected and what to do."""

from __future__ import annotations

import sys
import warnings


class ZooError(Exception):
    """Base class of the errors of zoo; the command line prints them without a traceback."""


class DefinitionError(ZooError, TypeError):
    """The class of a component is not well formed."""


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


class ZooWarning(UserWarning):
    """A problem that does not stop the work."""


def warn_caller(sentence: str) -> None:
    """Warn with :class:`ZooWarning` at the line that called zoo, however deep in zoo the problem is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "zoo":
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, ZooWarning, stacklevel=level)
