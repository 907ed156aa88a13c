"""Forecasts of a model from any rows of its windows, also beyond its horizon."""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.forecasting.windows import Windows
from zoo.model import AnyModel

BATCH = 256


def predict(model: AnyModel, windows: Windows, origins: Array, steps: int | None = None) -> Array:
    """Forecasts from the windows that end at some rows.

    Beyond the horizon, the forecast is continued from the forecast: its point forecasts are read as if they
    were observed.

    Args:
        model: The model.
        windows: The windows.
        origins: `(n,)` rows of the panel.
        steps: Steps of the forecast; None for the horizon.

    Returns:
        `(n, steps, M, Q)` in the units of the table; Q is 1 or the number of quantiles, in ascending order.

    Raises:
        UsageError: If the forecast is longer than the horizon and the model reads columns whose future is
            not known.
    """
    spec = windows.spec
    steps = spec.horizon if steps is None else steps
    if steps <= spec.horizon:
        return _in_units(windows, _direct(model, windows, origins)[:, :steps], origins)
    if spec.roles.input or spec.roles.known_future or spec.masked:
        raise UsageError(
            f"`steps` is {steps} and the horizon of the model is {spec.horizon}; a longer forecast needs "
            f"future values of {', '.join((*spec.roles.input, *spec.roles.known_future)) or 'all columns'}. "
            f"Train with a `horizon` of {steps}, or with the target as the only `input`."
        )
    return _in_units(windows, _continued(model, windows, origins, steps), origins)


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
    if spec.change:
        forecasts += windows.levels[origins][:, None, :, None]
    return np.sort(forecasts, axis=-1)  # quantiles that cross are rearranged


def _continued(model: AnyModel, windows: Windows, origins: Array, steps: int) -> Array:
    """The forecasts of more steps than the horizon, for models that read nothing but the targets."""
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
    parts = []
    for done in range(0, steps, spec.horizon):
        end = spec.context + done
        window = dataclasses.replace(
            windows,
            past=past[:, done:end].reshape(-1, past.shape[2]),
            known=np.empty((count * spec.context, 0), past.dtype),
            outputs=np.repeat(levels[:, done:end].reshape(-1, targets), copies, axis=1),
            present=None,
            dt=None if dt is None else dt[:, done:end].reshape(-1),
        )
        block = _direct(model, window, np.arange(count) * spec.context + spec.context - 1)
        parts.append(block)
        point = block[..., block.shape[-1] // 2]
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
