"""The parts of a panel, and the errors of a model and of the baselines."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base.data_kinds import PARTS
from zoo.data.panel import Panel
from zoo.data.split import parse_split, split_groups
from zoo.errors import DataError, warn_caller
from zoo.forecasting.baselines import History, baseline_forecasts, spread
from zoo.forecasting.calibration import (
    Calibration,
    Interval,
    effective_counts,
    first_unseen,
    interval_levels,
    interval_offsets,
    interval_scores,
    scaled_errors,
    windows_needed,
)
from zoo.forecasting.metrics import Bootstrap, score_all_targets, score_target
from zoo.forecasting.predict import network_forecasts, predict
from zoo.forecasting.scaling import mean_change
from zoo.forecasting.spec import ForecastSpec
from zoo.forecasting.windows import Windows, unseen_sentence
from zoo.model import AnyModel

MAX_TEST_WINDOWS = 2000
"""Windows of an evaluation; more are spread evenly."""


def divide_series(panel: Panel, split: str, seed: int) -> Panel:
    """The panel with the part of each series, if it has groups: a group lies in one part.

    The rows of a series up to the end of its training share give its units. Windows of training end there,
    and forecasts of the other parts begin there, so that no forecast is of a time at which the model was
    trained on another series.

    Raises:
        DataError: if there are fewer groups than parts.
    """
    if panel.groups is None:
        return panel
    shares, codes = parse_split(split), panel.groups.values
    parts = np.zeros(len(panel.names), np.int64)
    for number, numbers in enumerate(split_groups(codes, shares, seed).values()):
        parts[numbers] = number
        if shares[number] and not len(numbers):
            raise DataError(
                f"{panel.table.name} has {counted(len(np.unique(codes)), 'group')}, fewer than the parts of "
                f"the split {split!r}; give more groups, or a split with fewer parts."
            )
    return replace(panel, parts=parts)


def missing_targets(panel: Panel) -> list[tuple[str, ...]]:
    """The targets of each series that have no value in its observed rows."""
    is_missing = np.isnan(panel.targets)
    return [tuple(compress(panel.roles.target, np.all(is_missing[rows], axis=0))) for rows in panel.observed]


def with_units(panel: Panel, has_unit: Array) -> tuple[Panel, str]:
    """Leave out the series without a unit, whose targets do not vary.

    Args:
        panel: The series.
        has_unit: Whether each has a unit, `(S,)`.

    Returns:
        The other series, and a sentence about those that are left out, empty without any.

    Raises:
        DataError: if no series is left.
    """
    if has_unit.all():
        return panel, ""
    subject = (
        series_with(panel, ~has_unit, "target") if panel.names[0] else f"the target of {panel.table.name} is"
    )
    problem = f"{subject} constant or missing in the training part"
    if not has_unit.any():
        raise DataError(f"{problem}; there is nothing to forecast. Give more rows, or another `split`.")
    those = "this" if (~has_unit).sum() == 1 else "these"
    return panel.select(has_unit), f"{problem}, so zoo leaves {those} series out."


def series_with(panel: Panel, chosen: Array, what: str) -> str:
    """The subject of a sentence about some of several series: ``the training part of series 'a' is``."""
    names = [repr(panel.names[number]) for number in np.flatnonzero(chosen)]
    if len(names) == 1:
        return f"the {what} of series {names[0]} is"
    shown = ", ".join(names[:_SHOWN_SERIES]) + (" and more" if len(names) > _SHOWN_SERIES else "")
    return f"the {what}s of {len(names):,} of {len(panel.names):,} series ({shown}) are"


_SHOWN_SERIES = 4


def group_counts(panel: Panel) -> list[int] | None:
    """The number of groups of the training, validation and test parts; None without groups."""
    if panel.groups is None or panel.parts is None:
        return None
    return [len(np.unique(panel.groups.values[panel.parts == number])) for number in range(len(PARTS))]


def part_rows(panel: Panel, cuts: Array, part: str) -> tuple[Array, Array]:
    """The first row of each series in a part, and the end, `(S,)` each; see :func:`part_origins`."""
    number = PARTS.index(part) if part in PARTS else -1
    if panel.parts is not None and number >= 0:
        starts = panel.offsets[:-1] if number == 0 else cuts[0]
        return starts, np.where(panel.parts == number, cuts[0] if number == 0 else cuts[2], starts)
    return cuts[number - 1] if number > 0 else panel.offsets[:-1], cuts[number]


def split_ends(panel: Panel, split: str) -> Array:
    """The ends of the training, validation and test parts of each series, `(3, S)`.

    Each series is cut at the same shares of its own observed rows.

    Raises:
        UsageError: if the split is invalid.
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
    starts, ends = part_rows(panel, cuts, part)
    return [
        range(max(int(start) - 1, int(first) + spec.context - 1), int(end) - steps, stride)
        for first, start, end in zip(panel.offsets, starts, ends, strict=False)
    ]


