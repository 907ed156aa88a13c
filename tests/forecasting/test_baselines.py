"""Baselines: each against its definition, and the guess of the season."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data import ColumnRoles, DataTable, make_panel
from zoo.forecasting.baselines import (
    BASELINES,
    History,
    baseline_forecasts,
    guess_season,
    linear_autoregression,
    spread,
)

STEPS, CONTEXT = 5, 8


def history(values, season=3, offsets=None, train=None, context=CONTEXT, steps=STEPS):
    values = np.asarray(values, float)
    values = values[:, None] if values.ndim == 1 else values
    offsets = np.array([0, len(values)] if offsets is None else offsets)
    ends = offsets[1:] if train is None else np.array(train)
    parts = [np.diff(values[first:end], axis=0) for first, end in zip(offsets, ends, strict=False)]
    changes = np.array([np.sqrt((part**2).mean(axis=0)) for part in parts])
    return History(values, offsets, ends, context, season, steps, ends, changes)


def test_last_value_and_moving_average():
    values = np.arange(20.0)
    given = history(values)
    origins = np.array([10, 12])
    assert BASELINES["last value"](given, origins)[..., 0].tolist() == [[10] * STEPS, [12] * STEPS]
    assert BASELINES["moving average"](given, origins)[0, :, 0].tolist() == [8.0] * STEPS  # of 5 values
    with_season = history(values, season=7)
    assert BASELINES["moving average"](with_season, origins)[1, 0, 0] == 9.0  # of 7 values


def test_seasonal_naive_repeats_the_last_season_that_is_known():
    forecasts = BASELINES["seasonal naive"](history(np.arange(20.0)), np.array([10]))
    assert forecasts[0, :, 0].tolist() == [8, 9, 10, 8, 9]
    short = history(np.arange(20.0), season=9, offsets=[0, 10, 20])
    assert BASELINES["seasonal naive"](short, np.array([13]))[0, :, 0].tolist() == [10, 10, 10, 10, 10]
    assert "seasonal naive" not in baseline_forecasts(history(np.arange(20.0), season=1), np.array([10]))


def test_autoregression_finds_a_linear_recurrence():
    values = np.sin(np.arange(300)) + np.sin(np.arange(300) / 3)  # of four values
    given = history(values, train=[200])
    origins = np.arange(210, 280)
    future = values[origins[:, None] + np.arange(1, STEPS + 1)]
    forecasts = linear_autoregression(given, origins)[..., 0]
    assert np.abs(forecasts - future).max() < 1e-3 * np.abs(values[200:]).max()


def test_autoregression_of_several_series_has_their_sizes():
    rng = np.random.default_rng(0)
    waves = [np.sin(np.arange(150) / 2) * size + rng.normal(size=150) * size / 100 for size in (1, 1000)]
    given = history(np.concatenate([waves[0], 10 - waves[1]]), offsets=[0, 150, 300], train=[100, 250])
    for series, size in enumerate((1, 1000)):
        origins = np.arange(110, 140) + 150 * series
        actual = given.values[origins[:, None] + np.arange(1, STEPS + 1), 0]
        assert np.abs(linear_autoregression(given, origins)[..., 0] - actual).mean() < 0.05 * size


def test_autoregression_reads_no_row_after_the_training_part():
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(axis=0)
    later = values.copy()
    later[250:] += 100
    origins = np.arange(210, 240)
    one, two = (linear_autoregression(history(each, train=[200]), origins) for each in (values, later))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (30, STEPS, 2)


def test_autoregression_of_a_short_noise_is_not_much_worse_than_its_mean():
    """Least squares without a ridge has twice the error of the mean here."""
    values = np.random.default_rng(0).normal(size=400)
    given = history(values, train=[70], context=24)
    origins = np.arange(100, 390)
    actual = values[origins[:, None] + np.arange(1, STEPS + 1)]
    error = np.abs(linear_autoregression(given, origins)[..., 0] - actual).mean()
    assert error < 1.2 * np.abs(actual).mean()


def test_autoregression_of_too_few_rows_is_the_last_value():
    forecasts = linear_autoregression(history(np.arange(14.0), train=[8]), np.array([9]))
    assert forecasts[0, :, 0].tolist() == [9] * STEPS


def test_missing_values_are_those_before():
    panel = make_panel(DataTable.from_arrays({"y": [np.nan, 1, np.nan, 3]}), ColumnRoles(("y",)), "mask")
    assert History.of_panel(panel, np.array([4]), 1, 1, 1).values[:, 0].tolist() == [0, 1, 1, 3]


def test_spread_takes_all_or_evenly_many():
    ranges = [range(3, 9, 2), range(0), range(20, 24)]
    assert spread(ranges, 100).tolist() == [3, 5, 7, 20, 21, 22, 23]
    assert spread(ranges, 3).tolist() == [3, 20, 23]
    assert spread([range(0)], 5).tolist() == []


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (np.timedelta64(1, "h"), 24),
        (np.timedelta64(15, "m"), 96),
        (np.timedelta64(1, "D"), 7),
        (np.timedelta64(7, "D"), 52),
        (np.timedelta64(30, "D"), 12),
        (None, 11),
    ],
)
def test_season_follows_from_the_times_or_the_autocorrelation(step, season):
    n = np.arange(300)
    arrays = {"y": np.sin(2 * np.pi * n / 11) + np.random.default_rng(0).normal(size=300) * 0.1}
    if step is not None:
        arrays["t"] = np.datetime64("2024-01-01") + (n * step).astype("m8[us]")
    roles = ColumnRoles(("y",), time="t" if step is not None else None)
    panel = make_panel(DataTable.from_arrays(arrays), roles)
    assert guess_season(panel, np.array([240])) == season


@pytest.mark.parametrize("season", [7, 12, 24, 52])
@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("run", [1, 4], ids=["single rows", "runs of four"])
def test_missing_values_do_not_change_the_season(season, share, run):
    rng = np.random.default_rng(season)
    angle = 2 * np.pi * np.arange(900) / season
    values = np.sin(angle) + np.sin(2 * angle + 1) / 2 + rng.normal(size=900) * 0.03
    for first in rng.choice(900 // run, int(900 * share / run), replace=False) * run:
        values[first : first + run] = np.nan
    panel = make_panel(DataTable.from_arrays({"y": values}), ColumnRoles(("y",)), "mask")
    assert guess_season(panel, np.array([720])) == season


def test_a_training_part_without_values_has_no_season():
    values = np.concatenate([np.full(50, np.nan), np.arange(50.0)])
    panel = make_panel(DataTable.from_arrays({"y": values}), ColumnRoles(("y",)), "mask")
    assert guess_season(panel, np.array([50])) == 1


def test_noise_has_no_season():
    panel = make_panel(
        DataTable.from_arrays({"y": np.random.default_rng(0).normal(size=300)}), ColumnRoles(("y",))
    )
    assert guess_season(panel, np.array([300])) == 1
