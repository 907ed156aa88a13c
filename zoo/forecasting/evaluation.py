"""The parts of a panel, and the errors of a model and of the baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.data import parse_split
from zoo.data.panel import Panel
from zoo.errors import DataError
from zoo.forecasting.baselines import History, baseline_forecasts, spread
from zoo.forecasting.metrics import Bootstrap, TargetScores, score_target
from zoo.forecasting.predict import predict
from zoo.forecasting.scaling import mean_change
from zoo.forecasting.spec import ForecastSpec
from zoo.forecasting.windows import Windows
from zoo.model import AnyModel

MAX_TEST_WINDOWS = 2000
"""Windows of an evaluation; more are spread evenly."""


PARTS = ("train", "valid", "test")


def split_ends(panel: Panel, split: str) -> Array:
    """The ends of the training, validation and test parts of each series, `(3, S)`.

    Each series is cut at the same shares of its own observed rows.

    Raises:
        UsageError: If the split is invalid.
    """
    train, valid, _ = parse_split(split)
    lengths = panel.ends - panel.offsets[:-1]
    # Rounded first: 0.29 times 100 is 28.999... as floats.
    cuts = [np.floor(np.round(lengths * share, 9)).astype(np.int64) for share in (train, train + valid)]
    ends: Array = np.stack([*cuts, lengths]) + panel.offsets[:-1]
    return ends


def part_origins(
    panel: Panel, cuts: Array, part: str, spec: ForecastSpec, steps: int, stride: int = 1
) -> list[range]:
    """The origins of each series whose forecasts lie within a part.

    Args:
        panel: The series.
        cuts: The ends of the parts, from :func:`split_ends`.
        part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        spec: The context, which may lie before the part.
        steps: Rows after the origin, which lie within the part.
        stride: Rows from one origin to the next.
    """
    number = PARTS.index(part) if part in PARTS else -1
    starts = cuts[number - 1] if number > 0 else panel.offsets[:-1]
    ends = cuts[number]
    return [
        range(max(int(start) - 1, int(first) + spec.context - 1), int(end) - steps, stride)
        for first, start, end in zip(panel.offsets, starts, ends, strict=False)
    ]


def actual_after(panel: Panel, origins: Array, steps: int) -> Array:
    """The targets of the steps after some rows, `(n, steps, M)`, NaN for missing ones."""
    rows = origins[:, None] + np.arange(1, steps + 1)
    actual: Array = panel.targets[rows]
    return actual


def naive_errors(panel: Panel, train_ends: Array, season: int) -> Array:
    """The mean absolute change over a season in the training part of each series, `(S, M)`."""
    errors = np.ones((len(panel.names), len(panel.roles.target)))
    for number, (first, end) in enumerate(zip(panel.offsets, train_ends, strict=False)):
        for index, name in enumerate(panel.roles.target):
            values = panel.numbers(name)[first:end]
            means = (mean_change(values, (lag,), 1) for lag in (season, 1))
            errors[number, index] = next((mean for mean in means if mean > 0), 1.0)
    return errors


def score_model(
    model: AnyModel,
    windows: Windows,
    panel: Panel,
    train_ends: Array,
    origins: Array,
    steps: int | None = None,
) -> list[TargetScores]:
    """The errors of a model and of the baselines for each target that has values, with intervals.

    Args:
        model: The model.
        windows: Windows of the panel.
        panel: The series.
        train_ends: End of the training part of each series, to which baselines are fitted, `(S,)`.
        origins: The rows before the forecasts, `(n,)`, in order.
        steps: Steps of a forecast; None for the horizon.

    Raises:
        DataError: If there are no origins.
    """
    spec = windows.spec
    steps = spec.horizon if steps is None else steps
    if not len(origins):
        raise DataError(
            f"{panel.table.name}: no window of {spec.context} steps with {steps} steps after it lies in "
            f"this part; choose another part, a shorter horizon, or give more rows."
        )
    actual = actual_after(panel, origins, steps)
    forecasts = predict(model, windows, origins, steps)
    history = History.of_panel(panel, train_ends, spec.context, spec.season, steps)
    baselines = baseline_forecasts(history, origins)
    series = windows.series(origins)
    bootstrap = Bootstrap.of_windows(series, origins, steps)
    naive = naive_errors(panel, train_ends, spec.season)[series]
    scores = []
    for index, target in enumerate(spec.roles.target):
        if np.isnan(actual[..., index]).all():
            continue
        others = {name: values[..., index] for name, values in baselines.items()}
        each = actual[..., index], forecasts[:, :, index], others, naive[:, index]
        metric = "mase" if len(panel.names) > 1 else "mae"
        scores.append(score_target(target, *each, spec.levels, bootstrap, metric))
    return scores


def score_part(
    model: AnyModel,
    windows: Windows,
    panel: Panel,
    cuts: Array,
    part: str,
    steps: int | None = None,
    stride: int = 1,
) -> dict[str, Any]:
    """The errors of a model and of the baselines on a part, as plain JSON values; see :func:`score_model`."""
    ranges = part_origins(panel, cuts, part, windows.spec, steps or windows.spec.horizon, stride)
    origins = spread(ranges, MAX_TEST_WINDOWS)
    scores = score_model(model, windows, panel, cuts[0], origins, steps)
    return {"part": part, "windows": len(origins), "targets": [score.to_json() for score in scores]}


def last_part(panel: Panel, cuts: Array, spec: ForecastSpec, steps: int) -> str:
    """The last part that has a window: ``"test"``, or else ``"valid"`` or ``"train"``."""
    has_windows = (
        name for name in reversed(PARTS) if any(map(len, part_origins(panel, cuts, name, spec, steps)))
    )
    return next(has_windows, "train")