def actual_after(panel: Panel, origins: Array, steps: int) -> Array:
    """The observed targets of the steps after some rows, `(n, steps, M)`, NaN for missing and filled ones."""
    rows = origins[:, None] + np.arange(1, steps + 1)
    actual: Array = panel.observed_targets[rows]
    return actual


def naive_errors(panel: Panel, train_ends: Array, season: int) -> Array:
    """The mean absolute change over a season in the training part of each series, `(S, M)`."""
    errors = np.ones((len(panel.names), len(panel.roles.target)))
    for number, (first, end) in enumerate(zip(panel.offsets, train_ends, strict=False)):
        for index, values in enumerate(panel.observed_targets[first:end].T):
            means = (mean_change(values, (lag,), 1) for lag in (season, 1))
            errors[number, index] = next((mean for mean in means if mean > 0), 1.0)
    return errors


def make_interval(
    model: AnyModel,
    windows: Windows,
    panel: Panel,
    calibration: Calibration | None,
    origins: Array,
    level: float | None = None,
) -> tuple[Interval | None, str]:
    """The interval of the forecasts from some rows, and a note if there is none.

    It comes from the errors of the validation part, and from those of later rows whose actual values are
    known at the origin, so that it follows a change of the errors. For one series, each later window replaces
    the oldest one.

    Args:
        model: The model.
        windows: Windows of the panel.
        panel: The series.
        calibration: Errors of the validation part.
        origins: The rows before the forecasts, `(n,)`.
        level: Share of values within the interval, 0 for none; None for the quantiles of the loss, or
            else 0.8.

    Raises:
        UsageError: if the level is invalid.
    """
    spec = windows.spec
    levels = interval_levels(spec, level)
    share = round(levels[-1] - levels[0], 9)
    if not share:
        return None, ""
    if calibration is None:
        return None, _NO_ERRORS
    unseen = first_unseen(panel, calibration.last_seen)
    later = _later_origins(windows, unseen, origins)
    later = later[~windows.reads_unseen(later)]
    actual = actual_after(panel, later, spec.horizon)
    series, scale = windows.series(origins), windows.scaling.output[windows.series(later)]
    recent = scaled_errors(network_forecasts(model, windows, later), actual, scale)
    errors = np.concatenate([calibration.residuals, recent])
    stored = len(calibration.residuals)
    needed = windows_needed(share, spec)
    # The errors that are known change every h rows, which bounds the time for many origins.
    known = unseen[series] - 1 + (origins - unseen[series] + 1) // spec.horizon * spec.horizon
    groups, group = np.unique(np.stack([series, known]), axis=1, return_inverse=True)
    offsets, choices = [], []
    for number, row in groups.T:
        rows = np.flatnonzero((windows.series(later) == number) & (later + spec.horizon <= row))
        rows = np.concatenate([np.arange(stored), stored + rows])
        rows = rows[-max(stored, _MIN_RECENT) :] if len(panel.names) == 1 else rows
        offset = interval_offsets(errors[rows], share) if len(rows) >= needed else None
        if not len(rows):
            return None, _NO_ERRORS
        if offset is None:
            of_validation = int((rows < stored).sum())
            later_text = f", {len(rows) - of_validation:,} of later rows" if len(rows) > of_validation else ""
            count = "less than 1"
            scores = interval_scores(errors[rows])
            if len(rows) >= spec.horizon and not np.isnan(scores).all(axis=0).any():
                count = f"about {effective_counts(scores).min():.1f}"
            return None, (
                f"there is no interval: there are {len(rows):,} earlier forecasts of {_steps(spec)} "
                f"({of_validation:,} of the validation part{later_text}). {_need(count, spec, share)} Lower "
                f"`level`, or {_advice(panel, spec, share)}."
            )
        offsets.append(offset)
        choices.append(rows)
    point_errors = np.nan_to_num(errors[..., errors.shape[-1] // 2])
    group = group.reshape(-1)
    return Interval(levels, np.stack(offsets)[group], point_errors, [choices[index] for index in group]), ""


_NO_ERRORS = (
    "there is no interval: the model has no errors of earlier forecasts. Train it with a validation part, "
    "for example `zoo train --split 80,10,10`."
)

_MIN_RECENT = 30
"""Windows of one series that an interval uses even if the validation part has fewer."""


def _steps(spec: ForecastSpec) -> str:
    return counted(spec.horizon, "step")


def _independent(share: float) -> int:
    """The number of independent forecasts that an interval needs."""
    return math.ceil(round(share / (1 - share), 9))


def _need(count: str, spec: ForecastSpec, share: float) -> str:
    """The numbers of independent forecasts that there are and that an interval needs."""
    needs = f"interval of {round(share * 100, 6):g} % needs {_independent(share):,}."
    return f"They overlap and count as {count}, and an {needs}" if spec.horizon > 1 else f"An {needs}"


def larger_split(split: str, valid: int, test: int, length: int) -> str | None:
    """Shares in steps of 5 % whose validation and test parts have some rows; absent parts stay absent.

    Args:
        split: The shares now, which become larger if necessary.
        valid: The rows that the validation part needs.
        test: The rows that the test part needs.
        length: The rows of the table.

    Returns:
        The shares; None if less than half would be left for training.
    """
    shares = [
        5 * max(math.ceil(20 * (rows + 1) / length), math.ceil(round(20 * share, 6))) if share else 0
        for rows, share in zip((valid, test), parse_split(split)[1:], strict=True)
    ]
    train = 100 - sum(shares)
    return f"{train},{','.join(map(str, shares))}" if train >= 50 else None


def _enough_rows(panel: Panel, spec: ForecastSpec, share: float) -> int:
    """Rows of a validation part whose forecasts suffice for an interval.

    Of windows that are one row apart, 2 h - 1 count at least as one independent window.
    """
    windows = max(_independent(share) * (2 * spec.horizon - 1), windows_needed(share, spec))
    return windows + len(panel.names) * (spec.horizon - 1)


def _advice(panel: Panel, spec: ForecastSpec, share: float) -> str:
    """A hint to train a model that has an interval."""
    rows, length = _enough_rows(panel, spec, share), int((panel.ends - panel.offsets[:-1]).sum())
    split = larger_split(spec.split, rows, 0, length)
    is_example = panel.groups is None and split is not None and parse_split(spec.split)[1] > 0
    other = f"for example `zoo train --split {split}`" if is_example else "or with a shorter horizon"
    return f"train with a validation part of about {counted(rows, 'row')}, {other}"


def interval_note(panel: Panel, cuts: Array, spec: ForecastSpec) -> str:
    """A note before training if the validation part is too short for the interval; empty if it is not.

    Windows of h steps that are one row apart count as about one h-th of their number or more, which the
    errors of the model decide. From half the number that is needed on there is no note: of simulated random
    walks with half of it, 82 to 90 % have an interval of 80 %, and half one of 95 %.
    """
    low, _, high = interval_levels(spec, None)
    share = round(high - low, 9)
    count = sum(map(len, part_origins(panel, cuts, "valid", spec, spec.horizon)))
    independent = count / spec.horizon
    if not count or independent >= _independent(share) / 2:
        return ""
    return (
        f"the validation part has {count:,} forecasts of {_steps(spec)}. "
        f"{_need(f'{independent:.1f} or more', spec, share)} So there may be none. For an interval, "
        f"{_advice(panel, spec, share)}."
    )


def _later_origins(windows: Windows, unseen: Array, origins: Array) -> Array:
    """The rows whose forecasts begin after the validation part and end before some origins."""
    spec = windows.spec
    last = np.full(len(unseen), -1)
    np.maximum.at(last, windows.series(origins), origins)
    ranges = [
        range(max(int(row) - 1, int(first) + spec.context - 1), int(end) - spec.horizon + 1)
        for row, first, end in zip(unseen, windows.offsets, last, strict=False)
    ]
    return spread(ranges, MAX_TEST_WINDOWS)


@dataclass(frozen=True, eq=False)
class PartForecasts:
    """The forecasts of a part of a panel.

    Attributes:
        part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        origins: The rows before the forecasts, `(n,)`, in order.
        values: `(n, steps, M, Q)` in the units of the table.
        levels: The quantiles of an interval; empty without one.
        note: The reason if there is no interval.
    """

    part: str
    origins: Array
    values: Array
    levels: tuple[float, ...]
    note: str


def forecast_part(
    model: AnyModel,
    windows: Windows,
    panel: Panel,
    cuts: Array,
    part: str,
    calibration: Calibration | None,
    *,
    steps: int | None = None,
    stride: int = 1,
    level: float | None = None,
) -> PartForecasts:
    """Forecast from the rows of a part.

    Args:
        model: The model.
        windows: Windows of the panel.
        panel: The series.
        cuts: The ends of the parts, from :func:`split_ends`.
        part: The part, as for :func:`part_origins`.
        calibration: Errors of the validation part.
        steps: Steps of a forecast; None for the horizon.
        stride: Rows from one origin to the next.
        level: Share of values within the interval, 0 for none; None for the quantiles of the loss, or
            else 0.8.

    Raises:
        DataError: if the part has no window, or all windows read categories that did not occur in training.
        UsageError: if the level is invalid.

    Warns:
        ZooWarning: if some windows read such a value. They are left out.
    """
    spec = windows.spec
    steps = spec.horizon if steps is None else steps
    origins = spread(part_origins(panel, cuts, part, spec, steps, stride), MAX_TEST_WINDOWS)
    if not len(origins):
        raise _no_window(panel, cuts, part, spec, steps)
    origins = _without_unseen(windows, panel, origins)
    interval, note = make_interval(model, windows, panel, calibration, origins, level)
    values = predict(model, windows, origins, steps, interval)
    return PartForecasts(part, origins, values, () if interval is None else interval.levels, note)


def _without_unseen(windows: Windows, panel: Panel, origins: Array) -> Array:
    """The rows whose windows read only values of categories that occurred in training."""
    is_unseen = windows.reads_unseen(origins)
    if not is_unseen.any():
        return origins
    value = windows.first_unseen(int(origins[is_unseen.argmax()]))
    assert value is not None
    sentence = unseen_sentence(panel, windows.spec, *value)
    if is_unseen.all():
        raise DataError(sentence)
    count = int(is_unseen.sum())
    verb, reason = ("is", "it reads") if count == 1 else ("are", "they read")
    warn_caller(
        f"{sentence} Until then {count:,} of {counted(len(origins), 'forecast')} {verb} left out, because "
        f"{reason} such values."
    )
    return origins[~is_unseen]


def _no_window(panel: Panel, cuts: Array, part: str, spec: ForecastSpec, steps: int) -> DataError:
    """The error for a part without a window, with the rows of the longest series."""
    starts, ends = part_rows(panel, cuts, part)
    rows = counted(int((ends - starts).max()), "row")
    owner = "the longest series" if len(panel.names) > 1 else "the table"
    after = f"{counted(steps, 'step')} after a context of {counted(spec.context, 'row')}"
    if part == "all":
        return DataError(f"{panel.table.name}: {owner} has {rows}, too few for {after}; give more rows.")
    return DataError(
        f"{panel.table.name}: the {part} part of {owner} has {rows}, too few for {after}, which may lie "
        f"before the part; give more rows, or choose another `part`."
    )


def score_forecasts(
    forecasts: PartForecasts, windows: Windows, panel: Panel, train_ends: Array
) -> dict[str, Any]:
    """The errors of forecasts and of the baselines, with intervals, as plain JSON values.

    Args:
        forecasts: The forecasts.
        windows: Windows of the panel.
        panel: The series.
        train_ends: End of the training part of each series, to which baselines are fitted, `(S,)`.

    Returns:
        ``part``, ``windows``, the ``targets`` that have values, ``overall`` for the mean over several of
        them, and ``note`` if there is no interval.
    """
    spec, origins, steps = windows.spec, forecasts.origins, forecasts.values.shape[1]
    actual = actual_after(panel, origins, steps)
    history = History.of_panel(panel, train_ends, spec.context, spec.season, steps)
    baselines = baseline_forecasts(history, origins)
    series = windows.series(origins)
    groups = None if panel.groups is None else panel.groups.values[series]
    bootstrap = Bootstrap.of_windows(series, origins, steps, groups)
    naive = naive_errors(panel, train_ends, spec.season)[series]
    scores = []
    with_values = np.flatnonzero(~np.isnan(actual).all(axis=(0, 1)))
    for index in with_values:
        target = spec.roles.target[index]
        others = {name: values[..., index] for name, values in baselines.items()}
        each = actual[..., index], forecasts.values[:, :, index], others, naive[:, index]
        metric = "mase" if len(panel.names) > 1 else "mae"
        scores.append(score_target(target, *each, forecasts.levels, bootstrap, metric))
    overall = {}
    if len(scores) > 1:
        points = forecasts.values[..., forecasts.values.shape[-1] // 2]
        others = {name: values[..., with_values] for name, values in baselines.items()}
        given = actual[..., with_values], points[..., with_values], others, naive[:, with_values], bootstrap
        overall = {"overall": score_all_targets(*given).to_json()}
    return {
        "part": forecasts.part,
        "windows": len(origins),
        "targets": [score.to_json() for score in scores],
        **overall,
        **({"note": forecasts.note} if forecasts.note else {}),
    }


def last_part(panel: Panel, cuts: Array, spec: ForecastSpec, steps: int) -> str:
    """The last part that has a window: ``"test"``, or else ``"valid"`` or ``"train"``."""
    has_windows = (
        name for name in reversed(PARTS) if any(map(len, part_origins(panel, cuts, name, spec, steps)))
    )
    return next(has_windows, "train")
