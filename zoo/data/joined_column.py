"""``JoinedColumn``: one column of the columns of several files."""

from __future__ import annotations

import numpy as np

from zoo.data.growing_array import GrowingArray
from zoo.data.table import VALUE_DTYPES, DataColumn, DataTable, first_unlike, missing_values
from zoo.data.text_values import ColumnKind, expected_value, fits_kind
from zoo.errors import DataError


class JoinedColumn:
    """A column that grows by the columns of files.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._kind: ColumnKind | None = None
        self._values = GrowingArray(np.float64)
        self._codes: dict[str, int] = {}
        self._rows = 0
        self._owner = ""
        self._odd_values: dict[ColumnKind, tuple[str, str]] = {}
        self._is_utc = self._is_boolean = False

    def append(self, table: DataTable) -> None:
        """Add the column of a file. A column without values fits every kind.

        Raises:
            DataError: if it holds another kind of values than the files before.
        """
        column, owner = table.columns[self.name], table.name
        values = column.values
        if column.kind != self._kind and not column.missing().all():
            if self._kind is not None:
                raise DataError(self._other_kind(table, column, self._kind))
            self._begin(column.kind)
            self._odd_values = _odd_values(table, column)
            self._owner, self._is_utc, self._is_boolean = owner, column.is_utc, column.is_boolean
        if column.kind == "time" and column.is_utc != self._is_utc:
            has, of_first = ("have", "none") if column.is_utc else ("have no", "one")
            raise DataError(
                f"{owner}: times in column {self.name!r} {has} an offset from UTC, and they have {of_first} "
                f"in {self._owner}; add an offset such as +00:00 to all times, or remove it from all."
            )
        self._is_boolean &= column.is_boolean or bool(column.missing().all())
        if column.kind != self._kind:
            values = missing_values(self._kind or "number", len(column))
        elif self._kind == "category":
            codes = [self._codes.setdefault(text, len(self._codes)) for text in column.categories]
            values = np.array([*codes, -1], np.int32)[values]
        if self._kind is not None:
            self._values.append(values)
        self._rows += len(column)

    def _other_kind(self, table: DataTable, column: DataColumn, kind: ColumnKind) -> str:
        """The error about a column of another kind than in the files before, with the first such value."""
        (where, text), others, cure = _unlike(table, column, kind), self._owner, _CURE
        if column.kind in self._odd_values:
            (where, text), others, kind = self._odd_values[column.kind], table.name, column.kind
        elif kind == "category":
            cure = (
                f"All values of the column in {table.name} are {column.kind}s. Write them as texts, such as "
                f"{'code ' + text!r}, or write {column.kind}s in all files"
            )
        expected = expected_value(kind, text, f", as in {others}")
        return (
            f"{where}: found {text!r}{expected}. {cure}; a column holds the same kind of values in all files "
            f"of a directory."
        )

    def finish(self) -> DataColumn:
        """The column."""
        if self._kind is None:
            self._begin("number")
        texts = tuple(self._codes)
        kind, values = self._kind or "number", self._values.finish()
        return DataColumn(self.name, kind, values, texts, self._is_utc, self._is_boolean)

    def _begin(self, kind: ColumnKind) -> None:
        """Fix the kind; all rows so far are missing."""
        self._kind, self._values = kind, GrowingArray(VALUE_DTYPES[kind])
        self._values.append(missing_values(kind, self._rows))


_CURE = "Correct the value, or leave it empty if it is missing"


def _odd_values(table: DataTable, column: DataColumn) -> dict[ColumnKind, tuple[str, str]]:
    """The first odd value of the column of the first file, by the kind of most texts; see `_unlike`."""
    kinds, texts = tuple[ColumnKind, ...](("number", "time")), column.categories
    return {
        kind: _unlike(table, column, kind)
        for kind in kinds
        if texts and 2 * sum(fits_kind(kind, text) for text in texts) >= len(texts)
    }


def _unlike(table: DataTable, column: DataColumn, kind: ColumnKind) -> tuple[str, str]:
    """The location and the text of the first value of a column that is not of a kind."""
    is_text = column.kind == "category" and kind != "category"
    row = first_unlike(column, kind)[0] if is_text else int(np.argmin(column.missing()))
    return table.where(row, column.name), column.text(row)
