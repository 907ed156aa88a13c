"""Forecasts of a model from any rows of its windows, also beyond its horizon."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.forecasting.calibration import Interval
from zoo.forecasting.windows import Windows
from zoo.model import AnyModel

BATCH = 256

PATHS = 200
"""Sample paths of a forecast beyond the horizon."""

_PATH_ORIGINS = 16
"""Forecasts whose sample paths are in memory at the same time."""


def predict(
    model: AnyModel,
    windows: Windows,
    origins: Array,
    steps: int | None = None,
    interval: Interval | None = None,
) -> Array:
    """Forecasts from the windows that end at some rows.

    Beyond the horizon, a forecast is continued from the forecast: its point forecasts are read as if they
    were observed. The interval there comes from sample paths, which add the errors of a random forecast of
    the validation part to each block of h steps before they continue.

    Args:
        model: The model.
        windows: The windows.
        origins: `(n,)` rows of the panel.
        steps: Steps of the forecast; None for the horizon.
        interval: The interval; None for point forecasts.

    Returns:
        `(n, steps, M, Q)` in the units of the table: low quantile, point forecast and high quantile, or only
        the point forecast.

    Raises:
        UsageError: if the forecast is longer than the horizon and the model reads columns whose future is
            not known.
    """
    spec = windows.spec
    steps = spec.horizon if steps is None else steps
    if steps > spec.horizon and (spec.roles.input or spec.roles.known_future or spec.masked):
        raise UsageError(
            f"`steps` is {steps} and the horizon of the model is {spec.horizon}; a longer forecast needs "
            f"future values of {', '.join((*spec.roles.input, *spec.roles.known_future)) or 'all columns'}. "
            f"Train with a `horizon` of {steps}, or with the target as the only `input`."
        )
    forecasts = _direct(model, windows, origins)
    middle = slice(forecasts.shape[-1] // 2, forecasts.shape[-1] // 2 + 1)
    points = forecasts[..., middle]
    if steps > spec.horizon:
        points = _continued(model, windows, origins, steps)[..., None]
    if interval is None:
        return _in_units(windows, points[:, :steps], origins)
    low = forecasts[..., 0] - interval.offsets
    high = forecasts[..., -1] + interval.offsets
    if steps > spec.horizon:
        paths = _path_quantiles(model, windows, origins, steps, interval)[:, spec.horizon :]
        low = np.concatenate([low, paths[..., 0]], axis=1)
        high = np.concatenate([high, paths[..., 1]], axis=1)
    point = points[..., 0]
    ends = np.stack([np.minimum(low, point), point, np.maximum(high, point)], axis=-1)
    return _in_units(windows, ends[:, :steps], origins)


def network_forecasts(model: AnyModel, windows: Windows, origins: Array) -> Array:
    """The outputs of the network, without an interval of the validation part.

    Returns:
        `(n, h, M, Q)` in the units of the table; Q is 1 or the number of quantiles, in ascending order.
    """
    return _in_units(windows, _direct(model, windows, origins), origins)


def _direct(model: AnyModel, windows: Windows, origins: Array) -> Array:
    """The forecasts up to the horizon in the unit of the outputs, minus the mean, `(n, h, M, Q)`."""
    spec = windows.spec
    targets = windows.levels.shape[1]
    forecasts = np.empty((len(origins), spec.horizon, targets, max(len(spec.levels), 1)))
    names = tuple(model.stack.inputs)
    for first in range(0, len(origins), BATCH):
        rows = origins[first : first + BATCH]
        last_only = np.zeros((spec.context, len(rows)))
        last_only[-1] = 1.0
        outputs, _ = model.outputs(windows.inputs(rows), last_only, **windows.aux(rows, names))
        forecasts[first : first + BATCH] = outputs[-1].reshape(-1, *forecasts.shape[1:])
    forecasts += windows.reference(origins)[..., None]
    return np.sort(forecasts, axis=-1)  # quantiles that cross are rearranged


def _path_quantiles(
    model: AnyModel, windows: Windows, origins: Array, steps: int, interval: Interval
) -> Array:
    """The low and the high quantile of sample paths, `(n, steps, M, 2)`."""
    ends = (interval.levels[0], interval.levels[-1])
    blocks = -(-steps // windows.spec.horizon)
    quantiles = []
    for first in range(0, len(origins), _PATH_ORIGINS):
        part = slice(first, first + _PATH_ORIGINS)
        rows, errors = origins[part], interval.path_errors(part, blocks, PATHS)
        paths = _continued(model, windows, np.repeat(rows, PATHS), steps, errors)
        quantiles.append(np.quantile(paths.reshape(len(rows), PATHS, *paths.shape[1:]), ends, axis=1))
    return np.moveaxis(np.concatenate(quantiles, axis=1), 0, -1)


def _continued(
    model: AnyModel,
    windows: Windows,
    origins: Array,
    steps: int,
    errors: Iterable[Array] = (),
) -> Array:
    """The point forecasts of more steps than the horizon, `(n, steps, M)`, from the targets alone.

    Args:
        model: The model.
        windows: The windows.
        origins: `(n,)` rows of the panel.
        steps: Steps of the forecast.
        errors: For each block of h steps `(n, h, M)`, added to the block before it is read.
    """
    spec, count = windows.spec, len(origins)
    targets, length = windows.levels.shape[1], spec.context + steps
    rows = windows.context_rows(origins).T  # (n, T)
    past = np.zeros((count, length, windows.past.shape[1]), windows.past.dtype)
    levels = np.zeros((count, length, targets), windows.levels.dtype)
    dt = None if windows.dt is None else np.ones((count, length), windows.dt.dtype)
    past[:, : spec.context], levels[:, : spec.context] = windows.past[rows], windows.levels[rows]
    if dt is not None and windows.dt is not None:
        dt[:, : spec.context] = windows.dt[rows]
    copies = windows.outputs.shape[1] // targets
    series, scaling = windows.series(origins), windows.scaling
    unit = scaling.output[series]
    of_change, of_level = unit / scaling.change[series], unit / scaling.scale[series, :targets]
    parts, added = [], iter(errors)
    for done in range(0, steps, spec.horizon):
        end = spec.context + done
        window = dataclasses.replace(
            windows,
            scaling=scaling.take(series),
            offsets=np.arange(count + 1) * spec.context,
            past=past[:, done:end].reshape(-1, past.shape[2]),
            known=np.empty((count * spec.context, 0), past.dtype),
            outputs=np.repeat(levels[:, done:end].reshape(-1, targets), copies, axis=1),
            missing=None,
            dt=None if dt is None else dt[:, done:end].reshape(-1),
        )
        block = _direct(model, window, np.arange(count) * spec.context + spec.context - 1)
        point = block[..., block.shape[-1] // 2]
        point = point + next(added, 0.0)
        parts.append(point)
        kept = min(spec.horizon, steps - done)
        new = slice(end, end + kept)
        levels[:, new] = point[:, :kept]
        change = np.diff(levels[:, end - 1 : end + kept], axis=1)
        past[:, new, :targets] = change * of_change[:, None]
        past[:, new, targets : 2 * targets] = levels[:, new] * of_level[:, None]
    return np.concatenate(parts, axis=1)[:, :steps]


def _in_units(windows: Windows, forecasts: Array, origins: Array) -> Array:
    """Convert levels in the unit of the outputs, minus the mean, to the units of the table."""
    series, scaling = windows.series(origins), windows.scaling
    scale, mean = scaling.output[series], scaling.mean[series, : forecasts.shape[2]]
    units: Array = forecasts * scale[:, None, :, None] + mean[:, None, :, None]
    return units
