"""``DataTable``: named columns of numbers, categories or times, and tables from arrays and data frames."""

from __future__ import annotations

import csv
import hashlib
import io
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np

from zoo._lazy import require
from zoo.arguments import as_elements, counted, dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import is_missing_value
from zoo.base.names import did_you_mean
from zoo.data.growing_array import allocate, as_contiguous, gather, row_chunks
from zoo.data.text_values import MAX_NUMBER as MAX_NUMBER
from zoo.data.text_values import (
    ColumnKind,
    expected_value,
    fits_kind,
    has_offset,
    is_missing_text,
    is_number_text,
    is_time_text,
    mixed_offsets,
    parse_time,
    plain_number,
    resembles_kind,
)
from zoo.errors import DataError, MissingSourceError, UsageError
from zoo.field_repr import one_line_repr

TIME_DTYPE = np.dtype("datetime64[us]")
MISSING_TIME = np.datetime64("NaT", "us")  # NumPy 2.5 warns of times without a unit

VALUE_DTYPES: dict[ColumnKind, Any] = {"number": np.float64, "category": np.int32, "time": TIME_DTYPE}
"""Types of the values of a column."""

FILE_COLUMN, FOLDER_COLUMN = "file", "folder"
"""Columns that a directory of files adds: the name of the file of a row, and of its folder."""

EXACT_LIMIT = 10**15
"""Whole numbers below it are exact as float64, and print with all their digits."""

_SHOWN_COLUMNS = 20


