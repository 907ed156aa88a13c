"""The rows that a web page begins with: random rows in the units of training, or rows of a file.

A page has rows of training only if you give their file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from zoo.arguments import short_repr
from zoo.array_types import Array
from zoo.classification.predictor import Predictor
from zoo.classification.spec import SequenceSpec
from zoo.data.compression import open_data_file
from zoo.data.csv_table import open_records, read_csv
from zoo.data.table import DataTable, time_texts
from zoo.data.text_values import is_missing_text, with_point
from zoo.errors import DataError, MissingSourceError, UsageError
from zoo.export.exported_data import DataExport, TableExport, exported_data
from zoo.forecasting.forecaster import Forecaster
from zoo.forecasting.spec import ForecastSpec

_LEAST_ROWS, _MOST_SERIES = 48, 3
_STEPS = 30
_PERSISTENCE = 0.9
"""The correlation of a value with the one before, of columns with unknown changes."""


_MOST_BYTES = 1_000_000
"""The largest file of an example, which the page contains."""


def read_example(path: Path, trained: Forecaster | Predictor, step_column: str | None = None) -> str:
    """The columns that a model reads of a CSV file, as CSV with commas and decimal points.

    Args:
        path: The file; it is decompressed if its name ends in .gz, .bz2 or .xz.
        trained: The model with its columns and units.
        step_column: The column of the times between rows; None for none.

    Raises:
        UsageError: if it is too large for a page.
        MissingSourceError: if it cannot be read, or lacks a column.
        DataError: if it is not CSV, or the page would show an error in place of a result.
    """
    content = _content(path)
    data = exported_data(trained)
    assert data is not None  # it has columns
    series = (data.spec.roles if isinstance(data, TableExport) else data.spec).series
    table = read_csv(io.BytesIO(content), path.name, [] if series is None else [series])
    header, delimiter, reader = open_records(_text(content), path.name)
    columns = dict(zip(header, zip(*filter(None, reader), strict=True), strict=True))
    _check_texts(table, columns, data)
    if isinstance(trained, Forecaster):
        _check_series(table, trained)
        trained.inputs(table)
    elif step_column is None:  # zoo.predict has no such column
        _check_sequences(table, trained)
    else:
        for name in (*data.columns, step_column):
            if not data.columns.get(name):
                table.numbers(name)
    names = [name for name in _names_of_columns(data, step_column) if name in columns]
    exact = {series, *(name for name, texts in data.columns.items() if texts)}
    is_plain = {name: delimiter == "," or name in exact for name in names}
    rows = zip(
        *(columns[name] if is_plain[name] else map(with_point, columns[name]) for name in names), strict=True
    )
    return _csv_text([names, *rows])


def _content(path: Path) -> bytes:
    label = f"the example {short_repr(str(path))}"
    try:
        with open_data_file(path, path.name) as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MissingSourceError(
            f"export: {label} cannot be read: {error.strerror}; give a CSV file."
        ) from None
    if len(content) > _MOST_BYTES:
        raise UsageError(
            f"export: {label} has more than {_MOST_BYTES:,} bytes, which is the most that a page contains. "
            f"Give fewer rows."
        )
    return content


def _text(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")


def _check_texts(table: DataTable, columns: Mapping[str, Sequence[str]], data: DataExport) -> None:
    """Check that the values of columns of texts occurred in training."""
    for name, texts in data.columns.items():
        if not texts:
            continue
        table.column(name)
        for row, text in enumerate(map(str.strip, columns[name])):
            if text not in texts and not is_missing_text(text):
                raise DataError(
                    f"{table.where(row, name)}: found {text[:40]!r}, which did not occur in training; "
                    f"expected one of {', '.join(map(repr, texts[:10]))}{', ...' * (len(texts) > 10)}."
                )


def _check_series(table: DataTable, trained: Forecaster) -> None:
    """Check that all series are of training, since a page has no units for others."""
    name, names = trained.spec.roles.series, trained.scaling.names
    if name is None:
        return
    unknown = [text for text in table.column(name).as_category().categories if text not in names]
    if unknown:
        raise DataError(
            f"{table.name}: series {unknown[0][:40]!r} was not in training, and a page forecasts only the "
            f"series that the model was trained on: {', '.join(map(repr, names[:10]))}"
            f"{', ...' * (len(names) > 10)}. Remove its rows."
        )


def _check_sequences(table: DataTable, trained: Predictor) -> None:
    """Check that each sequence has a prediction. Without the column of ids, all rows are one sequence."""
    if trained.spec.series not in table.columns:
        trained = replace(trained, spec=replace(trained.spec, series=None))
    trained.open_data(table, needs_labels=False)


def _names_of_columns(data: DataExport, step_column: str | None) -> Iterator[str]:
    """The columns that a page reads."""
    if isinstance(data, TableExport):
        names = (data.spec.roles.series, data.spec.roles.time, *data.columns)
    else:
        names = (data.spec.series, data.spec.time, *data.columns, step_column, data.spec.label)
    yield from dict.fromkeys(name for name in names if name is not None)


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def example_csv(data: DataExport, step_column: str | None = None) -> str:
    """Rows of up to three series or sequences as CSV, with the rows of the future that a forecast needs.

    Args:
        data: The columns and units of the model.
        step_column: The column of the times between rows; None for none.
    """
    random = np.random.default_rng(0)
    rows = (
        _rows_of_table(data, random)
        if isinstance(data, TableExport)
        else _rows_of_sequences(data.spec, step_column, random)
    )
    return _csv_text(rows)


def _rows_of_table(data: TableExport, random: np.random.Generator) -> Iterator[Sequence[str]]:
    spec, scaling, roles = data.spec, data.scaling, data.spec.roles
    past = max(spec.context, _LEAST_ROWS)
    count = past + (spec.horizon if roles.known_future else 0)
    names = [name for name in (roles.series, roles.time) if name is not None]
    yield [*names, *roles.features]
    for number, series in enumerate(scaling.names[:_MOST_SERIES]):
        columns = [[series] * count] if roles.series is not None else []
        columns += [_times(spec, count)] if roles.time is not None else []
        for name in roles.features:
            if name in spec.categories:
                column = _texts(spec.categories[name], count, random)
            else:
                position = spec.numeric.index(name)
                mean, scale = scaling.mean[number, position], scaling.scale[number, position]
                is_target = position < len(roles.target)
                persistence = _PERSISTENCE
                if is_target:
                    persistence = _persistence(scaling.change[number, position], scale)
                column = _numbers(mean, scale, count, spec.season if is_target else 1, persistence, random)
            columns.append(column if name in roles.known_future else column[:past] + [""] * (count - past))
        yield from zip(*columns, strict=True)


def _rows_of_sequences(
    spec: SequenceSpec, step_column: str | None, random: np.random.Generator
) -> Iterator[Sequence[str]]:
    names = [name for name in (spec.series, spec.time) if name is not None]
    steps = [] if step_column is None else [["", *[f"{spec.time_unit or 1.0:g}"] * (_STEPS - 1)]]
    yield [*names, *spec.columns, *([] if step_column is None else [step_column])]
    channels = {name: number for number, name in enumerate(spec.channels)}
    for series in ("a", "b", "c") if spec.series is not None else ("",):
        columns = [[series] * _STEPS] if spec.series is not None else []
        columns += [_times(spec, _STEPS)] if spec.time is not None else []
        for name in spec.columns:
            if name in spec.categories:
                columns.append(_texts(spec.categories[name], _STEPS, random))
            else:
                units = spec.mean[channels[name]], spec.scale[channels[name]]
                columns.append(_numbers(*units, _STEPS, 1, _PERSISTENCE, random))
        yield from zip(*columns, *steps, strict=True)


def _persistence(change: float, scale: float) -> float:
    """The correlation of a value with the one before, from the root mean square of changes.

    Of a process with the deviation `s` and this correlation `r`, it is `s (2 - 2 r)^(1/2)`.
    """
    return min(0.99, max(0.0, 1 - 0.5 * (change / scale) ** 2))


def _numbers(
    mean: float, scale: float, count: int, season: int, persistence: float, random: np.random.Generator
) -> list[str]:
    """Values of an autoregressive process, of a wave if there is a season, or zeros and ones."""
    noise, values = random.normal(size=count), np.empty(count)
    values[0] = noise[0]
    for step in range(1, count):
        values[step] = persistence * values[step - 1] + math.sqrt(1 - persistence**2) * noise[step]
    if math.isclose(scale**2, mean * (1 - mean), rel_tol=1e-6):  # a column of zeros and ones
        return ["1" if value < NormalDist().inv_cdf(mean) else "0" for value in values.tolist()]
    if season > 1:
        values = 1.3 * np.sin(2 * np.pi * np.arange(count) / season) + 0.4 * values  # the variance stays 1
    decimals = min(15, max(0, 2 - math.floor(math.log10(scale))))
    return [f"{value:.{decimals}f}" for value in (mean + scale * values).tolist()]


def _texts(texts: Sequence[str], count: int, random: np.random.Generator) -> list[str]:
    return [texts[code] for code in random.integers(len(texts), size=count)] if texts else [""] * count


def _times(spec: ForecastSpec | SequenceSpec, count: int) -> list[str]:
    """Equally spaced times in the unit of training."""
    unit = spec.time_unit or 1.0
    if spec.time_kind == "number":
        return [f"{unit * step:.12g}" for step in range(count)]
    times: Any = np.datetime64("2024-01-01", "us") + np.arange(count) * np.timedelta64(
        round(unit * 1e6), "us"
    )
    texts: Array = times
    return time_texts(texts)
