"""``Panel``: the series of a table, one after another, with the roles of their columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from zoo.arguments import as_choice, as_instance
from zoo.array_types import Array
from zoo.data.growing_array import allocate, row_chunks
from zoo.data.table import (
    FILE_COLUMN,
    FOLDER_COLUMN,
    DataColumn,
    DataTable,
    finite_hint,
    first_unlike,
    missing_values,
    mixed_kind,
    time_texts,
    too_large,
)
from zoo.data.text_values import expected_value, has_other_date_format
from zoo.data.time_kind import TimeKind, time_kind, uneven_share
from zoo.errors import DataError, UsageError, warn_caller
from zoo.field_repr import one_line_repr

MISSING = ("reject", "forward", "mask")
"""Ways to treat missing values."""

_MAX_ONE_HOT = 32
"""A category with more values is not an input unless it is named."""

_DATE_SAMPLE = 1000
"""Different texts of a column that decide whether it looks like dates."""


@dataclass(frozen=True)
class ColumnRoles:
    """The use of each column.

    Attributes:
        target: Columns to forecast.
        input: Other columns whose past values the model reads.
        known_future: Columns whose future values are known, such as holidays.
        time: The column of times; None if the rows are equally spaced.
        series: The column that names the series of a row; None for one series.
        group: The column that groups series, such as a person; None for no groups. It may be the column of
            the series: each series is a group.
        weight: The column with the weight of each row in the loss; None for equal weights.
    """

    target: tuple[str, ...]
    input: tuple[str, ...] = ()
    known_future: tuple[str, ...] = ()
    time: str | None = None
    series: str | None = None
    group: str | None = None
    weight: str | None = None

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The columns whose values are names."""
        return tuple(filter(None, (self.series, self.group)))

    @property
    def features(self) -> tuple[str, ...]:
        """All columns that the model reads."""
        return (*self.target, *self.input, *self.known_future)


