"""Read CSV files block by block into typed columns."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np

from zoo.array_types import Array
from zoo.data.growing_array import GrowingArray
from zoo.data.table import (
    TIME_DTYPE,
    VALUE_DTYPES,
    ColumnKind,
    DataColumn,
    DataTable,
    LineNumbers,
    is_number_text,
    missing_values,
)
from zoo.errors import DataError

_ROWS = 2**15
"""Rows of a block. Larger blocks were not faster, and a row of eight texts takes about 700 bytes."""

_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "nat"))
"""Texts of a missing value, in lower case."""

_DECIDING_VALUES = 1000
"""Values that decide the kind of a column; a later value of another kind is an error."""

_PLAIN_TIME = frozenset("0123456789-:T. ")
"""Letters of a time that NumPy parses, or of a missing one."""

STDIN_NAME = "standard input"
"""The name of standard input in messages."""

_DELIMITERS = ",;\t|"

_DATE = re.compile(r"\d{4}-\d\d")

_MAX_CATEGORIES = 2**20


class _Digest(io.RawIOBase):
    """A binary file that computes its digest while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self.digest.update(data)
        buffer[: len(data)] = data
        return len(data)


def read_csv(file: BinaryIO, name: str) -> DataTable:
    """Read a CSV file with a header line.

    The delimiter, a comma, semicolon, tab or bar, is the one that the header has most. A column of numbers
    (``1.5``), of ISO 8601 times (``2024-05-01 13:00``) or of texts is recognised from its first values.
    Empty values, ``NA``, ``NaN`` and ``null`` are missing. Memory stays bounded for large files: columns of
    more than 16 MB are in temporary files.

    Args:
        file: The opened file.
        name: Its name in messages.

    Raises:
        DataError: If it is empty or not UTF-8, has no header, or a line does not fit; the error names the
            line and the column.
    """
    digest = _Digest(file)
    text = io.TextIOWrapper(io.BufferedReader(digest, 2**20), encoding="utf-8-sig", newline="")
    try:
        header, records = _open(text, name)
        builders = [_ColumnBuilder(column, name) for column in header]
        runs = _read_blocks(records, builders, name)
        while text.read(2**20):  # blank lines at the end, for the digest
            pass
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8: byte 0x{error.object[error.start]:02x} ({error.reason}); convert it to "
            f"UTF-8."
        ) from None
    except csv.Error as error:
        raise DataError(f"{name} is not a CSV file: {error}.") from None
    columns = {builder.name: builder.finish() for builder in builders}
    return DataTable(name, columns, digest.digest.hexdigest(), runs)


def _open(text: io.TextIOWrapper, name: str) -> tuple[list[str], Any]:
    """The names of the columns, and a reader of the records after them."""
    first = text.readline()
    if not first.strip():
        note = " A run stores no copy of it, so pass it again to resume." * (name == STDIN_NAME)
        raise DataError(
            f"{name} is empty; expected a line with the names of the columns, then the values.{note}"
        )
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
    header = [column.strip() for column in next(reader)]
    if all(is_number_text(column) for column in header):
        raise DataError(
            f"{name} has no header: its first line holds numbers ({', '.join(header[:4])}); add a line with "
            f"the names of the columns."
        )
    for column in header:
        if not column or header.count(column) > 1:
            problem = f"the name {column!r} twice" if column else "a column without a name"
            raise DataError(f"{name}, line 1: found {problem}; give each column a name of its own.")
    return header, reader


def _read_blocks(reader: Any, builders: Sequence[_ColumnBuilder], name: str) -> LineNumbers:
    """Read all records into the builders; the lines of the rows."""
    numbers, count, line = LineNumbers([0], [2]), 0, 2
    while records := list(islice(reader, _ROWS)):
        # Line breaks within quotes, or blank lines.
        is_irregular = reader.line_num + 1 - line != len(records) or [] in records
        if is_irregular:
            records = _add_lines(records, numbers, count, line)
        line = reader.line_num + 1
        if set(map(len, records)) - {len(builders)}:
            wrong = next(index for index, record in enumerate(records) if len(record) != len(builders))
            raise DataError(
                f"{name}, line {numbers.of(count + wrong)}: found {len(records[wrong])} values; expected "
                f"{len(builders)}, one for each column of the header."
            )
        for builder, texts in zip(builders, zip(*records, strict=True), strict=bool(records)):
            builder.append(texts, numbers)
        count += len(records)
        if is_irregular:
            numbers.add(count, line)
    if not count:
        raise DataError(f"{name} has a header and no rows.")
    return numbers


