"""Linear autoregression: least squares from the last values of a series to each future step.

Values are taken relative to the last one, in units of the mean change of their series, so that one fit serves
series of different levels and sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from zoo.array_types import Array

_MAX_LAGS = 200

_RIDGES = (1e-6, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Strengths of the penalty of weights, for inputs of size 1."""

_DEFAULT_RIDGE = 1.0
"""The strength if there are too few rows to choose one."""


def lag_count(context: int, season: int) -> int:
    """The number of last values that an autoregression reads."""
    return min(context, _MAX_LAGS, max(2 * season, 24))


def fit_weights(
    values: Array,
    rows: Array,
    first_recent_rows: Array,
    first_rows: Array,
    mean_changes: Array,
    lags: int,
    steps: int,
) -> Array:
    """Fit the weights of one target by ridge regression.

    The strength of the ridge is the one with the smallest error on recent rows after a fit to the rows
    before them. Then all rows are fitted. Without a ridge, the error on a series of 68 rows (lynx) was 5.6
    times the error of the seasonal naive forecast, with it 1.1 times.

    Args:
        values: The target without gaps, `(N,)`.
        rows: Rows to whose next values the weights are fitted, `(n,)`.
        first_recent_rows: The first recent row of the series of each of them, `(n,)`.
        first_rows: The first row of the series of each of them, `(n,)`.
        mean_changes: The mean change of the series of each of them, `(n,)`.
        lags: Values that a forecast reads.
        steps: Steps of a forecast, h.

    Returns:
        For each step the weights of the values 1 to lags - 1 rows before, relative to the last one, and a
        constant in the unit of the mean change, `(lags, h)`; zeros if there are too few rows.
    """
    if len(rows) <= 2:
        return np.zeros((lags, steps))
    changes = _changes(values, rows, first_rows, lags) / mean_changes[:, None]
    past = np.concatenate([changes, np.ones((len(rows), 1))], axis=1)
    ahead = values[rows[:, None] + np.arange(1, steps + 1)]
    future = (ahead - values[rows][:, None]) / mean_changes[:, None]
    column_scale = np.sqrt((past**2).mean(axis=0)) + 1e-30
    past /= column_scale
    ridge = _DEFAULT_RIDGE
    is_recent = rows >= first_recent_rows
    is_before = rows + steps < first_recent_rows  # without windows that reach into both
    if is_recent.any() and is_before.sum() > 2:
        solutions = _solutions(past[is_before], future[is_before], _RIDGES)
        errors = [np.abs(past[is_recent] @ each - future[is_recent]).mean() for each in solutions]
        ridge = _RIDGES[int(np.argmin(errors))]
    (weights,) = _solutions(past, future, (ridge,))
    weights /= column_scale[:, None]
    return np.concatenate([weights[-2::-1], weights[-1:]])


def _solutions(past: Array, future: Array, ridges: Sequence[float]) -> list[Array]:
    """The least squares solutions with penalties of some strengths. The constant, the last one, is free."""
    products, targets = past.T @ past, past.T @ future
    penalty = len(past) * np.eye(past.shape[1])
    penalty[-1, -1] *= 1e-9
    return [np.linalg.solve(products + ridge * penalty, targets) for ridge in ridges]


def predicted_changes(
    values: Array, rows: Array, first_rows: Array, mean_changes: Array, weights: Array
) -> Array:
    """The changes from the last value that the weights predict, `(..., h)`, in the unit of the values.

    Args:
        values: The target without gaps, `(N,)`.
        rows: The last rows that are read, of any shape. Before the first row of a series, its first value is
            read.
        first_rows: The first row of the series of each of them.
        mean_changes: The mean change of the series of each of them.
        weights: From :func:`fit_weights`.
    """
    weights = weights.astype(values.dtype)
    changes = _changes(values, rows, first_rows, len(weights))
    predicted: Array = mean_changes[..., None] * weights[-1]
    return predicted if len(weights) == 1 else changes @ np.ascontiguousarray(weights[-2::-1]) + predicted


def _changes(values: Array, rows: Array, first_rows: Array, lags: int) -> Array:
    """The values lags - 1 to 1 rows before some rows, relative to those of the rows, `(..., lags - 1)`."""
    starts = rows - (lags - 1)
    is_early = starts < first_rows
    before = np.maximum(starts[is_early][:, None] + np.arange(lags), first_rows[is_early][:, None])
    recent = np.empty((*rows.shape, lags), values.dtype)
    recent[is_early] = values[before]
    if not is_early.all():  # copies of contiguous values take half the time of an index for each
        recent[~is_early] = sliding_window_view(values, lags)[starts[~is_early]]
    changes: Array = recent[..., :-1] - recent[..., -1:]
    return changes
