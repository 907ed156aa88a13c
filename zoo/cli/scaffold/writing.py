"""A directory that appears whole or not at all, and never in the place of somebody's files."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from zoo.errors import UsageError
from zoo.paths import real_path


def check_target(target: Path) -> None:
    """Refuse a place where a new directory cannot stand; an empty directory is no obstacle.

    Raises:
        UsageError: if something is there, there is nothing to put it in, or it is the current directory.
    """
    if not real_path(target).parent.is_dir():
        raise UsageError(f"{target}: there is no directory {real_path(target).parent}; make it first.")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; choose another directory with --dir.")
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty, and nothing is overwritten; choose another with --dir.")
    if target.is_dir() and target.samefile(Path.cwd()):
        raise UsageError(
            f"{target} is the directory you are in, which cannot be replaced; go one up and name it there."
        )


def write_directory(target: Path, texts: Mapping[str, str]) -> None:
    """Make a directory with files, all of them or, if anything fails, none.

    They are written beside the target, under a name of nobody else's, and renamed into place.

    Args:
        target: Where; nothing, or an empty directory.
        texts: Text of each file under its name.

    Raises:
        UsageError: as :func:`check_target`.
        OSError: what the system does not grant.
    """
    check_target(target)
    target = real_path(target)  # a link to an empty directory stays a link
    beside = target.parent / f".zoo-new-{secrets.token_hex(8)}"
    try:
        beside.mkdir()
        for name, text in texts.items():
            (beside / name).write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()  # refuses a directory that has been filled meanwhile
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
