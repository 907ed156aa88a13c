"""``Scaling``: mean and scale of each column of each series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.data.panel import Panel
from zoo.errors import CheckpointError
from zoo.field_repr import one_line_repr
from zoo.forecasting.autoregression import predicted_changes
from zoo.forecasting.spec import ForecastSpec

_CHUNK = 2**20

_MAX_ORIGINS = 2000
"""Forecasts of a series at most that give the size of the errors of an autoregression."""

_FIELDS = ("mean", "scale", "change", "output")


@one_line_repr
@dataclass(frozen=True)
class Scaling:
    """The units of the series, from their training parts.

    Static inputs have the same mean and scale in all series, see :class:`zoo.forecasting.spec.ForecastSpec`.

    Attributes:
        names: Names of the S series.
        mean: Mean of each numeric column, `(S, C)`.
        scale: Standard deviation of each numeric column, `(S, C)`.
        change: Root mean square of the change of each target from one step to the next, `(S, M)`.
        output: Unit of the outputs for each target, `(S, M)`: for changes and for errors of an autoregression
            their root mean square over the steps of the horizon, for levels the standard deviation. Divided
            by the factor of the target.
    """

    names: tuple[str, ...]
    mean: Array
    scale: Array
    change: Array
    output: Array

    @classmethod
    def fit(cls, panel: Panel, spec: ForecastSpec, ends: Array) -> Scaling:
        """Measure the rows of each series up to some ends.

        Args:
            panel: The series.
            spec: The columns.
            ends: End of the rows of each series, `(S,)`. A column that is constant there has a scale of 1.
        """
        rows = [slice(int(a), int(b)) for a, b in zip(panel.offsets, ends, strict=False)]
        moments = np.array(
            [[_mean_and_deviation(panel.numbers(name)[part]) for name in spec.numeric] for part in rows]
        )
        mean, scale = moments[..., 0], moments[..., 1]
        is_trained = np.ones(len(rows), bool) if panel.parts is None else panel.parts == 0
        for position in spec.static_positions:
            moments[:, position] = _joint_moments(moments[is_trained, position])
        mean = np.nan_to_num(mean)
        targets = [panel.numbers(name) for name in spec.roles.target]
        lags = sorted({1, max(1, spec.horizon // 2), spec.horizon})
        change = mean_changes(panel, ends)
        width = np.where(scale > 0, scale, 1.0)[:, : len(targets)]
        if spec.autoregression:
            output = np.array(
                [
                    [
                        _error(values[part], *each)
                        for values, *each in zip(targets, spec.weights, sizes, strict=True)
                    ]
                    for part, sizes in zip(rows, change, strict=True)
                ]
            )
        elif spec.change:
            output = np.array([[mean_change(values[part], lags) for values in targets] for part in rows])
        else:
            output = width.copy()
        return cls(
            panel.names,
            mean,
            np.where(scale > 0, scale, 1.0),
            change,
            np.where(output > 0, output, width) / np.array(spec.output_factors),
        )

    def contains(self, panel: Panel) -> Array:
        """Whether each series is one of training, `(S,)`."""
        names = set(self.names)
        return np.array([name in names for name in panel.names])

    def covers(self, panel: Panel, ends: Array) -> Array:
        """Whether each series is one of training, or has targets that vary up to its end in ``ends``."""
        is_known = self.contains(panel)
        return is_known if is_known.all() else is_known | has_varying_targets(panel, ends)

    def for_panel(self, panel: Panel, spec: ForecastSpec, ends: Array) -> Scaling:
        """The scaling of the series of another panel.

        A new series is measured up to its end in ``ends``, except for static inputs.
        """
        number = {name: index for index, name in enumerate(self.names)}
        if all(name in number for name in panel.names):
            return self.take(np.array([number[name] for name in panel.names]))
        fitted = Scaling.fit(panel, spec, ends)
        for field in ("mean", "scale"):
            getattr(fitted, field)[:, spec.static_positions] = getattr(self, field)[0, spec.static_positions]
        for index, name in enumerate(panel.names):
            if name in number:
                for field in _FIELDS:
                    getattr(fitted, field)[index] = getattr(self, field)[number[name]]
        return fitted

    def take(self, numbers: Array) -> Scaling:
        """The scaling of some series, each named by its number."""
        names = tuple(self.names[number] for number in numbers)
        return Scaling(names, *(getattr(self, field)[numbers] for field in _FIELDS))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values: for each series the mean, scale, change and output of its columns."""
        return {
            name: {field: getattr(self, field)[index].tolist() for field in _FIELDS}
            for index, name in enumerate(self.names)
        }

    @classmethod
    def from_json(cls, stored: Any, spec: ForecastSpec, source: str) -> Scaling:
        """Read the result of :meth:`to_json`.

        Raises:
            CheckpointError: if it is anything else.
        """
        targets, columns = len(spec.roles.target), len(spec.numeric)
        widths: Mapping[str, int] = {"mean": columns, "scale": columns, "change": targets, "output": targets}
        try:
            arrays = {
                field: np.array([each[field] for each in stored.values()], np.float64) for field in _FIELDS
            }
            if not stored or any(
                array.shape != (len(stored), widths[field]) or not np.isfinite(array).all()
                for field, array in arrays.items()
            ):
                raise ValueError("sizes or values do not fit")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{source}: its description of the table is not one zoo wrote ({str(error)[:200]})."
            ) from None
        return cls(tuple(stored), *(arrays[field] for field in _FIELDS))