@one_line_repr
@dataclass(frozen=True, eq=False)
class Panel:
    """Several series, sorted by series and time, or one.

    Attributes:
        table: The table, for messages.
        roles: The roles of its columns.
        columns: Name to column, with N rows in the order of the panel. A missing value stays missing.
        names: The names of the S series; one empty name if there is one series.
        offsets: The first row of each series, and N, `(S + 1,)`.
        ends: The end of the observed rows of each series, `(S,)`. Rows from there on hold future values of
            columns that are known.
        times: `(N,)` datetime64 or float64; None without a column of times.
        is_utc: Whether the times are in UTC, since the table gives a zone or an offset from UTC.
        rows: The row of the table of each row; None if they are the same.
        groups: The group of each series, `(S,)`; None without groups.
        parts: The part of each series, from 0 for training to 2 for the test, `(S,)`, if groups are divided;
            None if each series has all parts.
        weights: The weight of each row in the loss, `(N,)`; None for equal weights.
        is_training: Whether the table is read for training. For a trained model, messages suggest no
            settings.
        is_filled: Whether each target was missing and is the value before, `(N, M)`; None if none is.
    """

    table: DataTable
    roles: ColumnRoles
    columns: Mapping[str, DataColumn] = field(repr=False)
    names: tuple[str, ...]
    offsets: Array
    ends: Array
    times: Array | None
    rows: Array | None
    groups: DataColumn | None = None
    parts: Array | None = None
    weights: Array | None = None
    is_training: bool = True
    is_utc: bool = False
    is_filled: Array | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Number of rows of all series."""
        return int(self.offsets[-1])

    @property
    def observed(self) -> Iterator[slice]:
        """The observed rows of each series."""
        return (slice(int(a), int(b)) for a, b in zip(self.offsets, self.ends, strict=False))

    @property
    def series_of_row(self) -> Array:
        """The number of the series of each row, `(N,)`."""
        numbers = allocate((len(self),), np.int32)
        for number, (first, end) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            numbers[first:end] = number
        return numbers

    def select(self, is_chosen: Array) -> Panel:
        """The panel with some of its series, `(S,)` booleans."""
        if is_chosen.all():
            return self
        lengths = np.diff(self.offsets)
        rows = np.flatnonzero(np.repeat(is_chosen, lengths))
        offsets = np.concatenate([[0], np.cumsum(lengths[is_chosen])])
        numbers = np.flatnonzero(is_chosen)
        return replace(
            self,
            columns={name: column.take(rows) for name, column in self.columns.items()},
            names=tuple(self.names[number] for number in numbers),
            offsets=offsets,
            ends=offsets[:-1] + (self.ends - self.offsets[:-1])[is_chosen],
            times=None if self.times is None else self.times[rows],
            rows=rows if self.rows is None else self.rows[rows],
            groups=None if self.groups is None else self.groups.take(numbers),
            parts=None if self.parts is None else self.parts[numbers],
            weights=None if self.weights is None else self.weights[rows],
            is_filled=None if self.is_filled is None else self.is_filled[rows],
        )

    def where(self, row: int, column: str = "") -> str:
        """The position of a row of the panel in messages."""
        return self.table.where(row if self.rows is None else int(self.rows[row]), column)

    def numbers(self, name: str) -> Array:
        """The values of a column of numbers, `(N,)`."""
        return self.columns[name].values

    @cached_property
    def targets(self) -> Array:
        """The targets, `(N, M)` float64 with NaN for missing ones."""
        targets = allocate((len(self), len(self.roles.target)), np.float64)
        for index, name in enumerate(self.roles.target):
            targets[:, index] = self.numbers(name)
        return targets

    @cached_property
    def observed_targets(self) -> Array:
        """The targets without those that are filled, `(N, M)` float64 with NaN for missing ones."""
        if self.is_filled is None:
            return self.targets
        observed = allocate(self.targets.shape, np.float64)
        for rows in row_chunks(*observed.shape):
            observed[rows] = np.where(self.is_filled[rows], np.nan, self.targets[rows])
        return observed

    @property
    def time_kind(self) -> TimeKind:
        """The kind of the times."""
        return time_kind(self.times)

    def step(self) -> Any:
        """The median time between two rows; 1 without times."""
        return self._median_step

    @cached_property
    def _median_step(self) -> Any:
        if self.times is None:
            return 1
        steps = np.diff(self.times)
        if len(self.names) > 1:
            steps = np.delete(steps, self.offsets[1:-1] - 1)
        if not len(steps):
            return 1
        middle = len(steps) // 2
        # In place: sorting a copy took 1.1 GB for 21 million rows.
        (steps.view(np.int64) if steps.dtype.kind == "m" else steps).partition(middle)
        return steps[middle]

    def step_size(self) -> float:
        """The median time between two rows as a number, of seconds if times are dates."""
        step = self.step()
        return float(step / np.timedelta64(1, "s") if isinstance(step, np.timedelta64) else step)

    def step_text(self) -> str:
        """The median time between two rows as a text: ``1 h``, ``30 days``."""
        return step_text(self.step_size(), isinstance(self.step(), np.timedelta64))

    def time_text(self, time: Any) -> str:
        """A time of the table as a text."""
        is_date = isinstance(time, np.datetime64)
        return time_texts(np.array([time]), self.is_utc)[0] if is_date else f"{time:g}"

    def uneven_share(self) -> float:
        """The share of the steps that differ from the median, see :func:`uneven_share`; 0 without times."""
        differences = self.time_differences()
        return 0.0 if differences is None else uneven_share(differences)

    def time_differences(self, unit: float | None = None) -> Array | None:
        """Time from the row before, `(N,)`, 1 for the first; None without times.

        Args:
            unit: The unit, in seconds if times are dates; None for the median.
        """
        if self.times is None:
            return None
        unit = self.step_size() if unit is None else unit
        differences = allocate((len(self),), np.float64)
        for rows in row_chunks(len(self) - 1):
            steps: Any = self.times[rows.start + 1 : rows.stop + 1] - self.times[rows]
            steps = steps / np.timedelta64(1, "s") if steps.dtype.kind == "m" else steps
            differences[rows.start + 1 : rows.stop + 1] = steps / unit
        differences[self.offsets[:-1]] = 1.0
        return differences


def step_text(size: float, is_dates: bool) -> str:
    """The time between two rows as a text: ``1 h``, ``30 days``, or a number.

    Args:
        size: The time, in seconds if times are dates.
        is_dates: Whether times are dates.
    """
    if not is_dates:
        return f"{size:g}"
    units = {"days": 86_400, "h": 3600, "min": 60}
    name = next((name for name, unit in units.items() if size % unit == 0), "s")
    return "1 day" if size == units["days"] else f"{size / units.get(name, 1):g} {name}"


def default_roles(
    table: DataTable, roles: ColumnRoles, choose_inputs: bool, choose_time: bool = True
) -> tuple[ColumnRoles, list[str]]:
    """Choose the column of times, the inputs, and the series of a directory, if they are not given.

    Args:
        table: The table.
        roles: The given roles.
        choose_inputs: Whether to take all other columns of numbers and categories as inputs.
        choose_time: Whether to take the only column of times.

    Returns:
        The roles, and for each column that is left out a text with the reason.

    Raises:
        DataError: if a column does not exist, or holds numbers and texts, or the only column of times holds
            texts too.
    """
    roles = replace(roles, series=roles.series or table.series)
    times = [column.name for column in table.columns.values() if column.kind == "time"]
    if choose_time and roles.time is None and len(times) == 1 and times[0] not in roles.features:
        roles = replace(roles, time=times[0])
    taken = {*roles.features, roles.time, roles.series, roles.group, roles.weight}
    inputs, left_out = list[str](), list[str]()
    taken |= {FILE_COLUMN, FOLDER_COLUMN} if table.files else set()
    for name, column in table.columns.items():
        if name in taken:
            continue
        reason = "" if roles.time is not None else _unread_times(table, column, bool(times))
        if choose_inputs and not reason:
            reason = _unusable(table, column)
        if reason:
            left_out.append(f"{name} ({reason})")
        else:
            inputs.append(name)
    return replace(roles, input=tuple(inputs)) if choose_inputs else roles, left_out


def _unread_times(table: DataTable, column: DataColumn, has_times: bool) -> str:
    """Why a column of dates is not the column of times; empty if it holds no dates."""
    if has_times:
        return _SEVERAL_TIMES if column.kind == "time" else ""
    if mixed_kind(column) == "time":
        raise _not_a_time(table, column)
    texts = column.categories[:_DATE_SAMPLE]
    if not texts or 2 * sum(map(has_other_date_format, texts)) < len(texts):
        return ""
    return _OTHER_FORMAT


_OTHER_FORMAT = (
    "looks like dates, but is not ISO 8601, so the order of the rows is not checked; write 2024-05-01 13:00"
)


_SEVERAL_TIMES = "one of several columns of times; name one with `time`"


def warn_of_unread_times(name: str, left_out: Iterable[str]) -> None:
    """Warn of columns of times that are left out.

    Args:
        name: The name of the table.
        left_out: Columns that are left out, with the reasons, from :func:`default_roles`.
    """
    for column in left_out:
        if column.endswith(f"({_OTHER_FORMAT})"):
            warn_caller(f"{name}: left out column {column}.")
    end = f" ({_SEVERAL_TIMES})"
    times = [column.removesuffix(end) for column in left_out if column.endswith(end)]
    if times:
        warn_caller(
            f"{name} has several columns of times: {', '.join(times)}. The order of the rows is not checked, "
            f"and the time between them is not read; name one with `time`."
        )


def _unusable(table: DataTable, column: DataColumn) -> str:
    """Why a column is no input; empty if it is one."""
    if mixed_kind(column) == "number":
        table.numbers(column.name)  # raises an error with the line
    if column.kind == "time":
        return "times"
    if column.kind == "category" and len(column.categories) > _MAX_ONE_HOT:
        return (
            f"{len(column.categories):,} different text values; to include it, list all inputs with `input`"
        )
    if column.missing().all():
        return "empty"
    return "constant" if is_constant(column) else ""


def is_constant(column: DataColumn) -> bool:
    """Whether all values are equal, or all are missing."""
    values = column.values
    low, high = (np.nanmin(values), np.nanmax(values)) if not column.missing().all() else (0, 0)
    return bool(low == high)


def make_panel(
    table: DataTable, roles: ColumnRoles, missing: str = "reject", *, is_training: bool = True
) -> Panel:
    """Sort the rows of a table by series, and check them.

    Args:
        table: The table. The rows of each series are in the order of time; rows of several series may
            alternate. If columns have a known future, rows at the end of a series whose targets are missing
            hold future values.
        roles: The roles of its columns.
        missing: ``"reject"`` raises an error for a missing value, ``"forward"`` replaces it by the value
            before, and ``"mask"`` keeps it.
        is_training: Whether the table is read for training. For a trained model, errors suggest no settings.

    Raises:
        DataError: if a column is missing or has another type, times are missing, repeated or not in order, or
            a value is infinite or missing. The error names the line and the column.
        UsageError: if a column has two roles.
    """
    as_instance(table, "make_panel: table", DataTable, "a zoo.data.DataTable")
    as_instance(roles, "make_panel: roles", ColumnRoles, "zoo.data.ColumnRoles")
    as_choice(missing, "make_panel: missing", MISSING)
    _check_roles(roles)
    if roles.series == FILE_COLUMN and FILE_COLUMN not in table.columns:
        roles = replace(roles, series=None)  # one file, where the files of a directory were several series
    if not len(table):
        raise DataError(f"{table.name} has no rows.")
    names, offsets, order = _series(table, roles.series)
    for name in roles.target:
        table.target(name)
    columns = {name: table.column(name) for name in roles.features}
    for column in columns.values():
        if mixed_kind(column) == "number":
            table.numbers(column.name)
        if column.kind == "time":
            raise DataError(f"{table.name}: column {column.name!r} holds times; give it as `time`.")
    if order is not None:
        columns = {name: column.take(order) for name, column in columns.items()}
    times = None if roles.time is None else _times(table, roles.time, is_training)
    times = times if times is None or order is None else times[order]
    panel = Panel(
        table, roles, columns, names, offsets, offsets[1:].copy(), times, order, is_training=is_training
    )
    if roles.time is not None:
        panel = replace(panel, is_utc=table.column(roles.time).is_utc)
    if roles.group is not None:
        panel = replace(panel, groups=_groups(panel))
    _check_times(panel)
    if roles.known_future:
        panel = replace(panel, ends=_observed_ends(panel))
    if roles.weight is not None:
        panel = replace(panel, weights=_weights(panel, roles.weight))
    return _with_missing(panel, missing)


def _weights(panel: Panel, name: str) -> Array:
    """The weights of the rows, `(N,)`."""
    values = panel.table.numbers(name)
    values = values if panel.rows is None else values[panel.rows]
    is_valid = np.isfinite(values) & (values > 0)
    for rows in panel.observed:
        if not is_valid[rows].all():
            row = rows.start + int(is_valid[rows].argmin())
            problem = "is missing" if np.isnan(values[row]) else f"is {values[row]:g}"
            raise DataError(f"{panel.where(row, name)}: the weight {problem}; expected a number above 0.")
    return values


def _groups(panel: Panel) -> DataColumn:
    """The group of each series."""
    assert panel.roles.group is not None  # the caller checks it
    if panel.roles.series is None:
        raise UsageError(
            f"group is {panel.roles.group!r}, and {panel.table.name} is one series; name the column of the "
            f"series with `series`."
        )
    groups = value_of_series(panel.table.column(panel.roles.group), panel, "group", "series")
    if groups.missing().any():
        series = panel.names[int(groups.missing().argmax())]
        raise DataError(f"{panel.table.name}: the group of series {series!r} is missing; fill it.")
    return groups.as_category()


def value_of_series(
    column: DataColumn, panel: Panel, role: str, noun: str = "sequence", advice: str = ""
) -> DataColumn:
    """The value that all rows of a series have in a column, `(S,)`, missing if all rows lack it.

    Args:
        column: The column of the table.
        panel: The series.
        role: The word for the value in messages, ``"label"``.
        noun: The word for a series in messages.
        advice: A sentence at the end of the message.

    Raises:
        DataError: if the rows of a series have different values.
    """
    rows = values_of_rows(column, panel)
    is_present, series = ~rows.missing(), panel.series_of_row
    result = replace(rows, values=missing_values(column.kind, len(panel.names)))
    for chunk in row_chunks(len(panel)):
        present = chunk.start + np.flatnonzero(is_present[chunk])
        numbers, first = np.unique(series[present], return_index=True)
        is_new = result.missing()[numbers]
        result.values[numbers[is_new]] = rows.values[present[first[is_new]]]
        differs = rows.values[present] != result.values[series[present]]
        if differs.any():
            row = int(present[differs.argmax()])
            number = int(series[row])
            raise DataError(
                f"{panel.where(row, column.name)}: found {rows.text(row)!r}, and {noun} "
                f"{panel.names[number]!r} has the {role} {result.text(number)!r} before; a {noun} has one "
                f"{role}.{advice and f' {advice}'}"
            )
    return result


def values_of_rows(column: DataColumn, panel: Panel) -> DataColumn:
    """A column of the table as numbers or a category, in the order of the rows of the panel, `(N,)`."""
    if column.kind == "time":
        column = column.as_category()
    return column if panel.rows is None else column.take(panel.rows)


def _check_roles(roles: ColumnRoles) -> None:
    group = None if roles.group == roles.series else roles.group
    others = (roles.time, roles.series, group, roles.weight)
    given = [name for name in (*roles.features, *others) if name is not None]
    for name in given:
        if given.count(name) > 1:
            raise UsageError(
                f"column {name!r} is given twice, as target, input, known future, time, series, group or "
                f"weight; give each column one role. The model always reads the past of a target."
            )


def _series(table: DataTable, name: str | None) -> tuple[tuple[str, ...], Array, Array | None]:
    """Names and offsets of the series, and the order of the rows, None if they are in order."""
    if name is None:
        return ("",), np.array([0, len(table)]), None
    column = table.column(name).as_category()
    if column.missing().any():
        row = int(column.missing().argmax())
        raise DataError(
            f"{table.where(row, name)}: the name of the series is missing; fill it, or remove the row."
        )
    codes = column.values
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(column.categories)))])
    is_sorted = bool((np.diff(codes) >= 0).all())
    return column.categories, offsets, None if is_sorted else np.argsort(codes, kind="stable")


def _times(table: DataTable, name: str, is_training: bool) -> Array:
    column = table.column(name)
    if column.kind == "category":
        raise _not_a_time(table, column, is_training)
    if column.missing().any():
        row = int(column.missing().argmax())
        raise DataError(f"{table.where(row, name)}: the time is missing; fill it, or remove the row.")
    return column.values


def _not_a_time(table: DataTable, column: DataColumn, is_training: bool = True) -> DataError:
    """The error for the first text in a column of times, or of numbers that serve as times."""
    kind = mixed_kind(column) or "time"
    row, text = first_unlike(column, kind)
    other = ", or name another column with `time`" if is_training else ""
    return DataError(
        f"{table.where(row, column.name)}: found {text!r}{expected_value(kind, text)}. Correct the "
        f"value{other}."
    )


def _check_times(panel: Panel) -> None:
    """Check that times increase in each series."""
    if panel.times is None:
        return
    _check_resolution(panel)
    increases = np.greater(panel.times[1:], panel.times[:-1])
    increases[panel.offsets[1:-1] - 1] = True
    if increases.all():
        return
    row = int(np.argmin(increases)) + 1
    may_name_series = panel.roles.series is None and panel.is_training
    now, before = (panel.time_text(panel.times[each]) for each in (row, row - 1))
    location, hint = panel.where(row, panel.roles.time or ""), _summer_time_hint(panel, row, now)
    if now == before:
        several = ", or name the column of the series with `series`" if may_name_series else ""
        raise DataError(f"{location}: the time {now} is repeated; remove one of the rows{several}.{hint}")
    several = " If the file holds several series, name their column with `series`." if may_name_series else ""
    raise DataError(f"{location}: the time {now} is before {before}; sort the rows by time.{several}{hint}")


def _summer_time_hint(panel: Panel, row: int, now: str) -> str:
    """Advice for an hour that occurs twice, since clocks were set back at the end of summer time."""
    times = panel.times
    assert times is not None  # the caller compares them
    is_local = times.dtype.kind == "M" and not panel.is_utc and ":" in now
    if not is_local or times[row - 1] - times[row] >= np.timedelta64(1, "h"):
        return ""
    return f" If summer time ends there, write times with their offset from UTC, as in {now}+02:00."


def _check_resolution(panel: Panel) -> None:
    """Check that numbers of times are not rounded to more than a thousandth of the time between rows."""
    times: Any = panel.times
    largest = max(float(times.max()), -float(times.min())) if times.dtype.kind == "f" else 0.0
    resolution, step = float(np.spacing(largest)), abs(panel.step_size())
    if largest >= 2**53 and len(panel) > len(panel.names) and step < 1000 * resolution:
        row = int(np.abs(times).argmax())
        raise DataError(
            f"{panel.where(row, str(panel.roles.time))}: found {times[row]:.0f}, and numbers beyond 2**53 "
            f"are rounded, here to multiples of {resolution:g}, too coarse for the time between rows. Give "
            f"dates such as 2024-05-01 13:00, or subtract the first time from all."
        )


def _observed_ends(panel: Panel) -> Array:
    """The rows of each series up to the last one with a target."""
    observed = np.asarray(~np.isnan(panel.targets).all(axis=1))
    ends = []
    for first, last in zip(panel.offsets[:-1], panel.offsets[1:], strict=True):
        present = np.flatnonzero(observed[first:last])
        ends.append(int(first) + int(present[-1]) + 1 if present.size else int(first))
    return np.array(ends)


def _with_missing(panel: Panel, missing: str) -> Panel:
    """The panel with missing values rejected, replaced or kept; infinity is an error."""
    columns, filled = dict(panel.columns), dict[str, Array]()
    is_observed = np.zeros(len(panel), bool)
    for rows in panel.observed:
        is_observed[rows] = True
    for name, column in panel.columns.items():
        row = too_large(column.values) if column.kind == "number" else None
        if row is not None:
            raise DataError(f"{panel.where(row, name)}: {finite_hint(column.values[row])}")
        absent = column.missing()
        if name not in panel.roles.known_future:
            absent = absent & is_observed
        if not absent.any():
            continue
        if missing == "reject":
            count = int(absent.sum())
            others = f", one of {count:,} in this column" if count > 1 else ""
            setting = ", or give `missing='forward'` or `missing='mask'`" if panel.is_training else ""
            raise DataError(
                f"{panel.where(int(absent.argmax()), name)}: the value is missing{others}; fill it{setting}."
            )
        if missing == "forward":
            columns[name] = _forward_filled(panel, column)
            filled[name] = absent
    targets = panel.roles.target
    if any(name in filled for name in targets):
        none = np.zeros(len(panel), bool)
        panel = replace(panel, is_filled=np.stack([filled.get(name, none) for name in targets], axis=1))
    return replace(panel, columns=columns)


def _forward_filled(panel: Panel, column: DataColumn) -> DataColumn:
    """The column with each missing value replaced by the one before; a target may have none in a series."""
    absent = column.missing()
    source = np.where(absent, 0, np.arange(len(column)))
    source[panel.offsets[:-1]] = panel.offsets[:-1]
    source = np.maximum.accumulate(source)
    filled = column.take(source)
    leading = filled.missing()
    if column.name in panel.roles.target:
        ends = panel.offsets[1:][panel.series_of_row]
        leading &= ~filled.missing()[ends - 1]
    if leading.any():
        advice = "remove the row, or give `missing='mask'`" if panel.is_training else "or remove the row"
        raise DataError(
            f"{panel.where(int(leading.argmax()), column.name)}: the value is missing, and there is none "
            f"before it in its series; fill it, {advice}."
        )
    return filled
