"""Check that the data that a run was trained on still exist and have not changed."""

from __future__ import annotations

import os
from collections.abc import Iterable

from zoo.data.builtin import PREFIX
from zoo.data.sources import IN_MEMORY, STDIN
from zoo.data.table_files import IN_MEMORY_TABLE
from zoo.errors import DataError, MissingSourceError


def check_training_files(run: object, sources: Iterable[object], advice: str = "") -> None:
    """Check that the files that a run was trained on exist, before they are read again.

    Args:
        run: The run or its directory, for messages.
        sources: The data in its configuration; those that are not names of files pass.
        advice: The advice of the error; empty to restore the file, or to name another one.

    Raises:
        MissingSourceError: if one is missing.
    """
    for source in sources:
        if not isinstance(source, str) or source == STDIN:
            continue
        if source.startswith((PREFIX, IN_MEMORY, IN_MEMORY_TABLE)):
            continue
        if not os.path.exists(source):  # noqa: PTH110 - Path.exists raises for a name that is too long
            owner = getattr(run, "path", run)
            advice = advice or "Restore it, or name the file with `data=FILE`."
            raise MissingSourceError(
                f"{owner}: the file of its training data, {source}, is missing: no such file or directory. "
                f"{advice}"
            )


def check_unchanged(name: str, now: str, then: str, *commands: str) -> None:
    """Check that the data of training have not changed; changed data have other rows in each part.

    Args:
        name: The name of the data, for messages.
        now: SHA-256 of the data.
        then: SHA-256 of the data during training; empty if it is unknown, then there is no check.
        *commands: The commands that read other data, such as ``eval``.

    Raises:
        DataError: if they have changed.
    """
    if then and now != then:
        advice = " or ".join(f"`zoo {command} RUN --data FILE`" for command in commands)
        raise DataError(
            f"{name} has changed since training (sha256 {then[:12]} then, {now[:12]} now), so its training, "
            f"validation and test parts differ; restore it, or read it as other data, {advice}."
        )
