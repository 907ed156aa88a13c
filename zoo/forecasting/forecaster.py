"""``Forecaster``: a trained model with the columns and units of its table."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.arguments import as_choice, as_integer, as_path, counted, short_repr
from zoo.array_types import Array
from zoo.base.data_kinds import PARTS
from zoo.data.panel import Panel, make_panel, step_text
from zoo.data.sources import STDIN
from zoo.data.table import (
    DataTable,
    as_table,
    columns_to_csv,
    is_table_like,
    plain_values,
    prediction_name,
    value_texts,
)
from zoo.data.table_files import IN_MEMORY_TABLE, read_table
from zoo.data.time_kind import check_time_kind
from zoo.data.training_files import check_unchanged
from zoo.errors import CheckpointError, DataError, UsageError, warn_caller, warn_without
from zoo.forecasting.baselines import History, seasonal_naive
from zoo.forecasting.calibration import Calibration, first_unseen, seen_digests
from zoo.forecasting.evaluation import (
    actual_after,
    divide_series,
    forecast_part,
    last_part,
    make_interval,
    missing_targets,
    part_origins,
    score_forecasts,
    split_ends,
    with_units,
)
from zoo.forecasting.predict import predict
from zoo.forecasting.scaling import Scaling
from zoo.forecasting.spec import ForecastSpec
from zoo.forecasting.windows import Windows, make_windows, unseen_sentence
from zoo.model import SequenceModel, model_from
from zoo.model.checkpoint import CellClasses, command_for, open_run
from zoo.storage import Checkpoint
from zoo.storage import save as save_file

_FORECAST_COLUMNS = ("series", "origin", "time", "step")


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts from several origins, or of several series.

    Attributes:
        targets: Names of the M targets.
        levels: Quantiles: low, 0.5 for the point forecast, and high; empty without an interval.
        series: The name of the series of each of the n forecasts; empty names for one series.
        origins: The time of the last row that each forecast reads, `(n,)`; row numbers without times.
        times: The times of the steps, `(n, steps)`; numbers from 1 without times.
        values: `(n, steps, M, Q)` in the units of the table.
        actual: The actual values, `(n, steps, M)`; None if they are not known.
        is_utc: Whether times are in UTC, since the table gives a zone or an offset from UTC. NumPy has no
            zones, so ``times`` and ``columns()`` are without one.
    """

    targets: tuple[str, ...]
    levels: tuple[float, ...]
    series: tuple[str, ...]
    origins: Array
    times: Array
    values: Array
    actual: Array | None = None
    is_utc: bool = False

    def __repr__(self) -> str:
        return f"Forecast({_size_text(self)}, targets={short_repr(self.targets)}, levels={self.levels})"

    def columns(self) -> dict[str, Array]:
        """Columns of a table with a row for each step, for a data frame: ``pandas.DataFrame(f.columns())``.

        Columns are ``series`` (if the series have names), ``origin`` (of a backtest), ``time`` or ``step``,
        and for each target the point forecast, each other quantile, as in ``load_q0.1``, and the actual
        value, ``load_actual`` (of a backtest). Forecasts of a target that is called ``time`` are in
        ``time_predicted``.
        """
        count, steps = self.times.shape
        columns: dict[str, Array] = {}
        if any(self.series):
            columns["series"] = np.repeat(np.array(self.series), steps)
        if self.actual is not None:
            columns["origin"] = np.repeat(self.origins, steps)
        has_times = self.times.dtype.kind in "Mf"
        columns["time" if has_times else "step"] = self.times.reshape(count * steps)
        middle = self.values.shape[3] // 2
        for index, target in enumerate(self.targets):
            values = self.values[:, :, index].reshape(count * steps, -1)
            columns[prediction_name(target, _FORECAST_COLUMNS)] = values[:, middle]
            for position, level in enumerate(self.levels):
                if position != middle:
                    columns[f"{target}_q{level:g}"] = values[:, position]
            if self.actual is not None:
                columns[f"{target}_actual"] = self.actual[:, :, index].reshape(count * steps)
        return columns

    def to_csv(self) -> str:
        """The columns as CSV, numbers with six significant digits, and ``Z`` after times in UTC."""
        return columns_to_csv(self.columns(), self.is_utc)

    def to_json(self) -> list[dict[str, Any]]:
        """A mapping for each row."""
        columns = self.columns()
        rows = zip(*(plain_values(values, self.is_utc) for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def _size_text(forecast: Forecast) -> str:
    """The number of forecasts and of their steps: ``10 forecasts of 24 steps``."""
    return f"{counted(len(forecast.series), 'forecast')} of {counted(forecast.times.shape[1], 'step')}"


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A trained model with the columns and units of its table.

    >>> forecaster = zoo.fit(table, target="load", horizon=24)
    >>> forecaster.forecast().columns()["load"]

    Attributes:
        model: The model.
        spec: Its inputs and outputs.
        scaling: The units of the series of training.
        data: The table of training, or the name of its file.
        calibration: The errors on the validation part, for intervals; None without them.
        sha256: Digest of the table of training; empty if it is unknown.
    """

    model: SequenceModel
    spec: ForecastSpec
    scaling: Scaling
    data: Any
    calibration: Calibration | None = None
    sha256: str = ""

    def __repr__(self) -> str:
        return (
            f"Forecaster({self.model!r}, target={short_repr(self.spec.roles.target)}, "
            f"context={self.spec.context}, horizon={self.spec.horizon})"
        )

    @classmethod
    def load(cls, run: Any, cell: CellClasses = None) -> Forecaster:
        """Load the forecaster of a run once, to forecast often, for example in a service.

        >>> forecaster = zoo.forecasting.Forecaster.load("runs/load")
        >>> forecaster.forecast(latest_rows).columns()["load"]

        Args:
            run: A run, a run directory, of which the best model is taken, or a ``.safetensors`` file. A
                forecaster is returned as it is.
            cell: The class of the cell, if it is not registered.

        Raises:
            CheckpointError: if it does not exist, or is damaged.
            UsageError: if it is a run on a text, a task or labelled sequences.
        """
        return open_run(cls, cls.from_checkpoint, run, cell)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, source: str, cell: CellClasses = None, data: Any = None
    ) -> Forecaster:
        """Make a forecaster of a checkpoint of a run on a table.

        Args:
            checkpoint: The checkpoint.
            source: Its path, for messages.
            cell: As for :func:`zoo.load`.
            data: The table; None for the file that the checkpoint names.

        Raises:
            UsageError: if it is a run on a text or a task.
            CheckpointError: if it is damaged.
        """
        stored, config = checkpoint.meta.get("table"), checkpoint.meta.get("config")
        if not isinstance(stored, Mapping) or not isinstance(config, Mapping):
            command = command_for(checkpoint)
            use = f"use `zoo {command} {source}`, or " if command else ""
            raise UsageError(
                f"{source} is not a forecasting model; {use}train one with `zoo train --data FILE.csv "
                f"--target COLUMN --horizon N`."
            )
        spec = ForecastSpec.from_json(stored.get("spec"), source)
        scaling = Scaling.from_json(stored.get("scaling"), spec, source)
        model = model_from(checkpoint, source, cell)
        sizes = spec.input_size, spec.output_size
        if not isinstance(model, SequenceModel) or sizes != (model.input_size, model.output_size):
            raise CheckpointError(f"{source}: its description of the table does not fit its model.")
        sources = config.get("data")
        named = sources[0] if isinstance(sources, list) and sources and isinstance(sources[0], str) else None
        calibration = Calibration.from_checkpoint(checkpoint.arrays, stored, spec, source)
        digest = str(stored.get("sha256", ""))
        return cls(model, spec, scaling, named if data is None else data, calibration, digest)

    def to_checkpoint(self) -> Checkpoint:
        """The model with its inputs, outputs, units and errors, without the table of training."""
        checkpoint, arrays = self.model.to_checkpoint(), dict[str, Array]()
        table: dict[str, Any] = {"spec": self.spec.to_json(), "scaling": self.scaling.to_json()}
        if self.calibration is not None:
            table["last_seen"], arrays = dict(self.calibration.last_seen), self.calibration.arrays()
            table["seen_sha256"] = dict(self.calibration.seen_sha256)
        config = {"data": [f"{IN_MEMORY_TABLE}table"], "kind": "table", "target": [*self.spec.roles.target]}
        meta = {**checkpoint.meta, "table": table, "config": config}
        return Checkpoint({**checkpoint.arrays, **arrays}, meta)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.safetensors`` file, which :func:`zoo.forecast` and :func:`zoo.backtest` read.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        save_file(as_path(path, "Forecaster: path"), self.to_checkpoint())

    def forecast(self, data: Any = None, steps: int | None = None, *, level: float | None = None) -> Forecast:
        """Forecast the steps after the end of each series.

        If columns have a known future, rows at the end of a series without targets give its values. The
        interval comes from the errors on the validation part. A warning says if that part is too short.

        Args:
            data: A file, or a table as for :func:`zoo.train`, with the history of the series; None for the
                data of training.
            steps: Steps of the forecast; None for the horizon. A longer forecast continues from its own point
                forecasts, and its interval from random errors of the validation part.
            level: Share of values within the interval, 0 for none; None for the quantiles of the loss, or
                else 0.8.

        Returns:
            A forecast for each series, in the order in which they first occur. A series that is shorter than
            the context has NaN, with a warning. A new series with a target that does not vary has NaN too,
            and a forecast that would read a text value that did not occur in training. Without
            ``missing="mask"`` in training, a series without any value of a target has NaN.

        Raises:
            DataError: if the data cannot be read, or no series has a forecast.
            UsageError: if the forecast is longer than the horizon and the model reads columns whose future is
                not known, or the level is invalid.
        """
        steps = self.spec.horizon if steps is None else as_integer(steps, "steps", 1)
        panel, windows, is_usable = self._last_windows(data)
        spec, origins = self.spec, panel.ends - 1
        interval, note = make_interval(
            self.model, windows, panel, self.calibration, origins[is_usable], level
        )
        if note:
            warn_caller(note)
        forecasts = predict(self.model, windows, origins[is_usable], steps, interval)
        values = np.full((len(origins), *forecasts.shape[1:]), np.nan)
        values[is_usable] = forecasts
        times = np.stack([_times_after(panel, number, steps) for number in range(len(panel.names))])
        origins = np.maximum(
            origins, panel.offsets[:-1]
        )  # of a series without a history, which has no forecast
        known = origins if panel.times is None else panel.times[origins]
        levels = () if interval is None else interval.levels
        return Forecast(spec.roles.target, levels, panel.names, known, times, values, is_utc=panel.is_utc)

    def inputs(self, data: Any = None) -> dict[str, Array]:
        """The inputs of the model for the next forecast of each series, in the units of the model.

        Functions on the model, such as :func:`zoo.analysis.trace`, read these inputs. They do not scale the
        units of your data, encode texts, or mark missing values.

        >>> given = forecaster.inputs(latest_rows)
        >>> outputs, state = forecaster.model.outputs(**given)
        >>> h = zoo.analysis.trace(forecaster.model, names=["h"], **given)["l0.h"]

        Args:
            data: As for :meth:`forecast`.

        Returns:
            ``inputs (T, S, I)``, the last ``T`` rows of each series, T being the context, of which
            ``forecaster.spec.input_names`` names the I; and ``dt (T, S)`` in the unit of the model, if the
            cell reads the time between rows. A series without a forecast is left out, with a warning.

        Raises:
            DataError: if the data cannot be read, or no series has a forecast.
        """
        panel, windows, is_usable = self._last_windows(data)
        origins = panel.ends[is_usable] - 1
        return {"inputs": windows.inputs(origins), **windows.aux(origins, tuple(self.model.stack.inputs))}

    def _last_windows(self, data: Any) -> tuple[Panel, Windows, Array]:
        """The series, their windows, and whether each series has a window at its end, `(S,)`."""
        panel = self._panel(data)
        windows = self._windows(panel, panel.ends)
        is_usable = self._check_history(panel, windows)
        self._compare_steps(panel)
        return panel, windows, is_usable

    def backtest(
        self,
        data: Any = None,
        *,
        steps: int | None = None,
        stride: int | None = None,
        part: str | None = None,
        level: float | None = None,
    ) -> Backtest:
        """Forecast from many origins, and compare with the actual values.

        The model is not trained again. Windows of the training part are those that it was trained on.

        Args:
            data: As for :meth:`forecast`.
            steps: Steps of each forecast; None for the horizon.
            stride: Rows from one origin to the next; None for the steps, so that forecasts do not overlap.
            part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``; None for the last part with windows.
                Other data than those of training have two parts: ``"test"``, which None means too, are all
                rows after those that training and validation have read, and ``"all"`` are all rows. Times
                identify rows. Without times, a series has rows of training if it begins with all of them.
                The units of a new series are measured in the share of training of its rows, and the test
                part is the rest.
            level: As for :meth:`forecast`.

        Raises:
            DataError: if the data cannot be read, the part has no windows, other data have no rows after
                those of training, all windows read text values that did not occur in training, or the table
                of training has changed.
            UsageError: if an argument is invalid.

        Warns:
            ZooWarning: if some windows read such values. They are left out.
        """
        steps = self.spec.horizon if steps is None else as_integer(steps, "steps", 1)
        stride = steps if stride is None else as_integer(stride, "stride", 1)
        if part is not None:
            as_choice(part, "part", (*PARTS, "all"))
        if data is not None:
            data = self._table(data)
            if data.sha256 == self.sha256:  # a file that was moved since training
                return replace(self, data=data).backtest(steps=steps, stride=stride, part=part, level=level)
            if part in ("train", "valid"):
                raise UsageError(
                    f"part is {part!r}, but {data.name} is not the table of training, whose rows the parts "
                    f"divide; leave it out for the rows after those of training and validation, or give "
                    f"`part='all'`."
                )
        panel = self._training_panel() if data is None else self._panel(data)
        self._compare_steps(panel)
        has_unit = self.scaling.covers(panel, split_ends(panel, self.spec.split)[0])
        has_unit &= self._has_targets(panel)
        panel, note = with_units(panel, has_unit)
        if note:
            warn_caller(f"{panel.table.name}: {note}")
        cuts = split_ends(panel, self.spec.split)
        windows = self._windows(panel, cuts[0])
        requested = part
        if data is not None and part != "all":
            part, cuts = self._unseen_rows(panel, cuts, steps)
        part = part or last_part(panel, cuts, self.spec, steps)
        given = self.model, windows, panel, cuts, part, self.calibration
        forecasts = forecast_part(*given, steps=steps, stride=stride, level=level)
        scores = score_forecasts(forecasts, windows, panel, cuts[0])
        if not scores["targets"]:
            where = "after its context" if part == "all" else f"in the {part} part"
            raise DataError(f"{panel.table.name}: no target has a value {where}; give other rows.")
        scores["part"] = requested or part  # all rows of data that are new are the requested test part
        origins = forecasts.origins
        history = History.of_panel(panel, cuts[0], self.spec.context, self.spec.season, steps)
        rows = origins[:, None] + np.arange(1, steps + 1)
        forecast = Forecast(
            self.spec.roles.target,
            forecasts.levels,
            tuple(panel.names[number] for number in windows.series(origins)),
            origins if panel.times is None else panel.times[origins],
            rows if panel.times is None else panel.times[rows],
            forecasts.values,
            actual_after(panel, origins, steps),
            panel.is_utc,
        )
        return Backtest(forecast, scores, seasonal_naive(history, origins))

    def _unseen_rows(self, panel: Panel, cuts: Array, steps: int) -> tuple[str, Array]:
        """The part of other data to evaluate, ``"all"`` if no row is of training, and the ends of the parts.

        A table that has grown since training holds rows of training, too, whose errors are too small. The
        test part is the rows after them, and of a new series the rows after those that give its units.
        """
        calibration = self.calibration or Calibration(np.empty(0), {})
        unseen = first_unseen(panel, calibration.last_seen)
        if panel.times is None:
            then, now = calibration.seen_sha256, seen_digests(panel, calibration.last_seen)
            is_seen = [name in now and now[name] == then.get(name) for name in panel.names]
            unseen = np.where(is_seen, unseen, panel.offsets[:-1])
        has_seen_rows = unseen > panel.offsets[:-1]
        first = np.where(self.scaling.contains(panel), unseen, cuts[0])
        if (first == panel.offsets[:-1]).all():
            return "all", cuts
        fitted = np.where(has_seen_rows, np.minimum(cuts[0], unseen), cuts[0])  # for baselines
        later = np.stack([fitted, first, cuts[2]])
        if has_seen_rows.any() and not any(part_origins(panel, later, "test", self.spec, steps)):
            kind = "row" if panel.times is None else "time"
            name = panel.names[int(has_seen_rows.argmax())]
            last = calibration.last_seen[name]
            value = np.array([last], "M8[us]" if isinstance(last, str) else float)
            last_text = f"row {last:,.0f}" if kind == "row" else value_texts(value, panel.is_utc)[0]
            raise DataError(
                f"{panel.table.name}: no forecast lies after the last {kind} that training or validation has "
                f"read ({last_text}{f' of series {name!r}' if name else ''}), so the errors may be too "
                f"small. Give {counted(steps, 'row')} or more after this {kind}, or give `part='all'` to "
                f"evaluate all rows."
            )
        return "test", later

    def evaluate(self, data: Any = None, part: str | None = None) -> dict[str, Any]:
        """The errors of the model and of the baselines, as plain JSON values, with an origin at every row.

        Args:
            data: As for :meth:`forecast`.
            part: As for :meth:`backtest`.

        Raises:
            DataError: as :meth:`backtest`.
            UsageError: as :meth:`backtest`.
        """
        return dict(self.backtest(data, stride=1, part=part).scores)

    def open_data(self) -> tuple[Panel, Windows]:
        """The series of training, and their windows in the units of the model.

        Raises:
            DataError: if the table cannot be read, or has changed.
        """
        panel = self._training_panel()
        return panel, self._windows(panel, panel.ends)

    def _training_panel(self) -> Panel:
        """The series of training, divided by groups if there are any.

        Raises:
            DataError: if the table has changed.
        """
        panel = self._panel(None)
        check_unchanged(panel.table.name, panel.table.sha256, self.sha256, "eval", "backtest")
        panel = panel.select(self.scaling.contains(panel))
        return divide_series(panel, self.spec.split, self.spec.split_seed)

    def _panel(self, data: Any) -> Panel:
        table, spec = self._table(data), self.spec
        roles = replace(spec.roles, weight=None)
        roles = roles if data is None else replace(roles, group=None)
        panel = make_panel(table, roles, spec.missing, is_training=False)
        if "dt" in self.model.stack.inputs:
            check_time_kind(table.name, panel.time_kind, spec.time_kind, roles.time)
        return panel

    def _has_targets(self, panel: Panel) -> Array:
        """Whether the treatment of missing values gives each series a value of each target, `(S,)`."""
        if self.spec.missing == "mask":  # a mark and the mean stand for a target without any value
            return np.ones(len(panel.names), bool)
        return np.array([not names for names in missing_targets(panel)])

    def _windows(self, panel: Panel, ends: Array) -> Windows:
        """The windows of a panel. The units of a new series are measured up to its end in ``ends``."""
        scaling = self.scaling.for_panel(panel, self.spec, ends)
        return make_windows(panel, self.spec, scaling, self.model.dtype)

    def _table(self, data: Any) -> DataTable:
        source = self.data if data is None else data
        if data is None and isinstance(source, str) and source == STDIN:
            raise DataError(
                "the table came from standard input, which is not read again; name it with `data`."
            )
        names = self.spec.identifiers
        return as_table(source, identifiers=names) if is_table_like(source) else read_table(source, names)

    def _check_history(self, panel: Panel, windows: Windows) -> Array:
        """Whether each series has a forecast, `(S,)`; a warning names those that have none, and the reason.

        A forecast needs a context and a unit, and values of categories that occurred in training.

        Raises:
            DataError: if none has, or one lacks future values of known columns.
        """
        spec, lengths = self.spec, panel.ends - panel.offsets[:-1]
        is_long = np.asarray(lengths >= spec.context)
        has_unit, has_targets = self.scaling.covers(panel, panel.ends), self._has_targets(panel)
        is_usable = is_long & has_unit & has_targets & ~windows.reads_unseen(panel.ends - 1)
        if not is_usable.all():
            number = int(is_usable.argmin())
            name, others = panel.names[number], int((~is_usable).sum()) - 1
            owner = f"{panel.table.name}, series {name!r}" if name else panel.table.name
            value, subject = windows.first_unseen(int(panel.ends[number]) - 1), "this series"
            if not is_long[number]:
                sentence = (
                    f"{owner} has {counted(int(lengths[number]), 'row')} of history; the model reads "
                    f"{spec.context:,} before a forecast. Give more rows."
                )
            elif not has_unit[number]:
                sentence = (
                    f"{owner} has a target that is constant or missing, which has no unit. Give more rows."
                )
            elif value is None:
                absent = missing_targets(panel)[number][0]
                sentence = f"{owner} has no value of {absent!r}, which the model reads. Give more rows."
            else:
                sentence = unseen_sentence(panel, spec, *value)
                subject = f"series {name!r}" if name else subject  # the sentence names only its row
            if not is_usable.any():
                raise DataError(sentence)
            warn_without(sentence, subject, others, "forecast")
        for number, name in enumerate(panel.names):
            if not is_usable[number]:
                continue
            owner = f"{panel.table.name}, series {name!r}" if name else panel.table.name
            future = int(panel.offsets[number + 1] - panel.ends[number])
            if spec.roles.known_future and future < spec.horizon:
                raise DataError(
                    f"{owner} has {counted(future, 'row')} after the last value of {spec.roles.target[0]!r}; "
                    f"a forecast needs {spec.horizon:,}. Add {counted(spec.horizon - future, 'row')} with "
                    f"future {', '.join(spec.roles.known_future)} and empty {', '.join(spec.roles.target)} "
                    f"to {panel.table.name}."
                )
            _check_future_times(panel, number, spec.horizon)
        return is_usable

    def _compare_steps(self, panel: Panel) -> None:
        """Warn if rows are further apart, or closer, than in training, and no cell reads the time."""
        given, trained = panel.step_size(), self.spec.time_unit
        if "dt" in self.model.stack.inputs or self.spec.time_kind not in (None, panel.time_kind):
            return
        if panel.times is None or len(panel) == len(panel.names) or not 0 < trained < math.inf:
            return
        if not 1 / _STEP_RATIO < given / trained < _STEP_RATIO:
            is_dates = panel.times.dtype.kind == "M"
            warn_caller(
                f"{panel.table.name}: rows are {panel.step_text()} apart, and rows of training were "
                f"{step_text(trained, is_dates)} apart. One forecast step is always one row. "
                f"Give a table with the step of training, or train on this one."
            )


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts from many origins, with their errors.

    Attributes:
        forecast: The forecasts and the actual values.
        scores: The errors of the model and of the baselines, as plain JSON values.
        seasonal_naive: The seasonal naive forecasts, or the last value without a season, `(n, steps, M)`.
    """

    forecast: Forecast
    scores: Mapping[str, Any]
    seasonal_naive: Array

    def __repr__(self) -> str:
        targets = short_repr(self.forecast.targets)
        return f"Backtest({_size_text(self.forecast)}, targets={targets}, part={self.scores['part']!r})"


_STEP_RATIO = 1.25
"""Ratio of the time between rows to the one of training from which on a warning is given."""

_STEP_TOLERANCE = 1.15
"""Ratio of a step to the steps of a history that is no jump; calendar months differ less."""


def _check_future_times(panel: Panel, number: int, steps: int) -> None:
    """Raise an error for a jump from the history of a series to its future rows, or between these.

    The model forecasts the rows after the history, so a gap would give its steps other times. A history with
    uneven steps, such as working days, may go on with any step between its shortest and its longest one.
    """
    first, end = int(panel.offsets[number]), int(panel.ends[number])
    last = min(int(panel.offsets[number + 1]), end + steps)
    if panel.times is None or last == end or end - first < 2:
        return
    history, gaps = np.diff(panel.times[first:end]), np.diff(panel.times[end - 1 : last])
    shortest, longest = history.min(), history.max()
    is_jump = (gaps > longest * _STEP_TOLERANCE) | (gaps < shortest / _STEP_TOLERANCE)
    if not is_jump.any():
        return
    row = end + int(is_jump.argmax())
    is_dates = panel.times.dtype.kind == "M"
    sizes = [float(each / np.timedelta64(1, "s") if is_dates else each) for each in (shortest, longest)]
    texts = dict.fromkeys(step_text(size, is_dates) for size in sizes)
    is_gap = gaps[row - end] > longest
    cure = (
        "Add the missing rows, with their targets if you know them: forecasts begin after the history."
        if is_gap
        else "Give future rows with the time step of the history."
    )
    raise DataError(
        f"{panel.where(row, panel.roles.time or '')}: the time {panel.time_text(panel.times[row])} follows "
        f"{panel.time_text(panel.times[row - 1])}, but the rows of the history are {' to '.join(texts)} "
        f"apart. {cure}"
    )


def _times_after(panel: Panel, number: int, steps: int) -> Array:
    """The times of the steps after the end of a series, `(steps,)`."""
    end, last = int(panel.ends[number]), int(panel.offsets[number + 1])
    if panel.times is None:
        return np.arange(1, steps + 1)
    if last - end >= steps:
        known: Array = panel.times[end : end + steps]
        return known
    past = panel.times[panel.offsets[number] : end]
    if not len(past):
        return np.full(steps, "NaT" if panel.times.dtype.kind == "M" else np.nan, panel.times.dtype)
    return extend_times(past, steps, panel.step())


def extend_times(past: Array, steps: int, step: Any) -> Array:
    """The next times: calendar months if all times have one place in the month, else multiples of a step."""
    ahead = np.arange(1, steps + 1)
    if past.dtype.kind == "M" and len(past) > 1 and step >= np.timedelta64(27, "D"):
        months = past.astype("M8[M]")
        places = past - months.astype(past.dtype)
        apart = np.diff(months).astype(np.int64)
        if (places == places[0]).all():
            starts = months[-1] + ahead * int(np.median(apart))
            return np.asarray(starts.astype(past.dtype) + places[-1])
    times: Array = past[-1] + ahead * step
    return times
