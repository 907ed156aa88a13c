"""Forecasts on the page of a run: charts with intervals, residuals, coverage, errors, and hidden units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base.metric import metric_columns, metric_text
from zoo.data.panel import Panel
from zoo.forecasting import Backtest, Forecaster
from zoo.forecasting.baselines import History, seasonal_naive
from zoo.forecasting.evaluation import actual_after, last_part, make_interval, part_origins, split_ends
from zoo.forecasting.predict import predict
from zoo.forecasting.spec import ForecastSpec
from zoo.report.activations import Activations, NumericExamples, example_count, read_numeric
from zoo.report.blocks import Axis, Chart, PageBlock, Reference, Series, TextBlock
from zoo.report.history import number
from zoo.report.run_data import RunData
from zoo.tables import Column, Number, Table, TableEntry

_MAX_POINTS = 400
"""Steps of a chart; the last forecasts are shown."""

_MAX_ORIGINS = 2000
"""Consecutive forecasts of all series together, of which residuals are computed."""

_MAX_LAGS = 100
_MIN_RESIDUALS = 20
"""Fewer residuals have no autocorrelation worth a chart."""


def forecast_blocks(run: RunData) -> tuple[PageBlock, ...]:
    """Charts and a table of errors for each target, on the last part of the table that has windows.

    Raises:
        ZooError: if the table is missing or has changed its columns.
    """
    forecaster = run.forecaster
    if forecaster is None:
        return (TextBlock("There is no checkpoint yet, and so no model that could forecast."),)
    backtest = forecaster.backtest()
    part = backtest.scores["part"]
    scores = forecaster.backtest(stride=1, part=part).scores  # of all windows, as `zoo eval` prints them
    return tuple(_blocks(forecaster, backtest, scores, _Residuals.of(forecaster, part)))


def _blocks(
    forecaster: Forecaster, backtest: Backtest, scores: Mapping[str, Any], residuals: _Residuals
) -> Iterator[PageBlock]:
    for of_target in scores["targets"]:
        index = forecaster.spec.roles.target.index(of_target["target"])
        yield _chart(forecaster, backtest, index, scores["part"])
        yield _errors(of_target, f"{scores['part']} part, {counted(scores['windows'], 'window')}")
        yield TextBlock(of_target["summary"])
        if "note" in scores:
            yield TextBlock(f"Note: {scores['note']}")
        yield from residuals.charts(index)


def _chart(forecaster: Forecaster, backtest: Backtest, index: int, part: str) -> Chart:
    """The last forecasts of the last series, one after another."""
    forecast = backtest.forecast
    name = forecast.series[-1]
    rows = [number for number, series in enumerate(forecast.series) if series == name]
    rows = rows[-max(1, _MAX_POINTS // forecast.times.shape[1]) :]
    values, levels = forecast.values[rows][:, :, index], forecast.levels
    assert forecast.actual is not None  # a backtest has them
    naive = _naive_name(forecaster.spec)
    low, high = (_points(values[..., end])[1] if levels else () for end in (0, -1))
    lines = (
        Series("forecast", *_points(values[..., values.shape[-1] // 2]), slot=1, low=low, high=high),
        Series(naive, *_points(backtest.seasonal_naive[rows][:, :, index]), slot=2, thin=True),
        Series("actual", *_points(forecast.actual[rows][:, :, index]), slot=0),
    )
    target, steps = forecast.targets[index], forecast.times.shape[1]
    interval = f", interval from {levels[0]:.0%} to {levels[-1]:.0%}" if levels else ""
    title = f"{target}: forecasts of {steps} steps, {part} part{f', {name}' if name else ''}{interval}"
    shaded = "The shaded band is the interval. " if levels else ""
    note = f"Each forecast begins where the one before ends. {shaded}The {naive} forecast is a baseline."
    x = Axis("step", "integer", switch=False)
    return Chart(f"forecast-{target}", title, x, Axis(target), lines, note=note, wide=True)


def _naive_name(spec: ForecastSpec) -> str:
    return "seasonal naive" if spec.season > 1 else "last value"


def _points(values: Array) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    """Steps from 1, and values with None for missing ones."""
    return tuple(range(1, values.size + 1)), tuple(map(number, values.reshape(-1).tolist()))


@dataclass(frozen=True, eq=False)
class _Residuals:
    """Forecasts from consecutive rows of a part, at the end of each series.

    Attributes:
        spec: The inputs and outputs of the model.
        name: The series that is shown over time, and the part.
        series: The number of the series of each forecast, `(n,)`.
        actual: `(n, h, M)`, NaN for missing values.
        values: `(n, h, M, Q)`.
        levels: The quantiles; empty without an interval.
        naive: The seasonal naive forecasts, `(n, h, M)`.
    """

    spec: ForecastSpec
    name: str
    series: Array
    actual: Array
    values: Array
    levels: tuple[float, ...]
    naive: Array

    @classmethod
    def of(cls, forecaster: Forecaster, part: str) -> _Residuals:
        """The forecasts of a run."""
        panel, windows = forecaster.open_data()
        spec = forecaster.spec
        cuts, ranges = _part(panel, spec, part)
        most = max(1, _MAX_ORIGINS // len(ranges))
        origins = np.concatenate([np.asarray(each[-most:], np.int64) for each in ranges])
        history = History.of_panel(panel, cuts[0], spec.context, spec.season, spec.horizon)
        series = windows.series(origins)
        shown = panel.names[series[-1]]
        interval, _ = make_interval(forecaster.model, windows, panel, forecaster.calibration, origins)
        return cls(
            spec,
            f"{part} part{f', {shown}' if shown else ''}",
            series,
            actual_after(panel, origins, spec.horizon),
            predict(forecaster.model, windows, origins, interval=interval),
            () if interval is None else interval.levels,
            seasonal_naive(history, origins),
        )

    def charts(self, target: int) -> Iterator[Chart]:
        """The charts of a target."""
        name, levels = self.spec.roles.target[target], self.levels
        actual, values = self.actual[..., target], self.values[:, :, target]
        residuals = actual - values[..., values.shape[-1] // 2]
        yield self._over_time(name, residuals)
        yield self._by_step(name, residuals, actual - self.naive[..., target])
        if levels:
            inside = np.where(
                np.isnan(actual), np.nan, (actual >= values[..., 0]) & (actual <= values[..., -1])
            )
            share = levels[-1] - levels[0]
            yield Chart(
                f"coverage-{name}",
                f"{name}: coverage of the {share:.0%} interval by step",
                Axis("step ahead", "integer", switch=False),
                Axis("share of values inside", "share", low=0, high=1, switch=False),
                (Series("coverage", *_points(_column_means(inside)), slot=1),),
                (Reference("expected", share),),
                "Below the dashed level the interval is too narrow, above it too wide.",
            )
        yield from self._autocorrelation(name, residuals[:, 0])

    def _over_time(self, name: str, residuals: Array) -> Chart:
        """Residuals of the last series, at the step that is forecast."""
        own = residuals[self.series == self.series[-1]][-_MAX_POINTS:]
        horizon = self.spec.horizon
        first = tuple(range(1, len(own) + 1))
        lines = [Series("1 step ahead", first, _points(own[:, 0])[1], slot=1)]
        if horizon > 1:
            ahead = tuple(step + horizon - 1 for step in first)
            lines.insert(
                0, Series(f"{horizon} steps ahead", ahead, _points(own[:, -1])[1], slot=3, thin=True)
            )
        return Chart(
            f"residuals-{name}",
            f"{name}: residuals over time, {self.name}",
            Axis("step", "integer", switch=False),
            Axis("actual minus forecast", switch=False),
            tuple(lines),
            note="A forecast from each row. A model that has learned everything leaves no pattern.",
            wide=True,
        )

    def _by_step(self, name: str, residuals: Array, naive: Array) -> Chart:
        lines = (
            Series("model", *_points(_column_means(np.abs(residuals))), slot=1),
            Series(_naive_name(self.spec), *_points(_column_means(np.abs(naive))), slot=2),
            Series("mean residual of the model", *_points(_column_means(residuals)), slot=3),
        )
        title = f"{name}: mean absolute error by step"
        x, y = Axis("step ahead", "integer", switch=False), Axis("error", switch=False)
        note = (
            f"In the units of {name}. Errors usually grow with the step. A mean residual far from zero is a "
            f"bias: forecasts are too low if it is positive."
        )
        return Chart(f"error-by-step-{name}", title, x, y, lines, note=note)

    def _autocorrelation(self, name: str, residuals: Array) -> Iterator[Chart]:
        """The autocorrelation of residuals one step ahead, of all series together."""
        present = ~np.isnan(residuals)
        count = int(present.sum())
        longest = int(np.bincount(self.series).max())
        lags = min(_MAX_LAGS, max(24, 2 * self.spec.season), longest // 4)
        values = np.where(present, residuals - np.nanmean(residuals), 0.0) if count else residuals
        if count < _MIN_RESIDUALS or lags < 1 or not values.any():
            return
        correlations = [
            float(
                (values[lag:] * values[:-lag])[self.series[lag:] == self.series[:-lag]].sum()
                / (values**2).sum()
            )
            for lag in range(1, lags + 1)
        ]
        limit = 1.96 / np.sqrt(count)
        yield Chart(
            f"autocorrelation-{name}",
            f"{name}: autocorrelation of residuals one step ahead",
            Axis("lag", "integer", switch=False),
            Axis("autocorrelation", switch=False),
            (Series("autocorrelation", *_points(np.array(correlations)), slot=1, marks=True),),
            (Reference("white noise", limit), Reference("white noise", -limit)),
            "The two levels hold 95 % of the values of white noise. More values outside mean that the model "
            "has not learned a pattern.",
        )


def _part(panel: Panel, spec: ForecastSpec, part: str) -> tuple[Array, list[range]]:
    """The ends of the parts, and the origins of the series that have some in a part."""
    cuts = split_ends(panel, spec.split)
    return cuts, [each for each in part_origins(panel, cuts, part, spec, spec.horizon) if each]


def _column_means(values: Array) -> Array:
    """Means over the first axis without missing values; NaN where all are missing."""
    present = ~np.isnan(values)
    means: Array = np.where(present, values, 0.0).sum(axis=0) / np.where(
        present.any(axis=0), present.sum(axis=0), np.nan
    )
    return means


def _errors(scores: Mapping[str, Any], part: str) -> Table:
    metrics = metric_columns(scores["metrics"]["model"])
    rows = tuple(
        (TableEntry(name), *(_entry(values.get(metric)) for metric in metrics))
        for name, values in scores["metrics"].items()
    )
    columns = (Column("forecast"), *(Column(metric_text(name), "number") for name in metrics))
    title = f"Errors of {scores['target']}, {part}"
    note = (
        "Lower is better, except for coverage, which should be the share of the interval. MASE is the MAE "
        "divided by the error of the seasonal naive forecast in training. Brackets hold 95 % intervals, if "
        "there are enough windows."
    )
    return Table(f"errors-{scores['target']}", title, columns, rows, note)


def _entry(estimate: Mapping[str, Any] | None) -> TableEntry:
    if estimate is None:
        return TableEntry(None, "–")
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return TableEntry(value, f"{value:.4g}" if low is None else f"{value:.4g} [{low:.4g}, {high:.4g}]")


def window_activations(forecaster: Forecaster, steps: int) -> Activations:
    """Hidden units over windows of the last series, one after another, in the last part that has windows.

    Args:
        forecaster: The model.
        steps: Approximate number of steps; at least one window is shown.
    """
    spec = forecaster.spec
    panel, windows = forecaster.open_data()
    part = last_part(panel, split_ends(panel, spec.split), spec, spec.horizon)
    _, ranges = _part(panel, spec, part)
    count = example_count(forecaster.model, steps, spec.context)
    origins = np.asarray(ranges[-1][:: -spec.context][:count], np.int64)[::-1]
    named = f"{len(origins)} window{'s' * (len(origins) > 1)} of {spec.context} steps, {part} part"
    aux = windows.aux(origins, tuple(forecaster.model.stack.inputs))
    examples = NumericExamples(named, tuple(_input_names(spec)), windows.inputs(origins), aux=aux)
    return read_numeric(forecaster.model, examples)


def _input_names(spec: ForecastSpec) -> Iterator[str]:
    """Names of the inputs in their order, see `zoo.forecasting.windows.Windows`."""
    yield from (f"change of {name}" for name in spec.roles.target)
    for name in spec.roles.features:
        yield from _column_names(spec, name)
    yield from (f"{name} missing" for name in spec.masked)
    for step in range(1, spec.horizon + 1):
        for name in spec.roles.features:
            if name in spec.roles.known_future:
                yield from (f"{each}, {step} ahead" for each in _column_names(spec, name))


def _column_names(spec: ForecastSpec, name: str) -> list[str]:
    return [f"{name}={text}" for text in spec.categories[name]] if name in spec.categories else [name]
