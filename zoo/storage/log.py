"""Logs of JSON lines. A line is a record once its newline is written.

A writer may die at any moment: readers and the next writer ignore a last line without a newline. Numbers that
JSON lacks are written as the strings ``"nan"``, ``"inf"`` and ``"-inf"``, which ``float()`` reads; None would
not distinguish an unknown loss from one that exploded. Logs are read one line at a time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from io import FileIO
from pathlib import Path

import numpy as np

from zoo.errors import CheckpointError
from zoo.storage import strict_json
from zoo.storage.atomic import write_chunks
from zoo.storage.safe_read import cannot_write, exists, opened

MAX_LOG_BYTES = 2**30
NOT_FINITE = ("nan", "inf", "-inf")
MAX_LINE_BYTES = 2**20
"""Largest line with its newline. The longest is a sample, with 12 bytes for a character outside the BMP."""


def append(path: Path, record: Mapping[str, object]) -> None:
    """Append one record to the log at ``path``; the operating system has it when this returns.

    Args:
        path: The log; created when missing.
        record: JSON values; NumPy scalars, NaN and infinity are allowed.

    Raises:
        CheckpointError: The record is not JSON, or it could not be written; the log is then unchanged.
    """
    line = _line(path, record)
    try:
        with FileIO(path, "a+") as file:
            _append_whole(file, line)
    except OSError as error:
        raise cannot_write(path, error) from error


def read(path: Path) -> list[dict[str, object]]:
    """All records, oldest first; empty without a log.

    Raises:
        CheckpointError: The log cannot be read, or a line is not a JSON object; the message names the line.
    """
    return [record for _, record in iterate(path)]


def iterate(path: Path) -> Iterator[tuple[bytes, dict[str, object]]]:
    """Yield each complete line, newline included, with its record; raises as `read`."""
    if not exists(path):
        return
    with opened(path, max_bytes=MAX_LOG_BYTES) as (file, _):
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise CheckpointError(
                    f"{path}, line {number}: it has more than {MAX_LINE_BYTES:,} bytes. "
                    "Correct or delete that line."
                )
            if line.endswith(b"\n"):  # otherwise it is torn, and the last
                yield line, _parse(path, number, line)


def truncate(path: Path, step: int, without: Collection[str] = ()) -> None:
    """Atomically drop the records of steps after ``step``, those of some events, and a torn last line.

    A record without an integer ``"step"`` stays.

    Args:
        path: The log.
        step: The last step that stays.
        without: Values of ``"event"`` whose records are dropped.

    Raises:
        CheckpointError: As `read`, or the log could not be written; it is then unchanged.
    """
    if exists(path):
        write_chunks(path, (line for line, record in iterate(path) if _stays(record, step, without)))


def _stays(record: dict[str, object], last: int, without: Collection[str]) -> bool:
    step = record.get("step")
    return record.get("event") not in without and not (isinstance(step, int) and step > last)


def _parse(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        return strict_json.loads_object(line)
    except ValueError as error:
        raise CheckpointError(f"{path}, line {number}: {error}. Correct or delete that line.") from error


def _line(path: Path, record: Mapping[str, object]) -> bytes:
    try:
        line = strict_json.dumps(_loggable(dict(record)), where="record").encode() + b"\n"
    except ValueError as error:
        raise CheckpointError(f"cannot write to {path}: {error}.") from error
    if len(line) > MAX_LINE_BYTES:
        raise CheckpointError(
            f"cannot write to {path}: the record has {len(line):,} bytes; "
            f"expected at most {MAX_LINE_BYTES:,}."
        )
    return line


def _loggable(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, dict):
        return {key: _loggable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_loggable(item) for item in value]
    return value


def _append_whole(file: FileIO, line: bytes) -> None:
    """Append ``line``; on an error such as a full disk, restore the old size."""
    start = _cut_torn_line(file)
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[file.write(rest) or 0 :]
    except OSError:
        file.truncate(start)
        raise


def _cut_torn_line(file: FileIO) -> int:
    """Remove a torn last line, and return the new size of the file."""
    size = file.seek(0, 2)
    if size == 0:
        return 0
    start = max(0, size - MAX_LINE_BYTES)
    file.seek(start)
    end = (file.read(MAX_LINE_BYTES) or b"").rfind(b"\n")
    if end < 0 < start:
        raise CheckpointError(
            f"cannot write to {file.name}: its last line has more than {MAX_LINE_BYTES:,} bytes. "
            "Correct or delete that line."
        )
    return file.truncate(start + end + 1)
