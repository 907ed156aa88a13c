"""Files that are written whole, and none over another that nobody asked to replace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zoo.arguments import as_bool
from zoo.errors import UsageError
from zoo.storage.atomic import write_bytes


def check_free(paths: list[Path], force: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        UsageError: if a file is there and ``force`` is not given, or the directory is not there.
    """
    as_bool(force, "export: force")
    for path in paths:
        if path.is_dir():
            raise UsageError(f"export: {path} is a directory; name a file.")
        if not path.parent.is_dir():
            raise UsageError(
                f"export: {path} cannot be written, since {path.parent} is no directory; make it."
            )
        if path.exists() and not force:
            raise UsageError(f"export: {path} is there already; choose another name, or force it (--force).")


def write_all(texts: Mapping[Path, bytes]) -> None:
    """Write files, each whole or not at all.

    Raises:
        CheckpointError: if one cannot be written.
    """
    for path, data in texts.items():
        write_bytes(path, data)
