"""``zoo.forecast`` and ``zoo.backtest``: forecasts of a trained run."""

from __future__ import annotations

from typing import Any

from zoo.data.training_files import check_training_files
from zoo.forecasting.forecaster import Backtest, Forecast, Forecaster
from zoo.model.checkpoint import CellClasses


def forecast(
    run: Any,
    data: Any = None,
    steps: int | None = None,
    *,
    level: float | None = None,
    cell: CellClasses = None,
) -> Forecast:
    """Forecast the steps after the end of each series with a trained model.

    >>> zoo.forecast("runs/gru-load-1", steps=24).columns()["load"]

    Args:
        run: A run of :func:`zoo.train` on a table, its directory, or what :func:`zoo.fit` returns.
        data: A file or a table with the history of the series; None for the data of training.
        steps: Steps of the forecast; None for the horizon of the model.
        level: Share of values within the interval, 0 for none; None for the quantiles of the loss, or
            else 0.8.
        cell: The class of the cell, if it is not registered.

    Returns:
        The forecast; ``columns()`` are columns for a data frame, ``to_csv()`` is CSV.

    Raises:
        DataError: if the data cannot be read, or all series are shorter than the context of the model.
        UsageError: if an argument is invalid, or the steps are more than the model can forecast.
        CheckpointError: if the run does not exist, or is damaged.
    """
    forecaster = Forecaster.load(run, cell)
    if data is None:
        check_training_files(run, [forecaster.data])
    return forecaster.forecast(data, steps, level=level)


def backtest(
    run: Any,
    data: Any = None,
    *,
    steps: int | None = None,
    stride: int | None = None,
    part: str | None = None,
    level: float | None = None,
    cell: CellClasses = None,
) -> Backtest:
    """Forecast from many points in time, and compare with the actual values and with the baselines.

    Args:
        run: As for :func:`zoo.forecast`.
        data: As for :func:`zoo.forecast`.
        steps: Steps of each forecast; None for the horizon of the model.
        stride: Rows from one forecast to the next; None for the steps, so that forecasts do not overlap.
        part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``; None for the test part. In other data the
            test part is the rows after those of training and validation, and there is only ``"all"`` besides.
            A table without times has rows of training if it begins with all of them. The units of a series
            that is new come from the share of training of its rows, and the test part is the rest.
        level: As for :func:`zoo.forecast`.
        cell: The class of the cell, if it is not registered.

    Raises:
        DataError: if the data cannot be read, or the part is too short.
        UsageError: if an argument is invalid.
        CheckpointError: if the run does not exist, or is damaged.
    """
    forecaster = Forecaster.load(run, cell)
    if data is None:
        check_training_files(run, [forecaster.data])
    return forecaster.backtest(data, steps=steps, stride=stride, part=part, level=level)
