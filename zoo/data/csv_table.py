"""Read CSV files block by block into typed columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.data.compression import compression_of_bytes
from zoo.data.file_digest import DigestReader
from zoo.data.growing_array import GrowingArray
from zoo.data.table import (
    MISSING_TIME,
    TIME_DTYPE,
    VALUE_DTYPES,
    DataColumn,
    DataTable,
    LineNumbers,
    first_unlike,
    in_order_of_value,
    missing_values,
    mixed_kind,
)
from zoo.data.text_values import (
    ColumnKind,
    expected_value,
    fits_kind,
    has_offset,
    is_missing_text,
    is_number_text,
    is_time_text,
    may_have_thousands,
    mixed_offsets,
    parse_time,
    with_point,
)
from zoo.errors import DataError

_ROWS = 2**15
"""Rows of a block. Larger blocks were not faster, and a row of eight texts takes about 700 bytes."""

_DECIDING_VALUES = 1000
"""Values that decide the kind of a column; a later value of another kind is an error."""

_PLAIN_TIME = frozenset("0123456789-:T. ")
"""Letters of a time that NumPy parses, or of a missing one."""

STDIN_NAME = "standard input"
"""The name of standard input in messages."""

_DELIMITERS = ",;\t|"

_BINARY = frozenset((*range(9), *range(14, 26), *range(27, 32)))
"""Control characters that no text has; 26 ends files of DOS."""

_MAX_CATEGORIES = 2**20


def read_csv(file: BinaryIO, name: str, identifiers: Collection[str] = ()) -> DataTable:
    """Read a CSV file with a header line.

    The delimiter, a comma, semicolon, tab or bar, is the one that the header has most. A column of numbers
    (``1.5``), of ISO 8601 times (``2024-05-01 13:00``) or of texts is recognised from its first values.
    With semicolons, numbers may have decimal commas (``1,5``) if none has a decimal point, and if the commas
    of some of them cannot separate thousands, as in ``1,234``.
    Empty values, ``NA``, ``N/A``, ``NaN``, ``NaT``, ``null`` and ``none`` are missing. Memory stays bounded
    for large files: columns of more than 4 MB are in temporary files.

    Args:
        file: The opened file.
        name: Its name in messages.
        identifiers: Columns that name series or groups. Their values are texts, as the file has them.

    Raises:
        DataError: if it is empty or not UTF-8, has no header, or a line does not fit; the error names the
            line and the column.
    """
    digest, records = DigestReader(file), None
    text = io.TextIOWrapper(io.BufferedReader(digest, 2**20), encoding="utf-8-sig", newline="")
    try:
        header, delimiter, records = open_records(text, name)
        builders = [
            _ColumnBuilder(column, name, delimiter == ";", column in identifiers) for column in header
        ]
        runs = _read_blocks(records, builders, name)
        while text.read(2**20):  # blank lines at the end, for the digest
            pass
        _check_decimal_marks(builders, name)
    except UnicodeDecodeError as error:
        raise _decoding_error(name, error, 0 if records is None else records.line_num) from None
    columns = {builder.name: builder.finish() for builder in builders}
    return DataTable(name, columns, digest.digest.hexdigest(), runs)


def _decoding_error(name: str, error: UnicodeDecodeError, lines: int) -> DataError:
    """The error for bytes that are not UTF-8, after some lines that were read."""
    before = error.object[: error.start]
    if not _BINARY.isdisjoint(error.object):
        return _binary_error(name, error.object)
    line = lines + len((before + b"x").splitlines())
    return DataError(
        f"{name} is not UTF-8: byte 0x{error.object[error.start]:02x} in line {line} ({error.reason}); save "
        f"it as UTF-8. For a file of Excel or Windows: `iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv`."
    )


def _binary_error(name: str, beginning: bytes) -> DataError:
    compression = compression_of_bytes(beginning)
    if compression is not None:
        program, ending = compression.program, compression.ending
        advice = (
            f"Decompress it: `{program} -dc FILE.csv{ending} | zoo train --data -` with the other flags."
            if name == STDIN_NAME
            else f"Rename it: zoo decompresses files whose names end in {ending}."
        )
        return DataError(f"{name} is compressed with {program}; expected CSV. {advice}")
    kind = "UTF-16" if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) else "binary"
    return DataError(f"{name} looks {kind}, not UTF-8 text; expected CSV. Save it as CSV in UTF-8.")


def open_records(text: io.TextIOWrapper, name: str) -> tuple[list[str], str, Any]:
    """The names of the columns, the delimiter, and a reader of the records after them.

    Args:
        text: The file.
        name: Its name in messages.

    Raises:
        DataError: if it is empty or binary, or has no header.
    """
    first = text.readline()
    if not first.strip():
        note = " A run stores no copy of it, so pass it again to resume." * (name == STDIN_NAME)
        raise DataError(
            f"{name} is empty; expected a line with the names of the columns, then the values.{note}"
        )
    if not _BINARY.isdisjoint(map(ord, first)):
        raise _binary_error(name, first.encode())
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader)]
    except csv.Error as error:
        raise _quote_error(name, 1, error) from None
    if all(is_number_text(column) or is_time_text(column) for column in header):
        noun = "numbers" if all(map(is_number_text, header)) else "values"
        raise DataError(
            f"{name} has no header: its first line holds {noun} ({', '.join(header[:4])}); add a line with "
            f"the names of the columns."
        )
    for column in header:
        if not column or header.count(column) > 1:
            problem = f"the name {column!r} twice" if column else "a column without a name"
            is_index = header[0] == "" and header.count("") == 1 and not column
            hint = " For an index of pandas: `to_csv(..., index=False)`." if is_index else ""
            raise DataError(f"{name}, line 1: found {problem}; give each column a name of its own.{hint}")
    return header, delimiter, reader


def _read_blocks(reader: Any, builders: Sequence[_ColumnBuilder], name: str) -> LineNumbers:
    """Read all records into the builders; the lines of the rows."""
    numbers, count, line = LineNumbers([0], [2]), 0, 2
    while records := _next_records(reader, name, line):
        # Line breaks within quotes, or blank lines.
        is_irregular = reader.line_num + 1 - line != len(records) or [] in records
        if is_irregular:
            records = _add_lines(records, numbers, count, line)
        line = reader.line_num + 1
        if set(map(len, records)) - {len(builders)}:
            wrong = next(index for index, record in enumerate(records) if len(record) != len(builders))
            raise DataError(
                f"{name}, line {numbers.of(count + wrong)}: found {counted(len(records[wrong]), 'value')}; "
                f"expected {len(builders)}, one for each column of the header."
            )
        for builder, texts in zip(builders, zip(*records, strict=True), strict=bool(records)):
            builder.append(texts, numbers)
        count += len(records)
        if is_irregular:
            numbers.add(count, line)
    if not count:
        raise DataError(f"{name} has a header and no rows; give at least one row.")
    return numbers


def _next_records(reader: Any, name: str, line: int) -> list[list[str]]:
    """The records of the next block, which begins in some line."""
    records = list[list[str]]()
    try:
        records.extend(islice(reader, _ROWS))  # keeps the records before an error
    except csv.Error as error:
        raise _quote_error(name, line + sum(map(_line_count, records)), error) from None
    return records


def _quote_error(name: str, line: int, error: csv.Error) -> DataError:
    """The error for a record with a quote that is not closed, or with text after one."""
    return DataError(
        f"{name}, line {line}: the values from here on are not CSV ({error}); close each quote, and write a "
        f"quote within a value twice."
    )


def _line_count(record: list[str]) -> int:
    """The lines of a record, of which quoted values may hold several."""
    return 1 + sum(text.count("\n") for text in record)


def _add_lines(records: list[list[str]], numbers: LineNumbers, count: int, line: int) -> list[list[str]]:
    """Add the lines of the records of a block, and leave out blank ones."""
    present = list[list[str]]()
    for record in records:
        if record:
            numbers.add(count + len(present), line)
            present.append(record)
        line += _line_count(record)
    return present


class _ColumnBuilder:
    """A column that grows by blocks of texts.

    Args:
        name: Its name.
        owner: The file, for messages.
        allows_commas: Whether numbers may have decimal commas.
        is_identifier: Whether all values are texts.

    Attributes:
        marks: The line and the text of the first number with a decimal comma, and with a decimal point, if
            commas are allowed.
        has_decimal_comma: Whether the comma of a number cannot separate thousands.
    """

    def __init__(self, name: str, owner: str, allows_commas: bool, is_identifier: bool) -> None:
        self.name, self.owner = name, owner
        self._allows_commas, self._is_identifier = allows_commas, is_identifier
        self.marks: dict[str, tuple[int, str]] = {}
        self.has_decimal_comma = False
        self._offsets: dict[bool, tuple[str, str]] = {}
        self._kind: ColumnKind | None = None
        self._blocks: GrowingArray | None = None
        self._codes: dict[str, int] = {}
        self._rows = 0
        if is_identifier:
            self._begin("category")

    def append(self, texts: Sequence[str], lines: LineNumbers) -> None:
        """Convert a block of texts."""
        given = texts
        if self._allows_commas and self._kind in (None, "number") and "," in "".join(given):
            texts = list(map(with_point, given))
        if self._kind is None and (kind := _kind_of(texts)) is not None:
            self._begin(kind)
        if self._kind != "number":
            texts = given
        elif self._allows_commas:
            self._find_marks(given, lines)
        if self._kind is not None and self._blocks is not None:
            try:
                is_plain = self._kind == "time" and _are_plain_times(texts)
                convert = _as_plain_times if is_plain else _CONVERSIONS[self._kind]
                self._blocks.append(convert(texts, self._codes))
            except ValueError:
                index = next(i for i, text in enumerate(texts) if not _fits(self._kind, text))
                expected = expected_value(self._kind, texts[index], ", as in the lines before")
                raise DataError(
                    f"{self.owner}, line {lines.of(self._rows + index)}, column {self.name!r}: found "
                    f"{texts[index][:40]!r}{expected}. Leave it empty if the value is missing."
                ) from None
            if self._kind == "time":
                self._find_offsets(texts, lines, is_plain)
            if len(self._codes) > _MAX_CATEGORIES and not self._is_identifier:
                column = DataColumn(self.name, "category", np.arange(len(self._codes)), tuple(self._codes))
                kind = mixed_kind(column)
                among = "" if kind is None else f", {first_unlike(column, kind)[1][:40]!r} among {kind}s"
                advice = "remove it from the file" if kind is None else "correct this value"
                raise DataError(
                    f"{self.owner}: column {self.name!r} holds more than {_MAX_CATEGORIES:,} different "
                    f"text values{among}; {advice}."
                )
        self._rows += len(texts)

    def _find_marks(self, texts: Sequence[str], lines: LineNumbers) -> None:
        joined = "".join(texts)
        for mark in ",.":
            if mark not in self.marks and mark in joined:
                index = next(i for i, text in enumerate(texts) if mark in text)
                self.marks[mark] = lines.of(self._rows + index), texts[index].strip()[:40]
        if not self.has_decimal_comma and "," in joined:
            self.has_decimal_comma = not all(may_have_thousands(text) for text in texts if "," in text)

    def _find_offsets(self, texts: Sequence[str], lines: LineNumbers, is_plain: bool) -> None:
        """Check that all times, or none, have an offset from UTC."""
        if is_plain:
            kinds = {False: next((index for index, text in enumerate(texts) if text.strip()), -1)}
        else:
            given = [None if is_missing_text(text) else has_offset(text) for text in texts]
            kinds = {kind: given.index(kind) for kind in (False, True) if kind in given}
        for kind, index in kinds.items():
            if kind not in self._offsets and index >= 0:
                self._offsets[kind] = texts[index].strip(), f"line {lines.of(self._rows + index)}"
        if len(self._offsets) > 1:
            given_texts = self._offsets[False], self._offsets[True]
            raise DataError(f"{self.owner}, column {self.name!r}: {mixed_offsets(*given_texts)}")

    def _begin(self, kind: ColumnKind) -> None:
        """Fix the kind; all rows so far are missing."""
        self._kind, self._blocks = kind, GrowingArray(VALUE_DTYPES[kind])
        self._blocks.append(missing_values(kind, self._rows))

    def finish(self) -> DataColumn:
        """The column."""
        if self._blocks is None:
            self._begin("number")
        assert self._blocks is not None
        texts, is_utc = tuple(self._codes), True in self._offsets
        column = DataColumn(self.name, self._kind or "number", self._blocks.finish(), texts, is_utc)
        return in_order_of_value(column) if self._is_identifier else column


def _check_decimal_marks(builders: Sequence[_ColumnBuilder], name: str) -> None:
    """Check that no number has a decimal point if another one has a decimal comma.

    In a file with both, a point may separate thousands: ``1.234`` would be read as about one. Without points,
    a number such as ``1,23`` must show that commas do not.
    """
    with_comma, with_dot = (
        next((builder for builder in builders if mark in builder.marks), None) for mark in ",."
    )
    if with_comma is not None and with_dot is not None:
        (line, comma), (other_line, dot) = with_comma.marks[","], with_dot.marks["."]
        raise DataError(
            f"{name}, line {line}, column {with_comma.name!r}: found {comma!r}, and {dot!r} in line "
            f"{other_line}, column {with_dot.name!r}; expected decimal commas or decimal points in all "
            f"numbers of a file."
        )
    if with_comma is not None and not any(builder.has_decimal_comma for builder in builders):
        line, comma = with_comma.marks[","]
        raise DataError(
            f"{name}, line {line}, column {with_comma.name!r}: found {comma!r}, and all numbers with a comma "
            f"have three digits after it, so it may separate decimals or thousands. For decimals: `sed "
            f"'s/,/./g' OLD.csv > NEW.csv`. For thousands: `sed 's/,//g' OLD.csv > NEW.csv`."
        )


def _kind_of(texts: Sequence[str]) -> ColumnKind | None:
    """The kind of the values of a first block; None if all are missing."""
    present = list(islice((text for text in texts if not is_missing_text(text)), _DECIDING_VALUES))
    if not present:
        return None
    kinds: tuple[ColumnKind, ...] = ("number", "time")
    return next((kind for kind in kinds if all(_fits(kind, text) for text in present)), "category")


def _fits(kind: ColumnKind, text: str) -> bool:
    return is_missing_text(text) or fits_kind(kind, text)


def _as_numbers(texts: Sequence[str], codes: dict[str, int]) -> Array:  # noqa: ARG001 - as the others
    if "_" in "".join(texts):
        raise ValueError  # see `is_number_text`
    try:
        return np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        values = ("nan" if is_missing_text(text) else text for text in texts)
        return np.fromiter(map(float, values), np.float64, len(texts))


def _as_categories(texts: Sequence[str], codes: dict[str, int]) -> Array:
    code_of = {
        text: -1 if is_missing_text(text) else codes.setdefault(text.strip(), len(codes))
        for text in dict.fromkeys(texts)
    }
    return np.fromiter(map(code_of.__getitem__, texts), np.int32, len(texts))


def _as_times(texts: Sequence[str], codes: dict[str, int]) -> Array:  # noqa: ARG001 - as the others
    return np.array([MISSING_TIME if is_missing_text(t) else parse_time(t) for t in texts], TIME_DTYPE)


def _are_plain_times(texts: Sequence[str]) -> bool:
    """Whether NumPy parses all texts: times without an offset from UTC, or missing ones."""
    return _PLAIN_TIME.issuperset(set("".join(texts))) and max(text.count("-") for text in texts) < 3


def _as_plain_times(texts: Sequence[str], codes: dict[str, int]) -> Array:  # noqa: ARG001 - as the others
    return np.array([text.strip() for text in texts], TIME_DTYPE)


_CONVERSIONS: dict[ColumnKind, Callable[[Sequence[str], dict[str, int]], Array]] = {
    "number": _as_numbers,
    "category": _as_categories,
    "time": _as_times,
}