def in_known_order(texts: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a category in a trained model, if they contain all of its values now.

    >>> in_known_order(("b", "a"), ("a", "b", "c")), in_known_order(("b", "d"), ("a", "b"))
    (('a', 'b', 'c'), ('b', 'd'))

    Args:
        texts: The values now.
        known: The values in the model; empty for a new category.
    """
    return known if set(texts) <= set(known) else texts


UNSEEN = -2
"""The code of a text that did not occur in training."""


@dataclass(frozen=True, eq=False)
class DataColumn:
    """One column of a table.

    Attributes:
        name: Its name.
        kind: ``"number"``, ``"category"`` or ``"time"``.
        values: `(N,)`: float64 with NaN for a missing number; int32 codes, which index ``categories``, with
            -1 for a missing one; or datetime64 in microseconds with NaT.
        categories: The different texts of a category, in the order in which they occur.
        is_utc: Whether times are in UTC, since the source gives a zone or an offset from UTC.
        is_boolean: Whether numbers are booleans, whose texts are ``"False"`` and ``"True"``.
    """

    name: str
    kind: ColumnKind
    values: Array = field(repr=False)
    categories: tuple[str, ...] = ()
    is_utc: bool = False
    is_boolean: bool = False

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def missing(self) -> Array:
        """Whether each value is missing, `(N,)` booleans."""
        return self.values < 0 if self.kind == "category" else np.isnan(self.values)

    def codes_in(self, texts: tuple[str, ...]) -> Array:
        """The position of each value of a category in the texts of training.

        Args:
            texts: The texts.

        Returns:
            Codes `(N,)`, -1 for a missing value, and :data:`UNSEEN` for a text that is not among them.
        """
        if self.categories == texts:
            return self.values
        positions = {text: position for position, text in enumerate(texts)}
        table = np.array([positions.get(text, UNSEEN) for text in self.categories] + [-1], np.int32)
        codes: Array = table[self.values]
        return codes

    def take(self, rows: Array) -> DataColumn:
        """The column with some of its rows."""
        return replace(self, values=gather(self.values, rows))

    def text(self, row: int) -> str:
        """A value as text."""
        value = self.values[row]
        if self.kind == "category":
            return self.categories[int(value)]
        if self.is_boolean and value == value:
            return str(bool(value))
        if self.kind == "number":
            return f"{float(value):g}"
        return time_texts(self.values[row : row + 1], self.is_utc)[0]

    def describe(self) -> str:
        """Name and kind, for listings: ``color (category, 3 values)``."""
        values = f", {counted(len(self.categories), 'value')}" if self.kind == "category" else ""
        return f"{self.name} ({self.kind}{values})"

    def as_category(self) -> DataColumn:
        """The column as a category: numbers and times become texts, as a series id does."""
        if self.kind == "category":
            return self
        present = ~self.missing()
        values, inverse = np.unique(self.values[present], return_inverse=True)
        codes = np.full(len(self), -1, np.int32)
        codes[present] = inverse
        if self.kind == "time":
            texts = time_texts(values, self.is_utc)
        else:
            texts = [str(bool(value)) if self.is_boolean else _shortest(value) for value in values]
        return DataColumn(self.name, "category", codes, tuple(texts))


def _shortest(value: float) -> str:
    """A number with as few digits as identify it."""
    return next(text for digits in (15, 16, 17) if float(text := f"{value:.{digits}g}") == value)


def missing_values(kind: ColumnKind, rows: int) -> Array:
    """Values of a column that are all missing, `(rows,)`."""
    missing = {"number": np.nan, "category": -1, "time": "NaT"}[kind]
    return np.full(rows, missing, VALUE_DTYPES[kind])


class LineNumbers:
    """The line of each row of a text file; a record with quoted line breaks spans several lines.

    Args:
        rows: First rows of runs of consecutive lines, ascending.
        lines: The line of each of them.
    """

    def __init__(self, rows: list[int], lines: list[int]) -> None:
        self._rows, self._lines = rows, lines

    def of(self, row: int) -> int:
        """The line of a row."""
        run = bisect_right(self._rows, row) - 1
        return self._lines[run] + row - self._rows[run]

    def add(self, row: int, line: int) -> None:
        """Set the line of a row, and of those after it."""
        if self.of(row) != line:
            self._rows.append(row)
            self._lines.append(line)


@one_line_repr
@dataclass(frozen=True, eq=False)
class DataTable:
    """Named columns of equal length.

    >>> table = DataTable.from_arrays({"load": [3.0, 4.0], "day": ["mon", "tue"]})
    >>> table.describe()
    'load (number), day (category, 2 values)'

    Attributes:
        name: A short name, for messages and directories.
        columns: Name to column.
        sha256: Hexadecimal digest of the file, or of the values of arrays.
        lines: Lines of the rows in a text file; None for other sources.
        files: The first row of each file of a directory and the file without its columns, for messages.
    """

    name: str
    columns: Mapping[str, DataColumn]
    sha256: str
    lines: LineNumbers | None = None
    files: tuple[tuple[int, DataTable], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Any], name: str = "table", identifiers: Collection[str] = ()
    ) -> DataTable:
        """Make a table from a column of values for each name.

        Args:
            arrays: Name to `(N,)` numbers, booleans, texts or times; None, NaN and NaT are missing values.
                Texts that are all ISO 8601 times (``2024-05-01 13:00``) become times, as in a CSV file.
            name: A short name.
            identifiers: Columns that name series or groups. Their texts stay texts, and their integers are
                exact.

        Raises:
            DataError: if there is no column, the lengths differ, or only some times of a column have a zone.
            UsageError: if a column is not one-dimensional, or has another type.
        """
        identifiers = as_names(identifiers)
        if not arrays:
            raise DataError(f"{name} has no columns.")
        columns = {
            str(key): as_identifiers(str(key), values, name)
            if str(key) in identifiers
            else _with_times(as_column(str(key), values, name), name)
            for key, values in arrays.items()
        }
        if "" in columns:
            raise DataError(f"{name} has a column without a name; give each column a name.")
        lengths = {column.name: len(column) for column in columns.values()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(
                f"{key} has {counted(length, 'row')}" for key, length in list(lengths.items())[:4]
            )
            raise DataError(f"{name}: columns have different lengths: {shown}.")
        return cls(name, columns, _digest(columns.values()))

    def column(self, name: str, candidates: Iterable[str] | None = None) -> DataColumn:
        """The column of a name.

        Args:
            name: The name.
            candidates: The columns to suggest if there is none; None for all.

        Raises:
            MissingSourceError: if there is none.
        """
        if name not in self.columns:
            near = did_you_mean(name, self.columns if candidates is None else candidates)
            raise MissingSourceError(
                f"{self.name} has no column {name!r}; its columns are {self._listing()}.{near}"
                f"{self._header_hint()}"
            )
        return self.columns[name]

    def _header_hint(self) -> str:
        """A hint for a file whose first line seems to be no header."""
        is_value = [is_number_text(name) or is_time_text(name) for name in self.columns]
        if self.lines is None or 2 * sum(is_value) < len(is_value):
            return ""
        return " The first line looks like values; add a line with the names of the columns."

    def target(self, name: str) -> Array:
        """The values of a column to forecast, `(N,)` float64 with NaN for missing ones.

        Raises:
            MissingSourceError: if the column does not exist.
            DataError: if it holds anything but numbers.
        """
        numbers = [each.name for each in self.columns.values() if each.kind == "number"]
        column = self.column(name, numbers)
        if column.kind == "number" or mixed_kind(column) == "number":
            return self.numbers(name)
        holds = (
            "times" if column.kind == "time" else f"text values ({counted(len(column.categories), 'value')})"
        )
        known = ", ".join(numbers[:_SHOWN_COLUMNS]) or "this table has no column of numbers"
        hint = ""
        if column.kind == "category":
            row = int((~column.missing()).argmax())
            number = plain_number(column.text(row))
            write = "" if number is None else f"; write {number}"
            hint = (
                f" {self.where(row, name)}: found {column.text(row)[:40]!r}{write}.{self._conversion(column)}"
            )
        raise DataError(
            f"{self.name}: {name} is a column of {holds}; a target needs numeric values: {known}.{hint}"
        )

    def numbers(self, name: str) -> Array:
        """The values of a column of numbers, `(N,)` float64 with NaN for missing ones.

        Raises:
            DataError: if the column does not exist, or holds anything else.
        """
        column = self.column(name)
        if column.kind == "number":
            return column.values
        row, text = first_unlike(column, "number")
        cure = self._conversion(column) or (
            " Correct the value, leave it empty if it is missing, or leave the column out."
        )
        raise DataError(f"{self.where(row, name)}: found {text!r}{expected_value('number', text)}.{cure}")

    def _conversion(self, column: DataColumn) -> str:
        """The advice for numbers that are texts in memory; empty for a file or without such numbers."""
        if self.lines is not None or not any(map(is_number_text, column.categories)):
            return ""
        return " Convert the texts to numbers, as in `np.array(values, float)`, with NaN for a missing value."

    def where(self, row: int, column: str = "") -> str:
        """The position of a row in messages: ``x.csv, line 12, column 'load'``."""
        if self.files:
            first, file = self.files[bisect_right(self.files, row, key=lambda each: each[0]) - 1]
            return file.where(row - first, column)
        position = f"row {row}" if self.lines is None else f"line {self.lines.of(row)}"
        return f"{self.name}, {position}{f', column {column!r}' if column else ''}"

    @property
    def series(self) -> str | None:
        """The column that names the series unless another is given: the files of a directory."""
        return FILE_COLUMN if self.files else None

    def describe(self) -> str:
        """All columns with their kinds."""
        return self._listing()

    def _listing(self) -> str:
        shown = [column.describe() for column in list(self.columns.values())[:_SHOWN_COLUMNS]]
        more = len(self.columns) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def time_texts(times: Array, is_utc: bool = False) -> list[str]:
    """Times as texts with as few digits as all of them need: ``2024-05-01``, or ``2024-05-01 13:00``.

    Args:
        times: The times, `(N,)`.
        is_utc: Whether to mark them as UTC: ``2024-05-01 13:00Z``.
    """
    units: tuple[Any, ...] = ("m", "s") if is_utc else ("D", "m", "s")
    given = times[~np.isnat(times)]
    unit: Any = next((unit for unit in units if (given.astype(f"M8[{unit}]") == given).all()), "us")
    end = "Z" if is_utc else ""
    return [f"{text.replace('T', ' ')}{end}" for text in np.datetime_as_string(times, unit).tolist()]


def prediction_name(name: str, others: Collection[str]) -> str:
    """The column of the predictions of a label or a target, which another column of them may be called.

    >>> prediction_name("activity", ("id", "part")), prediction_name("id", ("id", "part"))
    ('activity', 'id_predicted')
    """
    return f"{name}_predicted" if name in others else name


def columns_to_csv(columns: Mapping[str, Array], is_utc: bool = False) -> str:
    """Columns of equal length as CSV, numbers with six significant digits; ``is_utc`` marks times as UTC."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(value_texts(values, is_utc) for values in columns.values()), strict=True))
    return text.getvalue()


def plain_values(values: Array, is_utc: bool = False) -> list[Any]:
    """Values for JSON: times as texts, as :func:`value_texts` writes them, and None for NaN."""
    if values.dtype.kind == "M":
        return time_texts(values, is_utc)
    return [None if value != value else value for value in values.tolist()]


def value_texts(values: Array, is_utc: bool = False) -> list[str]:
    """Numbers with six significant digits, times and other values as texts; NaN is empty."""
    if values.dtype.kind == "M":
        return time_texts(values, is_utc)
    if values.dtype.kind == "f":
        return ["" if value != value else f"{value:.6g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def first_unlike(column: DataColumn, kind: ColumnKind) -> tuple[int, str]:
    """The row and the text of the first value that is not of a kind; else of the first value."""
    row = int(np.argmin(column.missing()))
    for fits in (resembles_kind, fits_kind):  # a word is reported before a decimal comma
        wrong = [code for code, text in enumerate(column.categories) if not fits(kind, text)]
        if wrong:
            row = int(np.isin(column.values, wrong).argmax())
            break
    return row, column.text(row)


def too_large(values: Array) -> int | None:
    """The index of the first infinite value or value above `MAX_NUMBER`; None if there is none."""
    high, low = np.fmax.reduce(values), np.fmin.reduce(values)  # these ignore NaN, and copy nothing
    if not (high > MAX_NUMBER or low < -MAX_NUMBER):
        return None
    return int((np.abs(values) > MAX_NUMBER).argmax())


def finite_hint(value: float) -> str:
    """The end of an error for a value that is too large."""
    # The text of the cell is not kept.
    read = " A text such as 1e400 is read as inf, too." if np.isinf(value) else ""
    return (
        f"found {value:g}; expected a finite number of at most {MAX_NUMBER:g}.{read} Leave a missing value "
        f"empty."
    )


def mixed_kind(column: DataColumn) -> ColumnKind | None:
    """The kind of at least half of the different texts of a category, if others are not of it: an error."""
    if column.kind != "category" or not column.categories:
        return None
    size, kinds = len(column.categories), tuple[ColumnKind, ...](("number", "time"))
    for kind in kinds:
        alike = sum(resembles_kind(kind, text) for text in column.categories)
        if 2 * alike >= size > sum(fits_kind(kind, text) for text in column.categories):
            return kind
    return None


def in_order_of_value(column: DataColumn) -> DataColumn:
    """The column with its texts in ascending order, if all are numbers or all are times.

    The order decides about parts and batches. It is the order of a column of numbers or times.
    """
    texts = column.categories
    if column.kind != "category":
        return column
    kinds: dict[ColumnKind, Any] = {"number": _exact_number, "time": parse_time}
    value = next((kinds[kind] for kind in kinds if all(fits_kind(kind, text) for text in texts)), None)
    if value is None:
        return column
    ascending = sorted(texts, key=lambda text: (value(text), text))
    position = {text: code for code, text in enumerate(ascending)}
    codes = np.array([*(position[text] for text in texts), -1], np.int32)
    values = allocate(column.values.shape, np.int32)
    for rows in row_chunks(len(values)):
        values[rows] = codes[column.values[rows]]
    return replace(column, values=values, categories=tuple(ascending))


def _exact_number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


# ---- arrays and data frames ---------------------------------------------------------------------------


def as_column(name: str, values: Any, owner: str) -> DataColumn:
    """Make a column from an array, a list, or a column of a data frame.

    Raises:
        UsageError: if it is not one-dimensional, or holds values of another type.
    """
    array = _as_array(values)
    if array.ndim != 1:
        raise UsageError(
            f"{owner}: column {name!r} is {dtype_and_shape(array)}; expected one dimension, or "
            f"`kind='sequences'` for an array of sequences."
        )
    if array.dtype.kind in "biuf":
        is_boolean = array.dtype.kind == "b"
        return DataColumn(name, "number", as_contiguous(array, np.float64), is_boolean=is_boolean)
    if array.dtype.kind == "M":
        return DataColumn(name, "time", array.astype(TIME_DTYPE), is_utc=_has_zone(values))
    if array.dtype.kind == "U":  # no value is missing: with a check of each, a million took 4 and not 0.2 s
        codes: dict[str, int] = {}
        indices = [codes.setdefault(text, len(codes)) for text in array.tolist()]
        return DataColumn(name, "category", np.array(indices, np.int32), tuple(codes))
    if array.dtype.kind in "TO":
        return _column_of_objects(name, array.tolist(), owner)
    cure = f" {_duration_cure(name)}" if array.dtype.kind == "m" else ""
    raise UsageError(
        f"{owner}: column {name!r} has the type {array.dtype}; expected numeric values, text values or times."
        f"{cure}"
    )


def as_names(identifiers: Any) -> tuple[str, ...]:
    """The names of columns of identifiers; a text is one name.

    Raises:
        UsageError: if they are no names.
    """
    if isinstance(identifiers, str):
        return (identifiers,)
    return tuple(map(str, as_elements(identifiers, "identifiers", "names of columns")))


def as_identifiers(name: str, values: Any, owner: str) -> DataColumn:
    """Make a column of names, as :func:`as_column`.

    Integers that float64 does not hold exactly, and texts among numbers, become texts.
    """
    array = _as_array(values)
    is_integer = array.ndim == 1 and array.dtype.kind in "iu" and len(array) > 0
    if is_integer and not _is_exact(array.min(), array.max()):
        different, codes = np.unique(array, return_inverse=True)
        return DataColumn(name, "category", codes.astype(np.int32), tuple(map(str, different.tolist())))
    if array.ndim == 1 and array.dtype.kind == "O":
        given = [None if is_missing_value(value) else value for value in array.tolist()]
        integers = [value for value in given if isinstance(value, (int, np.integer))]
        if not _is_exact(*integers) or any(isinstance(value, str) for value in given):
            array = np.array([value if value is None else str(value) for value in given], object)
    return as_column(name, array, owner)


def _is_exact(*integers: Any) -> bool:
    return all(-EXACT_LIMIT < int(value) < EXACT_LIMIT for value in integers)


def _as_array(values: Any) -> Array:
    """Convert a list, an array, or a column of a data frame, whose categories become texts."""
    if hasattr(values, "to_numpy"):
        if hasattr(getattr(values, "type", None), "index_type"):
            # A dictionary of pyarrow, whose `to_numpy` gives a missing value the last text of the dictionary.
            values = values.cast(values.type.value_type)
        converted = _as_timestamps(values).to_numpy()
        return converted if isinstance(converted, np.ndarray) else np.asarray(converted)
    try:
        array = np.asarray(values)
    except ValueError:  # of different lengths
        return np.asarray(values, object)
    is_converted = array is not values and array.dtype.kind == "U"
    is_mixed_list = is_converted and not all(isinstance(value, str) for value in values)
    return np.asarray(values, object) if is_mixed_list else array


_NUMBERS = int, float, np.number, np.bool_, Decimal


def _column_of_objects(name: str, values: Sequence[Any], owner: str) -> DataColumn:
    """A column of Python values: numbers, texts or dates, and None or NaN for missing ones."""
    present = [value for value in values if not is_missing_value(value)]
    if all(isinstance(value, _NUMBERS) for value in present):
        numbers = [np.nan if is_missing_value(value) else float(value) for value in values]
        is_boolean = bool(present) and all(isinstance(value, (bool, np.bool_)) for value in present)
        return DataColumn(name, "number", np.array(numbers, np.float64), is_boolean=is_boolean)
    if all(isinstance(value, str) for value in present):
        codes: dict[str, int] = {}
        indices = [-1 if is_missing_value(value) else codes.setdefault(value, len(codes)) for value in values]
        return DataColumn(name, "category", np.array(indices, np.int32), tuple(codes))
    if all(hasattr(value, "isoformat") and hasattr(value, "year") for value in present):
        texts = {getattr(value, "tzinfo", None) is not None: str(value) for value in present}
        _check_offsets(name, texts, list(map(str, values)), owner)
        times = np.array([_as_time(value) for value in values], TIME_DTYPE)
        return DataColumn(name, "time", times, is_utc=True in texts)
    kinds = Counter(map(_noun, present))
    usual = kinds.most_common(1)[0][0]
    row, value = next(
        (row, value)
        for row, value in enumerate(values)
        if not is_missing_value(value) and (len(kinds) == 1 or _noun(value) != usual)
    )
    among = f", and {usual} in other rows" if len(kinds) > 1 else ""
    has_durations = any(isinstance(each, timedelta) for each in present)
    cure = _duration_cure(name) if has_durations else "Give None for a missing value."
    raise UsageError(
        f"{owner}, row {row}, column {name!r}: found {short_repr(value)} of the type {type(value).__name__}"
        f"{among}; expected numeric values, text values or times. {cure}"
    )


def _duration_cure(name: str) -> str:
    """The advice for a column of durations: polars cannot divide by a unit, nor can a list."""
    return (
        f"Convert durations to numbers: `table[{name!r}] / np.timedelta64(1, 'h')`, in polars "
        f"`table[{name!r}].dt.total_milliseconds()`, in a list `[value.total_seconds() for value in values]`."
    )


def _noun(value: Any) -> str:
    """A noun for values such as one of a column, in messages."""
    nouns: dict[str, Any] = {"numeric values": _NUMBERS, "text values": str}
    return next((noun for noun, types in nouns.items() if isinstance(value, types)), type(value).__name__)


def _with_times(column: DataColumn, owner: str) -> DataColumn:
    """The column with times in place of texts if all texts are times, as in a CSV file."""
    texts = column.categories
    present = [text for text in texts if not is_missing_text(text)]
    if not present or not all(map(is_time_text, present)):  # the first word ends the search
        return column
    offsets = {has_offset(text): text for text in present}
    _check_offsets(column.name, offsets, [*texts, ""], owner, column.values)
    times = [MISSING_TIME if is_missing_text(text) else parse_time(text) for text in texts]
    values = np.array([*times, MISSING_TIME], TIME_DTYPE)[column.values]
    return DataColumn(column.name, "time", values, is_utc=True in offsets)


def _check_offsets(
    name: str, texts: Mapping[bool, str], shown: list[str], owner: str, codes: Array | None = None
) -> None:
    """Raise an error if only some times of a column have an offset from UTC.

    Args:
        name: The column.
        texts: A time with an offset by True, one without by False.
        shown: The texts of the rows, or the texts to which the codes of the rows refer.
        owner: The table, for messages.
        codes: The codes of the rows; None if ``shown`` holds a text for each row.
    """
    if len(texts) < 2:
        return
    first = {key: shown.index(text) for key, text in texts.items()}
    rows = first if codes is None else {key: int((codes == at).argmax()) for key, at in first.items()}
    given = ((texts[key], f"row {rows[key]}") for key in (False, True))
    raise DataError(f"{owner}, column {name!r}: {mixed_offsets(*given)}")


def _has_zone(values: Any) -> bool:
    """Whether the type of a column of pandas, polars or pyarrow has a time zone."""
    types: Any = (getattr(values, "dtype", None), getattr(values, "type", None))
    types = (*types, getattr(types[0], "pyarrow_dtype", None))
    return any(getattr(each, name, None) is not None for each in types for name in ("tz", "time_zone"))


def _as_time(value: Any) -> np.datetime64:
    """A date or a time as NumPy has it; a time with an offset becomes UTC."""
    if is_missing_value(value):
        return MISSING_TIME
    if getattr(value, "tzinfo", None) is not None:
        value = value.astimezone(timezone.utc).replace(tzinfo=None)
    return np.datetime64(value)


def _digest(columns: Any) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update(f"{column.name}\0{column.kind}\0{column.categories}\0".encode())
        digest.update(np.ascontiguousarray(column.values).view(np.uint8).data)
    return digest.hexdigest()


def is_table_like(data: Any) -> bool:
    """Whether `as_table` accepts an object: a table, a mapping, an array or a data frame."""
    return isinstance(data, (DataTable, Mapping, np.ndarray)) or _is_data_frame(data)


def _is_data_frame(data: Any) -> bool:
    """Whether an object is a data frame, or a series, which has no protocol before pandas 3."""
    return any(hasattr(data, name) for name in ("__dataframe__", "__arrow_c_stream__", "to_frame"))


def as_table(data: Any, name: str = "table", identifiers: Collection[str] = ()) -> DataTable:
    """Make a table from a mapping of columns, an array or a data frame.

    Args:
        data: A :class:`DataTable`; name to column; `(N,)` or `(N, C)` numbers, with the names ``"0"``,
            ``"1"`` and so on; a structured array; or a data frame or a series of pandas, polars, pyarrow or
            another library with columns by name. With pyarrow also any object with the Arrow stream or the
            dataframe interchange protocol. The dates in the index of pandas are a column too, with the name
            of the index or ``"time"``, if no other column has this name.
        name: A short name.
        identifiers: Columns that name series or groups, as for :meth:`DataTable.from_arrays`.

    Raises:
        DataError: if there are no columns, they do not fit, or identifiers of a :class:`DataTable` are
            numbers that may be rounded.
        UsageError: if it is none of these.
    """
    identifiers = as_names(identifiers)
    if isinstance(data, DataTable):
        _check_exact(data, identifiers)
        return data
    if isinstance(data, Mapping):
        return DataTable.from_arrays(data, name, identifiers)
    if isinstance(data, np.ndarray):
        return DataTable.from_arrays(_columns_of_array(data, name), name, identifiers)
    if _is_data_frame(data):
        if getattr(getattr(data, "index", None), "nlevels", 1) > 1:
            raise UsageError(
                f"{name} has an index of {data.index.nlevels} levels, for example series and time; make them "
                f"columns, data.reset_index(), and name the column of the series, `series='...'`."
            )
        # A column may have the name of the index, for example after set_index(..., drop=False).
        columns = time_index(data) | _columns_of_frame(data, name)
        return DataTable.from_arrays(columns, name, identifiers)
    raise UsageError(
        f"{name} is {short_repr(data)}; expected a mapping from names to columns, an array or a data frame."
    )


def _check_exact(table: DataTable, identifiers: Collection[str]) -> None:
    """Raise an error for identifiers that were read as numbers and may be rounded."""
    for name in identifiers:
        column = table.columns.get(name)
        if column is None or column.kind != "number":
            continue
        is_rounded = np.abs(column.values) >= 2**53
        if is_rounded.any():
            row = int(is_rounded.argmax())
            raise DataError(
                f"{table.where(row, name)}: found {column.values[row]:.0f}, and numbers beyond 2**53 are "
                f"rounded, so that different names may be equal; give `identifiers=[{name!r}]` when you make "
                f"the table."
            )


def _columns_of_array(array: Array, name: str) -> dict[str, Array]:
    if array.dtype.names:
        return {field_name: array[field_name] for field_name in array.dtype.names}
    if array.ndim not in (1, 2):
        raise UsageError(f"{name} is {dtype_and_shape(array)}; expected rows and columns, (N, C).")
    columns = array.reshape(len(array), -1)
    return {str(index): columns[:, index] for index in range(columns.shape[1])}


def _columns_of_frame(frame: Any, name: str) -> dict[str, Any]:
    names = getattr(frame, "columns", None)
    if hasattr(frame, "column_names"):  # pyarrow, whose `columns` are the arrays
        names = frame.column_names
    if names is None or not hasattr(frame, "__getitem__"):
        return _columns_of_frame(_converted_frame(frame, name), name)
    for column, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{name} has the column {column!r} twice; give each column a name of its own.")
    return {str(column): frame[column] for column in names}


def _converted_frame(data: Any, name: str) -> Any:
    """A series as a data frame of its library, and any other object as a table of pyarrow."""
    if hasattr(data, "to_frame"):
        return data.to_frame()
    kind = f"{name} is a {type(data).__name__}"
    arrow: Any = require("pyarrow", f"{kind}; reading it", "parquet")
    interchange: Any = require("pyarrow.interchange", f"{kind}; reading it", "parquet")
    convert = arrow.table if hasattr(data, "__arrow_c_stream__") else interchange.from_dataframe
    try:
        return convert(data)
    except (arrow.ArrowException, AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{kind}, which is not a table ({reason}); expected columns by name.") from error


def _as_timestamps(values: Any) -> Any:
    """The beginnings of the periods in a column or an index of pandas; other values are unchanged."""
    if not str(getattr(values, "dtype", "")).startswith("period["):
        return values
    return getattr(values, "dt", values).to_timestamp()


def time_index(data: Any) -> dict[str, Any]:
    """The times in the index of a data frame or series of pandas, as a column; empty without times."""
    index: Any = getattr(data, "index", None)
    if not hasattr(index, "to_numpy"):
        return {}
    index = _as_timestamps(index)
    kind = getattr(getattr(index, "dtype", None), "kind", "")
    is_times = kind == "M" or (
        kind == "O" and all(isinstance(each, str) and is_time_text(each) for each in index)
    )
    return {str(getattr(index, "name", None) or "time"): index} if is_times else {}
