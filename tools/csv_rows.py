"""Files of results that grow: a line for each run, with a heading. Lines are dataclasses."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "bool": {"True": True, "False": False}.__getitem__,
    "int": int,
    "float": float,
}

Line = TypeVar("Line")


def append_rows(file: Path, rows: Sequence[Any], kind: type) -> None:
    """Append dataclasses as lines, with a heading if the file is new or empty. None is an empty text.

    Args:
        file: The file, whose directory is created if it is missing.
        rows: The dataclasses.
        kind: Their class, whose fields are the columns.
    """
    is_new = not file.exists() or not file.stat().st_size
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, _columns(kind), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in asdict(row).items()} for row in rows
        )


def read_rows(file: Path, kind: type[Line]) -> list[Line]:
    """The lines of a file, none if it does not exist.

    Args:
        file: The file.
        kind: The dataclass of a line. Its annotations are the types of the columns.

    Raises:
        ValueError: if the columns are others, or a line is incomplete or has a value of another type.
    """
    if not file.exists():
        return []
    columns = _columns(kind)
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if reader.fieldnames is not None and [*reader.fieldnames] != columns:
            raise ValueError(
                f"{file} has the columns {', '.join(reader.fieldnames)}; expected {', '.join(columns)}"
            )
        rows = []
        for line in reader:
            if None in line or None in line.values():
                raise ValueError(
                    f"{file}, line {reader.line_num}: expected {len(columns)} values; remove the line, and "
                    f"its run is repeated"
                )
            try:
                values = {each.name: _value(line[each.name], str(each.type)) for each in fields(kind)}  # type: ignore[arg-type]
            except (ValueError, KeyError) as error:
                raise ValueError(
                    f"{file}, line {reader.line_num}: a value has another type ({error}); remove the line, "
                    f"and its run is repeated"
                ) from error
            rows.append(kind(**values))
    return rows


def _columns(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _value(text: str, annotation: str) -> Any:
    kind = annotation.removesuffix(" | None")
    return None if not text and kind != annotation else _PARSERS[kind](text)
