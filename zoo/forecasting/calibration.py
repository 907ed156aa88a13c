"""Intervals of forecasts from the errors of earlier forecasts: split conformal prediction.

The interval of a network with quantiles is conformalized quantile regression: Romano, Patterson and Candès,
"Conformalized Quantile Regression", NeurIPS 2019,
https://papers.nips.cc/paper/2019/hash/5103c3584b063c431bd1268e9b5e76fb-Abstract.html. A point forecast is the
case of two equal quantiles: its score is the absolute error.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.arguments import as_fraction, is_number
from zoo.array_types import Array
from zoo.data.panel import Panel
from zoo.errors import CheckpointError
from zoo.field_repr import one_line_repr
from zoo.forecasting.spec import ForecastSpec
from zoo.model.checkpoint import CALIBRATION_PREFIX

DEFAULT_LEVEL = 0.8
"""Share of values within an interval, unless the loss or the user sets it."""

_MAX_WINDOWS = 300
"""Windows whose errors a checkpoint stores; more are spread evenly."""

_MAX_ELEMENTS = 2**20
"""Elements of the errors in a checkpoint: 4 MB."""

_ARRAY = f"{CALIBRATION_PREFIX}residuals"


def interval_levels(spec: ForecastSpec, level: float | None) -> tuple[float, float, float]:
    """The quantiles of an interval: low, 0.5 and high.

    Args:
        spec: The outputs of the network.
        level: Share of values within the interval; None for the quantiles of the loss, or else 0.8.

    Raises:
        UsageError: if the level is not a number from 0 up to, not including, 1.
    """
    if level is None and spec.levels:
        return spec.levels[0], 0.5, spec.levels[-1]
    share = as_fraction(DEFAULT_LEVEL if level is None else level, "level")
    return round((1 - share) / 2, 9), 0.5, round((1 + share) / 2, 9)


@one_line_repr
@dataclass(frozen=True, eq=False)
class Interval:
    """The interval of n forecasts.

    Attributes:
        levels: The quantiles: low, 0.5 and high.
        offsets: The interval reaches from the low output of the network minus the offset to the high output
            plus the offset, `(n, h, M)`, in the unit of the outputs.
        errors: Errors of W earlier point forecasts, `(W, h, M)`, in the unit of the outputs. A missing one is
            zero.
        choices: For each forecast the earlier ones whose errors its sample paths draw.
    """

    levels: tuple[float, float, float]
    offsets: Array
    errors: Array
    choices: Sequence[Array]

    def path_errors(self, forecasts: slice, blocks: int, paths: int) -> Iterator[Array]:
        """Random errors for each block of h steps, `(n paths, h, M)`, in the order of the forecasts.

        Each forecast draws with the same seed, so its paths do not depend on the other forecasts.

        Args:
            forecasts: The n forecasts.
            blocks: Blocks of a path.
            paths: Paths of each forecast.
        """
        drawn = [
            rows[np.random.default_rng(0).integers(len(rows), size=(blocks, paths))]
            for rows in self.choices[forecasts]
        ]
        return (self.errors[np.concatenate(rows)] for rows in zip(*drawn, strict=True))


@one_line_repr
@dataclass(frozen=True, eq=False)
class Calibration:
    """Errors of the forecasts of the validation part.

    Attributes:
        residuals: Errors of W windows, from :func:`scaled_errors`, `(W, h, M, Q)` in float32.
        last_seen: For each series the time of the last row of the validation part, as text if times are
            dates, or its row without times.
        seen_sha256: Of a table without times, for each series the digest of its targets up to that row.
    """

    residuals: Array
    last_seen: Mapping[str, str | float]
    seen_sha256: Mapping[str, str] = field(default_factory=dict)

    def arrays(self) -> dict[str, Array]:
        """The arrays of a checkpoint."""
        return {_ARRAY: self.residuals}

    def fixed_offsets(self, spec: ForecastSpec) -> Array | None:
        """The offsets from the errors of the validation part alone, for exports, `(h, M)`.

        Args:
            spec: The inputs and outputs.

        Returns:
            None if there are too few windows.
        """
        low, _, high = interval_levels(spec, None)
        share = round(high - low, 9)
        is_enough = len(self.residuals) >= windows_needed(share, spec)
        return interval_offsets(self.residuals, share) if is_enough else None

    @classmethod
    def from_checkpoint(
        cls, arrays: Mapping[str, Array], table: Mapping[str, Any], spec: ForecastSpec, source: str
    ) -> Calibration | None:
        """Read the calibration in a checkpoint; None if there is none.

        Args:
            arrays: The arrays of the checkpoint.
            table: The description of the table in its metadata.
            spec: The inputs and outputs.
            source: The path, for messages.

        Raises:
            CheckpointError: if they do not fit the description of the table.
        """
        residuals = arrays.get(_ARRAY)
        if residuals is None:
            return None
        shape = spec.horizon, len(spec.roles.target), max(len(spec.levels), 1)
        if residuals.ndim != 4 or residuals.shape[1:] != shape or residuals.dtype != np.float32:
            raise CheckpointError(
                f"{source}: array {_ARRAY!r} is {residuals.dtype}{residuals.shape}; expected float32 and the "
                f"sizes {shape} after the first."
            )
        last_seen: Any = table.get("last_seen")
        digests: Any = table.get("seen_sha256", {})
        are_mappings = isinstance(last_seen, Mapping) and isinstance(digests, Mapping)
        are_valid = are_mappings and all(map(_is_time, last_seen.values()))
        are_valid = are_valid and all(isinstance(each, str) for each in digests.values())
        if np.isinf(residuals).any() or not are_valid:
            raise CheckpointError(f"{source}: its errors of forecasts are not those zoo wrote.")
        return cls(residuals, last_seen, digests)


def _is_time(value: Any) -> bool:
    return isinstance(value, str) or is_number(value)


def last_times(panel: Panel, ends: Array) -> dict[str, str | float]:
    """The time of the last row before an end of each series, as text if times are dates, or its row."""
    rows = np.maximum(ends, panel.offsets[:-1] + 1) - 1
    times = rows - panel.offsets[:-1] if panel.times is None else panel.times[rows]
    values = times.astype(str) if times.dtype.kind == "M" else times.astype(np.float64)
    return dict(zip(panel.names, values.tolist(), strict=True))


def first_unseen(panel: Panel, last_seen: Mapping[str, str | float]) -> Array:
    """The first row of each series after the last one that training or validation has read, `(S,)`.

    All rows of a series that is new are unseen. A series whose times are of another kind than those of
    training has no unseen rows.
    """
    rows = panel.offsets[:-1].copy()
    for number, name in enumerate(panel.names):
        if name not in last_seen:
            continue
        first, last = int(panel.offsets[number]), int(panel.offsets[number + 1])
        times = np.arange(last - first) if panel.times is None else panel.times[first:last]
        limit = _as_time(last_seen[name], times.dtype)
        rows[number] = last if limit is None else first + int(np.searchsorted(times, limit, side="right"))
    return rows


def seen_digests(panel: Panel, last_seen: Mapping[str, str | float]) -> dict[str, str]:
    """The digest of the targets of each series up to the last row that training or validation has read.

    Row numbers do not identify rows, as times do: rows 0 to 99 of another table are other rows.

    Args:
        panel: The series.
        last_seen: The last row of each series, from :func:`last_times`. A series that is not in it, or is
            shorter, has no digest.

    Returns:
        Hexadecimal digests (SHA-256) by the name of the series; none if the panel has times.
    """
    if panel.times is not None:
        return {}
    digests = {}
    for name, first, last in zip(panel.names, panel.offsets[:-1], panel.offsets[1:], strict=True):
        row = last_seen.get(name)
        if is_number(row) and row < last - first:
            values = panel.targets[first : first + int(row) + 1]
            canonical = np.where(np.isnan(values), np.nan, values)  # NaN has many representations
            digests[name] = hashlib.sha256(canonical.astype("<f8").tobytes()).hexdigest()
    return digests


def _as_time(value: str | float, dtype: np.dtype[Any]) -> Any:
    """A stored time or row as one of a panel; None if it is of another kind."""
    try:
        if isinstance(value, str):
            return np.datetime64(value) if dtype.kind == "M" else None
        return None if dtype.kind == "M" else value
    except ValueError:  # not a time
        return None


def scaled_errors(forecasts: Array, actual: Array, scale: Array) -> Array:
    """Actual values minus forecasts, in the unit of the outputs, `(n, h, M, Q)`, NaN for missing values.

    Args:
        forecasts: Outputs of the network, `(n, h, M, Q)`.
        actual: Actual values, `(n, h, M)`, NaN for missing ones.
        scale: Unit of the outputs, `(n, M)`.
    """
    errors: Array = (actual[..., None] - forecasts) / scale[:, None, :, None]
    return errors


def interval_offsets(errors: Array, share: float) -> Array | None:
    """The offset of each step and target whose interval contains a share of the values, `(h, M)`.

    The score of an error is the distance of the actual value from the interval of the network, negative
    inside. The offset is a score of the calibration: of n + 1 exchangeable scores, the last one is at most as
    large as the score of rank `ceil((n + 1) share)` of the others with a probability of at least the share.
    The windows overlap, so their scores are not independent; n in this rank is the effective number.

    Args:
        errors: Errors in the order of time, `(n, h, M, Q)`, NaN for missing values.
        share: Share of values within the interval.

    Returns:
        The offsets; None if there are too few windows for this rank.
    """
    scores = interval_scores(errors)
    counts = (~np.isnan(scores)).sum(axis=0)
    if not counts.size or counts.min() < 1:
        return None
    effective = effective_counts(scores)
    ranks = np.ceil(np.round((effective + 1) * share * counts / effective, 9)).astype(np.int64)
    if (ranks > counts).any():
        return None
    ascending = np.sort(scores, axis=0)  # NaN is at the end
    offsets: Array = np.take_along_axis(ascending, ranks[None] - 1, axis=0)[0]
    return offsets


def interval_scores(errors: Array) -> Array:
    """The distances of actual values from the interval of the network, negative inside, `(n, h, M)`.

    Args:
        errors: As for :func:`interval_offsets`.
    """
    scores: Array = np.maximum(-errors[..., 0], errors[..., -1]).astype(np.float64)
    return scores


def effective_counts(scores: Array) -> Array:
    """The number of independent scores with the same variance of their mean, for each step and target.

    It is `n / (1 + 2 sum of autocorrelations)`. Errors k steps ahead of windows k rows apart share no future
    value, so the sum ends there, or before the first autocorrelation that is not positive.

    Args:
        scores: `(n, h, M)`, NaN for missing ones.
    """
    present = ~np.isnan(scores)
    counts = present.sum(axis=0)
    centred = np.where(present, scores - np.nansum(scores, axis=0) / counts, 0.0)
    variance = np.maximum((centred**2).sum(axis=0), 1e-300)
    total, more = np.zeros(variance.shape), np.ones(variance.shape, bool)
    ahead = np.arange(1, scores.shape[1] + 1)[:, None]
    for lag in range(1, min(scores.shape[:2])):
        correlation = (centred[lag:] * centred[:-lag]).sum(axis=0) / variance
        more &= (correlation > 0) & (lag < ahead)
        if not more.any():
            break
        total += np.where(more, correlation, 0.0)
    return np.asarray(counts / (1 + 2 * total))


def stored_windows(spec: ForecastSpec) -> int:
    """The number of windows whose errors a checkpoint stores at most."""
    return max(1, min(_MAX_WINDOWS, _MAX_ELEMENTS // spec.output_size))


def windows_needed(share: float, spec: ForecastSpec) -> int:
    """The number of windows that an interval needs at least: also the steps of one forecast."""
    return max(math.ceil(round(share / (1 - share), 9)), min(spec.horizon, stored_windows(spec)))
