"""Forecasts without a network: every model is compared with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.data.panel import Panel
from zoo.forecasting.autoregression import fit_weights, lag_count, predicted_changes
from zoo.forecasting.scaling import mean_changes

_MAX_WINDOWS = 20_000
"""Windows to which the autoregression is fitted at most; more changed the third digit of its error."""


@dataclass(frozen=True, eq=False)
class History:
    """The values that baselines read.

    Attributes:
        values: Targets without gaps, `(N, M)`: a missing one is the one before.
        offsets: The first row of each series, and N, `(S + 1,)`.
        train_ends: End of the training part of each series, `(S,)`.
        context: Steps that a forecast may read.
        season: Steps of a season; 1 for none.
        steps: Steps of a forecast.
        fit_ends: End of the rows of each series to which the autoregression is fitted, `(S,)`.
        mean_changes: The unit of the autoregression for each target of each series, from
            :func:`zoo.forecasting.scaling.mean_changes`, `(S, M)`.
    """

    values: Array
    offsets: Array
    train_ends: Array
    context: int
    season: int
    steps: int
    fit_ends: Array
    mean_changes: Array

    @classmethod
    def of_panel(cls, panel: Panel, train_ends: Array, context: int, season: int, steps: int) -> History:
        """The targets of a panel."""
        values = panel.targets
        absent = np.isnan(values)
        if absent.any():
            rows = np.broadcast_to(np.arange(len(values))[:, None], values.shape)
            source = np.where(absent, 0, rows)
            source[panel.offsets[:-1]] = panel.offsets[:-1, None]
            values = np.take_along_axis(values, np.maximum.accumulate(source), axis=0)
            values = np.nan_to_num(values)
        is_fitted = True if panel.parts is None else panel.parts == 0
        fit_ends = np.where(is_fitted, train_ends, panel.offsets[:-1])
        changes = mean_changes(panel, train_ends)
        return cls(values, panel.offsets, train_ends, context, season, steps, fit_ends, changes)

    def series(self, origins: Array) -> Array:
        """The numbers of the series of some rows."""
        return np.asarray(np.searchsorted(self.offsets, origins, side="right") - 1)

    def first_rows(self, origins: Array) -> Array:
        """The first rows of the series of some rows."""
        return np.asarray(self.offsets[self.series(origins)])


Baseline = Callable[[History, Array], Array]
"""From a history and origins `(n,)` to forecasts `(n, steps, M)`."""


def last_value(history: History, origins: Array) -> Array:
    """The last value, repeated."""
    return np.repeat(history.values[origins][:, None], history.steps, axis=1)


def seasonal_naive(history: History, origins: Array) -> Array:
    """The value one season before, of the last season that is known."""
    ahead = np.arange(1, history.steps + 1)
    back = history.season * -(-ahead // history.season)
    rows = origins[:, None] + ahead - back
    rows = np.maximum(rows, history.offsets[history.series(origins)][:, None])
    forecasts: Array = history.values[rows]
    return forecasts


def moving_average(history: History, origins: Array) -> Array:
    """The mean of the last season, or of as many steps as the forecast has."""
    width = min(history.context, max(history.season, history.steps))
    means = np.zeros((len(origins), history.values.shape[1]))
    for lag in range(width):
        means += history.values[origins - lag] / width
    return np.repeat(means[:, None], history.steps, axis=1)


def linear_autoregression(history: History, origins: Array) -> Array:
    """Least squares from the last values to each future step, fitted to the training part."""
    forecasts, first_rows = last_value(history, origins), history.first_rows(origins)
    units = history.mean_changes[history.series(origins)]
    for target, weights in enumerate(fit_autoregression(history)):
        forecasts[:, :, target] += predicted_changes(
            history.values[:, target], origins, first_rows, units[:, target], weights
        )
    return forecasts


def fit_autoregression(history: History) -> Array:
    """The weights of :func:`linear_autoregression`, `(M, lags, steps)`."""
    lags, steps = lag_count(history.context, history.season), history.steps
    starts, ends = history.offsets[:-1] + lags - 1, history.fit_ends - steps
    rows = spread([range(int(a), int(b)) for a, b in zip(starts, ends, strict=True)], _MAX_WINDOWS)
    series, first_rows = history.series(rows), history.first_rows(rows)
    first_recent_rows = (ends - (ends - starts) // 4)[series]
    weights = [
        fit_weights(values, rows, first_recent_rows, first_rows, units, lags, steps)
        for values, units in zip(history.values.T, history.mean_changes[series].T, strict=True)
    ]
    return np.stack(weights)


BASELINES: dict[str, Baseline] = {
    "last value": last_value,
    "seasonal naive": seasonal_naive,
    "moving average": moving_average,
    "linear autoregression": linear_autoregression,
}


def baseline_forecasts(history: History, origins: Array) -> dict[str, Array]:
    """The forecasts of all baselines that apply, `(n, steps, M)`."""
    names = [name for name in BASELINES if name != "seasonal naive" or history.season > 1]
    return {name: BASELINES[name](history, origins) for name in names}


def spread(ranges: Sequence[range], most: int) -> Array:
    """Numbers of some ranges, all of them, or a given number that is evenly spread."""
    counts = np.array([len(each) for each in ranges])
    total = int(counts.sum())
    chosen = np.arange(total) if total <= most else np.linspace(0, total - 1, most).round().astype(np.int64)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    which = np.searchsorted(firsts, chosen, side="right") - 1
    starts = np.array([each.start for each in ranges], np.int64)
    strides = np.array([each.step for each in ranges], np.int64)
    numbers: Array = starts[which] + (chosen - firsts[which]) * strides[which]
    return numbers


_SEASONS: tuple[tuple[float, float, int], ...] = (
    (60, 60, 60),
    (300, 300, 288),
    (600, 600, 144),
    (900, 900, 96),
    (1800, 1800, 48),
    (3600, 3600, 24),
    (86_400, 86_400, 7),
    (7 * 86_400, 7 * 86_400, 52),
    (28 * 86_400, 31 * 86_400, 12),
    (90 * 86_400, 92 * 86_400, 4),
)
"""Seconds between two rows, from and to, and the steps of the usual season."""


def guess_season(panel: Panel, train_ends: Array) -> int:
    """The steps of a season: from the time between rows, or else from the autocorrelation; 1 for none.

    At least half of the series have rows of two seasons in their training parts: with the shortest series,
    one that is short removed the season of all.
    """
    lengths = np.sort(train_ends - panel.offsets[:-1])
    length = int(lengths[len(lengths) // 2])
    step: Any = panel.step()
    seconds = step / np.timedelta64(1, "s") if isinstance(step, np.timedelta64) else 0.0
    usual = next((steps for low, high, steps in _SEASONS if low <= seconds <= high), None)
    if usual is not None:
        return usual if 2 * usual < length else 1
    longest = int(np.argmax(train_ends - panel.offsets[:-1]))
    values = panel.numbers(panel.roles.target[0])[panel.offsets[longest] : train_ends[longest]][-20_000:]
    season = _strongest_lag(_interpolated(values))
    return season if 2 * season < length else 1


def _interpolated(values: Array) -> Array:
    """The values with a line across each gap, so that each lag keeps its rows.

    Without the missing rows, a season of 24 becomes one of 23 if 3 % of the values are missing.
    """
    rows = np.arange(len(values))
    present = ~np.isnan(values)
    return np.interp(rows, rows[present], values[present]) if present.any() else values[:0]


def _strongest_lag(values: Array) -> int:
    """The lag of the largest local maximum of the autocorrelation of the changes above 0.3; else 1.

    The changes of a season have the sum zero, so their autocorrelation is negative at a lag within it.
    Local maxima before the first negative value come from noise, which makes lag 1 smaller than lag 2.
    """
    changes = np.diff(values)
    changes = changes - changes.mean() if len(changes) else changes
    most = min(len(changes) // 3, 400)
    energy = float((changes**2).sum())
    if most < 4 or energy == 0:
        return 1
    size = 2 * len(changes)
    spectrum = np.fft.rfft(changes, size)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), size)[: most + 2] / energy
    inner = correlation[2 : most + 1]
    is_after_negative = np.minimum.accumulate(correlation[1:most]) < 0
    peaks = is_after_negative & (inner > 0.3) & (inner >= correlation[1:most])
    peaks &= inner >= correlation[3 : most + 2]
    return int(np.argmax(np.where(peaks, inner, -1.0))) + 2 if peaks.any() else 1
