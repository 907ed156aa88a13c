"""What zoo raises: in a sentence or two who, where, what was found, what was expected, what to do."""

from __future__ import annotations


class ZooError(Exception):
    """Base of every error that zoo raises on purpose; the command line prints it without a traceback."""


class DefinitionError(ZooError, TypeError):
    """A cell, optimizer or sampler class is not well formed."""


class UsageError(ZooError, ValueError):
    """An argument, option or shape does not fit."""


class UnknownNameError(ZooError, KeyError):
    """No registered member has this name."""

    __str__ = Exception.__str__  # KeyError would print the repr of the message


class PluginError(ZooError):
    """A plugin could not be loaded; raised only under ``ZOO_STRICT_PLUGINS=1``."""


class DataError(ZooError, ValueError):
    """A text is missing, unreadable, or too small for what was asked."""


class CheckpointError(ZooError):
    """A checkpoint or run directory is damaged, foreign, or does not fit."""


class ZooWarning(UserWarning):
    """Something works, but not as well as it should."""