def _add_lines(records: list[list[str]], numbers: LineNumbers, count: int, line: int) -> list[list[str]]:
    """Add the lines of the records of a block, and leave out blank ones."""
    present = list[list[str]]()
    for record in records:
        if record:
            numbers.add(count + len(present), line)
            present.append(record)
        line += 1 + sum(text.count("\n") for text in record)
    return present


class _ColumnBuilder:
    """A column that grows by blocks of texts.

    Args:
        name: Its name.
        owner: The file, for messages.
    """

    def __init__(self, name: str, owner: str) -> None:
        self.name, self.owner = name, owner
        self._kind: ColumnKind | None = None
        self._blocks: GrowingArray | None = None
        self._codes: dict[str, int] = {}
        self._rows = 0

    def append(self, texts: Sequence[str], lines: LineNumbers) -> None:
        """Convert a block of texts."""
        if self._kind is None and (kind := _kind_of(texts)) is not None:
            self._begin(kind)
        if self._kind is not None and self._blocks is not None:
            try:
                self._blocks.append(_CONVERSIONS[self._kind](texts, self._codes))
            except ValueError:
                index = next(i for i, text in enumerate(texts) if not _fits(self._kind, text))
                expected = "a number" if self._kind == "number" else "a time such as 2024-05-01 13:00"
                raise DataError(
                    f"{self.owner}, line {lines.of(self._rows + index)}, column {self.name!r}: found "
                    f"{texts[index][:40]!r}; expected {expected}, as in the lines before."
                ) from None
            if len(self._codes) > _MAX_CATEGORIES:
                raise DataError(
                    f"{self.owner}: column {self.name!r} holds more than {_MAX_CATEGORIES:,} different "
                    f"texts; remove it from the file."
                )
        self._rows += len(texts)

    def _begin(self, kind: ColumnKind) -> None:
        """Fix the kind; all rows so far are missing."""
        self._kind, self._blocks = kind, GrowingArray(VALUE_DTYPES[kind])
        self._blocks.append(missing_values(kind, self._rows))

    def finish(self) -> DataColumn:
        """The column."""
        if self._blocks is None:
            self._begin("number")
        assert self._blocks is not None
        return DataColumn(self.name, self._kind or "number", self._blocks.finish(), tuple(self._codes))


def _is_missing(text: str) -> bool:
    return text.strip().lower() in _MISSING


def _kind_of(texts: Sequence[str]) -> ColumnKind | None:
    """The kind of the values of a first block; None if all are missing."""
    present = list(islice((text for text in texts if not _is_missing(text)), _DECIDING_VALUES))
    if not present:
        return None
    kinds: tuple[ColumnKind, ...] = ("number", "time")
    return next((kind for kind in kinds if all(_fits(kind, text) for text in present)), "category")


def _fits(kind: ColumnKind, text: str) -> bool:
    if _is_missing(text) or kind == "category":
        return True
    if kind == "number":
        return is_number_text(text)
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def _as_numbers(texts: Sequence[str], codes: dict[str, int]) -> Array:  # noqa: ARG001 - as the others
    try:
        return np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        values = ("nan" if _is_missing(text) else text for text in texts)
        return np.fromiter(map(float, values), np.float64, len(texts))


def _as_categories(texts: Sequence[str], codes: dict[str, int]) -> Array:
    indices = (-1 if _is_missing(text) else codes.setdefault(text.strip(), len(codes)) for text in texts)
    return np.fromiter(indices, np.int32, len(texts))


def _as_times(texts: Sequence[str], codes: dict[str, int]) -> Array:  # noqa: ARG001 - as the others
    if _PLAIN_TIME.issuperset("".join(texts)):
        return np.array(texts, TIME_DTYPE)
    return np.array([np.datetime64("NaT") if _is_missing(t) else parse_time(t) for t in texts], TIME_DTYPE)


def parse_time(text: str) -> np.datetime64:
    """Parse an ISO 8601 date or time; a time with an offset becomes UTC.

    Raises:
        ValueError: If it is anything else.
    """
    text = text.strip()
    if not _DATE.match(text):
        raise ValueError(text)
    if "+" in text or text.endswith(("Z", "z")) or text.count("-") > 2:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        return np.datetime64(moment.astimezone(timezone.utc).replace(tzinfo=None), "us")
    return np.datetime64(text, "us")


_CONVERSIONS: dict[ColumnKind, Callable[[Sequence[str], dict[str, int]], Array]] = {
    "number": _as_numbers,
    "category": _as_categories,
    "time": _as_times,
}
