"""Forecasts on the page of a run: charts with actual values and the seasonal naive forecast, and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.forecasting import Backtest, Forecaster
from zoo.report.blocks import Axis, Block, Chart, Series, Text
from zoo.report.run_data import RunData
from zoo.tables import Column, Number, Table, TableCell

_MAX_POINTS = 400
"""Steps of a chart; the last forecasts are shown."""

_METRICS = {"mae": "MAE", "rmse": "RMSE", "mase": "MASE", "pinball": "pinball loss", "coverage": "coverage"}


def forecast_blocks(run: RunData) -> tuple[Block, ...]:
    """A chart and a table of errors for each target, on the last part of the table that has windows.

    Raises:
        ZooError: If the table is missing or has changed its columns.
    """
    if run.checkpoint is None:
        return (Text("There is no checkpoint yet, and so no model that could forecast."),)
    forecaster = Forecaster.from_checkpoint(run.checkpoint, str(run.directory.path), run.cell_class)
    backtest = forecaster.backtest()
    return tuple(_blocks(forecaster, backtest))


def _blocks(forecaster: Forecaster, backtest: Backtest) -> Iterator[Block]:
    part = backtest.scores["part"]
    for index, scores in enumerate(backtest.scores["targets"]):
        yield _chart(forecaster, backtest, index, part)
        yield _errors(scores, part)
        yield Text(scores["summary"])


def _chart(forecaster: Forecaster, backtest: Backtest, index: int, part: str) -> Chart:
    """The last forecasts of the last series, one after another."""
    forecast = backtest.forecast
    name = forecast.series[-1]
    rows = [number for number, series in enumerate(forecast.series) if series == name]
    rows = rows[-max(1, _MAX_POINTS // forecast.times.shape[1]) :]
    values, levels = forecast.values[rows][:, :, index], forecast.levels
    middle = values.shape[-1] // 2
    assert forecast.actual is not None  # a backtest has them
    lines = [Series("actual", *_points(forecast.actual[rows][:, :, index]), slot=0)]
    season = forecaster.spec.season
    naive = "seasonal naive" if season > 1 else "last value"
    lines.append(Series(naive, *_points(backtest.seasonal_naive[rows][:, :, index]), slot=2))
    lines += [
        Series("forecast", *_points(values[..., position]), slot=1, thin=True)
        for position in range(values.shape[-1])
        if position != middle
    ]
    lines.append(Series("forecast", *_points(values[..., middle]), slot=1))
    target, steps = forecast.targets[index], forecast.times.shape[1]
    thin = f", thin lines from {levels[0]:.0%} to {levels[-1]:.0%}" if levels else ""
    title = f"{target}: forecasts of {steps} steps, {part} part{f', {name}' if name else ''}{thin}"
    note = f"Each forecast begins where the one before ends. The {naive} forecast is shown for comparison."
    return Chart(
        f"forecast-{target}",
        title,
        Axis("step", "integer", switch=False),
        Axis(target),
        tuple(lines),
        note=note,
        wide=True,
    )


def _points(values: Array) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    """Steps from 1, and values with None for missing ones."""
    flat = values.reshape(-1).tolist()
    return tuple(range(1, len(flat) + 1)), tuple(None if not np.isfinite(each) else each for each in flat)


def _errors(scores: Mapping[str, Any], part: str) -> Table:
    metrics = [name for name in _METRICS if name in scores["metrics"]["model"]]
    rows = tuple(
        (TableCell(name), *(_cell(values.get(metric)) for metric in metrics))
        for name, values in scores["metrics"].items()
    )
    columns = (Column("forecast"), *(Column(_METRICS[name], "number") for name in metrics))
    title = f"Errors of {scores['target']}, {part} part"
    note = "Brackets hold 95 % intervals, if there are enough windows."
    return Table(f"errors-{scores['target']}", title, columns, rows, note)


def _cell(estimate: Mapping[str, Any] | None) -> TableCell:
    if estimate is None:
        return TableCell(None, "–")
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return TableCell(value, f"{value:.4g}" if low is None else f"{value:.4g} [{low:.4g}, {high:.4g}]")