def _chunks(values: Array) -> Iterator[Array]:
    """The values in parts that fit in memory, without missing ones."""
    for first in range(0, len(values), _CHUNK):
        part = values[first : first + _CHUNK]
        yield part[~np.isnan(part)]


def _mean_and_deviation(values: Array) -> tuple[float, float]:
    """Mean and standard deviation; NaN and zero if all values are missing."""
    count = sum(len(part) for part in _chunks(values))
    if not count:
        return np.nan, 0.0
    mean = sum(float(part.sum()) for part in _chunks(values)) / count
    variance = sum(float(((part - mean) ** 2).sum()) for part in _chunks(values)) / count
    return mean, _deviation(variance, mean)


def _joint_moments(moments: Array) -> tuple[float, float]:
    """Mean and deviation over some series, each with the same weight, from the moments of each, `(S, 2)`."""
    means, deviations = moments[~np.isnan(moments[:, 0])].T
    if not len(means):
        return 0.0, 0.0
    mean = float(means.mean())
    return mean, _deviation(float((deviations**2 + (means - mean) ** 2).mean()), mean)


def _deviation(variance: float, mean: float) -> float:
    """The standard deviation, or zero for equal numbers, whose mean is rounded in the last places."""
    deviation = float(np.sqrt(variance))
    return deviation if deviation > 1e-12 * abs(mean) else 0.0


def _error(values: Array, weights: Array, size: float) -> float:
    """The root mean square of the errors of an autoregression in a series; zero if there are none.

    Args:
        values: A column, with NaN for missing values.
        weights: `(lags, h)`.
        size: The mean change of the column.
    """
    lags, steps = weights.shape
    count, filled = max(len(values) - steps - lags + 1, 0), values
    if np.isnan(values).any():
        last_present = np.where(np.isnan(values), 0, np.arange(len(values)))
        filled = values[np.maximum.accumulate(last_present)]
    rows = np.unique(np.linspace(lags - 1, lags + count - 2, min(count, _MAX_ORIGINS)).round().astype(int))
    sizes, first_rows = np.full(len(rows), size), np.zeros(len(rows), int)
    predicted = predicted_changes(filled, rows, first_rows, sizes, weights)
    actual = values[rows[:, None] + np.arange(1, steps + 1)] - filled[rows][:, None]
    errors = (actual - predicted)[~np.isnan(actual - predicted)]
    return float(np.sqrt((errors**2).mean())) if len(errors) else 0.0


def has_varying_targets(panel: Panel, ends: Array) -> Array:
    """Whether all targets of each series vary in its rows up to some ends, `(S,)`.

    Others have no unit, so they are neither trained nor forecast.
    """
    targets = [panel.numbers(name) for name in panel.roles.target]
    parts = [slice(int(first), int(end)) for first, end in zip(panel.offsets, ends, strict=False)]
    return np.array([all(_mean_and_deviation(values[part])[1] > 0 for values in targets) for part in parts])


def mean_changes(panel: Panel, ends: Array) -> Array:
    """The root mean square of the change of each target of each series from one row to the next, `(S, M)`.

    Changes from or to a missing value do not count. If there are none, or all are zero, it is the standard
    deviation, or else 1.

    Args:
        panel: The series.
        ends: End of the rows of each series that count, `(S,)`.
    """
    targets = [panel.numbers(name) for name in panel.roles.target]
    parts = [slice(int(first), int(end)) for first, end in zip(panel.offsets, ends, strict=False)]
    return np.array(
        [
            [
                mean_change(values[part], (1,)) or _mean_and_deviation(values[part])[1] or 1.0
                for values in targets
            ]
            for part in parts
        ]
    )


def mean_change(values: Array, lags: Sequence[int], power: int = 2) -> float:
    """The mean change over some numbers of steps; zero if there are none.

    Args:
        values: A column, with NaN for missing values.
        lags: Numbers of steps.
        power: 2 for the root mean square, 1 for the mean absolute change.
    """
    total, count = 0.0, 0
    for lag in lags:
        for first in range(0, len(values) - lag, _CHUNK):
            last = min(first + _CHUNK, len(values) - lag)
            changes = values[first + lag : last + lag] - values[first:last]
            present = changes[~np.isnan(changes)]
            total, count = total + float((np.abs(present) ** power).sum()), count + len(present)
    return float((total / count) ** (1 / power)) if count else 0.0
