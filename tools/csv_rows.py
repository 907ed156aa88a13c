"""Files of results that grow: a line for each run, with a heading."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any


def append_rows(file: Path, rows: Sequence[Any], kind: type) -> None:
    """Append dataclasses as lines, with a heading if the file is new. None is an empty text.

    Args:
        file: The file, whose directory is created if it is missing.
        rows: The dataclasses.
        kind: Their class, whose fields are the columns.
    """
    is_new = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, [field.name for field in fields(kind)], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in asdict(row).items()} for row in rows
        )


def read_lines(file: Path) -> list[dict[str, str]]:
    """The lines of a file by column, none if it does not exist."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
