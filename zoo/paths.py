"""Paths as people write them: ``Path.expanduser`` and ``Path.resolve`` raise RuntimeError for some."""

from __future__ import annotations

import os
from pathlib import Path


def expand_user(path: str | Path) -> Path:
    """The path with ``~`` expanded; that of a user who is not there stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - which raises nothing


def real_path(path: str | Path) -> Path:
    """The absolute path, expanded, with links followed as far as they lead; a loop of links stays."""
    return Path(os.path.realpath(expand_user(path)))
