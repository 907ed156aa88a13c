"""Errors of forecasts, each with an interval, and the comparison of a model with the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base.metric import metric_text

RESAMPLES = 2000
_MIN_GROUPS = 5
"""Fewer groups of windows or sequences give no interval."""
_MANY_SERIES = 10
"""From so many series on, intervals come from the differences between series."""


@dataclass(frozen=True)
class Estimate:
    """A number with a 95 % interval.

    Attributes:
        value: The number.
        low: Lower end of the interval; None if there are too few groups for one.
        high: Upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of_resamples(
        cls, value: float, drawn: Array, groups: int, least: float = 0.0, most: float = np.inf
    ) -> Estimate:
        """A score with its bootstrap interval; without one if there are too few groups.

        Args:
            value: The score.
            drawn: The scores of resamples, `(R,)`.
            groups: Number of groups, which are resampled.
            least: The smallest possible score, which limits the interval.
            most: The largest possible score.
        """
        drawn = drawn[np.isfinite(drawn)]  # a resample may lack a class
        if groups < _MIN_GROUPS or not len(drawn):
            return cls(value)
        # The variance of resamples of G groups is that of the mean times (G - 1) / G.
        widened = value + (drawn - value) * np.sqrt(groups / (groups - 1))
        low, high = np.clip(np.quantile(widened, (0.025, 0.975)), least, most)
        return cls(value, float(low), float(high))

    @classmethod
    def of_gain(cls, value: float, drawn: Array, groups: int) -> Estimate:
        """The share by which an error is lower: at most 1, and negative for a larger error."""
        return cls.of_resamples(value, drawn, groups, -np.inf, 1.0)

    def to_json(self) -> dict[str, float | None]:
        """As plain JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Groups of windows that are resampled together, since windows that overlap are not independent.

    Attributes:
        groups: The group of each window, `(n,)`.
        weights: Number of times that each resample draws each group, `(R, G)`.
        noun: ``"groups"`` of series, or ``"windows"``.
    """

    groups: Array
    weights: Array
    noun: str = "windows"

    @classmethod
    def of_windows(cls, series: Array, origins: Array, steps: int, groups: Array | None = None) -> Bootstrap:
        """Group windows by the groups of series, by series if there are ten or more, or by blocks of time.

        Args:
            series: The number of the series of each window, `(n,)`.
            origins: The row before each forecast, `(n,)`, ascending in each series.
            steps: Steps of a forecast. A block of time is twice as long, at least.
            groups: The group of the series of each window, `(n,)`; None without groups.
        """
        noun = "windows" if groups is None else "groups"
        if groups is not None:
            keys = groups
        elif len(np.unique(series)) >= _MANY_SERIES:
            keys = series
        else:
            numbers, rank = np.unique(series, return_inverse=True)
            first = np.array([origins[series == number].min() for number in numbers])
            keys = rank * 2**40 + (origins - first[rank]) // (2 * steps)
        groups = np.unique(keys, return_inverse=True)[1]
        count = int(groups.max()) + 1
        rng = np.random.default_rng(0)
        weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
        return cls(groups, weights, noun)

    def estimate(
        self,
        numerator: Array,
        denominator: Array,
        root: bool = False,
        most: float = np.inf,
        has_interval: bool = True,
    ) -> Estimate:
        """The ratio of two sums over windows, or its square root; its interval lies between 0 and `most`."""
        value, drawn = self._ratios(numerator, denominator)
        if root:
            value, drawn = np.sqrt(value), np.sqrt(drawn)
        if not has_interval:
            return Estimate(float(value))
        return Estimate.of_resamples(float(value), drawn, self.weights.shape[1], most=most)

    def improvement(self, model: Array, baseline: Array) -> Estimate:
        """The share by which the sum of errors of a model is lower than the sum of a baseline."""
        value, drawn = self._ratios(model, baseline)
        return Estimate.of_gain(float(1 - value), 1 - drawn, self.weights.shape[1])

    def mean_improvement(self, model: Array, baseline: Array, counts: Array) -> Estimate:
        """The share by which the mean error over targets of a model is lower than the one of a baseline.

        The targets of a window are resampled together, since their errors are not independent.

        Args:
            model: Sums of errors of each window and target, `(n, K)`.
            baseline: Likewise.
            counts: Numbers of values, `(n, K)`.
        """
        targets = range(counts.shape[1])
        ours, theirs = (
            [self._ratios(sums[:, index], counts[:, index]) for index in targets]
            for sums in (model, baseline)
        )
        (value, drawn), (below, drawn_below) = (
            (sum(value for value, _ in each), sum(drawn for _, drawn in each)) for each in (ours, theirs)
        )
        shares = 1 - drawn / np.maximum(drawn_below, 1e-300)
        return Estimate.of_gain(float(1 - value / max(below, 1e-300)), shares, self.weights.shape[1])

    def _ratios(self, numerator: Array, denominator: Array) -> tuple[Any, Array]:
        count = self.weights.shape[1]
        above = np.bincount(self.groups, numerator, count)
        below = np.bincount(self.groups, denominator, count)
        drawn = (self.weights @ above) / np.maximum(self.weights @ below, 1e-300)
        return above.sum() / max(below.sum(), 1e-300), drawn


def change_text(gain: float) -> str:
    """An error in words, from the share by which it is lower: ``20.0% lower``, or ``68 times as high``."""
    if gain <= -1:
        return f"{_factor(1 - gain)} times as high"
    return f"{abs(gain):.1%} {'lower' if gain >= 0 else 'higher'}"


def _factor(factor: float) -> str:
    if factor > 1e6:  # the other error is nearly 0
        return "more than 1,000,000"
    return f"{factor:,.0f}" if abs(factor) >= 100 else f"{factor:.3g}"


def gain_text(gain: Estimate) -> str:
    """The interval of such a share in words: of the gain in per cent, or of the ratio if it is above 2."""
    assert gain.low is not None  # the callers check it
    assert gain.high is not None
    if gain.value <= -1:
        return f"{_factor(1 - gain.high)} to {_factor(1 - gain.low)} times"
    return f"of the gain {gain.low:+.1%} to {gain.high:+.1%}"


@dataclass(frozen=True)
class TargetScores:
    """The errors of a model and of the baselines for one target.

    Attributes:
        target: The column.
        metrics: ``"model"`` and the baselines, to the metrics by name. Only a model that predicts quantiles
            has ``pinball`` and ``coverage``.
        metric: The error that is compared: ``"mae"``, or ``"mase"`` for several series, whose sizes differ.
        best_baseline: The baseline with the lowest error.
        improvement: The share by which the error of the model is lower than the error of the best baseline.
        resampled: ``"windows"`` or ``"groups"``, which decide whether there are enough for an interval.
    """

    target: str
    metrics: Mapping[str, Mapping[str, Estimate]]
    metric: str
    best_baseline: str
    improvement: Estimate
    resampled: str = "windows"

    @property
    def sentence(self) -> str:
        """Whether the model is better than the best baseline, by how much, and how certain that is."""
        share, name = self.improvement, self.best_baseline
        ours, theirs = (self.metrics[key][self.metric].value for key in ("model", name))
        errors = f"{metric_text(self.metric)} {ours:.4g} against {theirs:.4g}"
        change = change_text(share.value)
        if share.low is None or share.high is None:
            word = "better" if share.value > 0 else "not better"
            reason = (
                "The windows overlap and cover too little time for an interval"
                if self.resampled == "windows"
                else f"There are too few {self.resampled} for an interval"
            )
            return (
                f"{self.target}: {word} than the best baseline, {name}: {errors}, {change}. {reason}, so "
                f"this is not certain."
            )
        interval = f"95 % interval {gain_text(share)}"
        if share.low > 0:
            return f"{self.target}: better than the best baseline, {name}: {errors}, {change} ({interval})."
        if share.high < 0:
            return (
                f"{self.target}: worse than the best baseline, {name}: {errors}, {change} ({interval}). Use "
                f"the baseline, train longer, or change the model."
            )
        return (
            f"{self.target}: not clearly better or worse than the best baseline, {name}: {errors}, {change} "
            f"({interval}, which contains 0)."
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        metrics = {
            name: {metric: estimate.to_json() for metric, estimate in values.items()}
            for name, values in self.metrics.items()
        }
        return {
            "target": self.target,
            "metrics": metrics,
            "metric": self.metric,
            "best_baseline": self.best_baseline,
            "improvement": self.improvement.to_json(),
            "summary": self.sentence,
        }


def score_target(
    target: str,
    actual: Array,
    forecasts: Array,
    baselines: Mapping[str, Array],
    naive_error: Array,
    levels: Sequence[float],
    bootstrap: Bootstrap,
    metric: str = "mae",
) -> TargetScores:
    """The errors of a model and of the baselines for one target.

    Args:
        target: The column.
        actual: `(n, steps)`, NaN for missing values, which count nowhere.
        forecasts: `(n, steps, Q)`.
        baselines: Name to `(n, steps)`.
        naive_error: Mean absolute error of the seasonal naive forecast in the training part of the series of
            each window, `(n,)`, for the MASE.
        levels: The quantiles; empty if there are none.
        bootstrap: Groups of windows.
        metric: The error that is compared, ``"mae"`` or ``"mase"``. With ``"mase"`` there are several series,
            so errors in the units of the table have no interval: the series that a resample draws would
            decide their size.
    """
    point = forecasts[..., forecasts.shape[-1] // 2]
    metrics, sums = {}, {}
    for name, values in {"model": point, **baselines}.items():
        absolute, metrics[name] = _errors(actual, values, naive_error, bootstrap, metric == "mae")
        sums[name] = absolute / np.maximum(naive_error, 1e-300) if metric == "mase" else absolute
    if levels:
        metrics["model"] |= _interval_errors(actual, forecasts, levels, bootstrap, metric == "mae")
    best = min(baselines, key=lambda name: metrics[name][metric].value)
    improvement = bootstrap.improvement(sums["model"], sums[best])
    return TargetScores(target, metrics, metric, best, improvement, bootstrap.noun)


@dataclass(frozen=True)
class OverallScores:
    """The comparison of the mean MASE over several targets, whose sizes differ.

    Attributes:
        best_baseline: The baseline with the lowest mean MASE.
        improvement: The share by which the mean MASE of the model is lower than the one of this baseline.
    """

    best_baseline: str
    improvement: Estimate

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "metric": "mase",
            "best_baseline": self.best_baseline,
            "improvement": self.improvement.to_json(),
        }


def score_all_targets(
    actual: Array,
    forecasts: Array,
    baselines: Mapping[str, Array],
    naive_error: Array,
    bootstrap: Bootstrap,
) -> OverallScores:
    """Compare a model with one baseline over several targets.

    Args:
        actual: `(n, steps, K)`, NaN for missing values. Every target has values.
        forecasts: `(n, steps, K)`.
        baselines: Name to `(n, steps, K)`.
        naive_error: As for `score_target`, for each target, `(n, K)`.
        bootstrap: Groups of windows.
    """
    present = ~np.isnan(actual)
    counts, scale = present.sum(axis=1).astype(np.float64), np.maximum(naive_error, 1e-300)
    sums = {
        name: np.where(present, np.abs(values - actual), 0.0).sum(axis=1) / scale
        for name, values in {"model": forecasts, **baselines}.items()
    }
    best = min(baselines, key=lambda name: float((sums[name].sum(axis=0) / counts.sum(axis=0)).mean()))
    return OverallScores(best, bootstrap.mean_improvement(sums["model"], sums[best], counts))


def _errors(
    actual: Array, forecasts: Array, naive_error: Array, bootstrap: Bootstrap, has_one_unit: bool
) -> tuple[Array, dict[str, Estimate]]:
    """The sum of absolute errors of each window, and MAE, RMSE and MASE.

    MAE and RMSE have intervals if all windows have one unit.
    """
    present = ~np.isnan(actual)
    errors = np.where(present, forecasts - np.where(present, actual, 0.0), 0.0)
    count, absolute = present.sum(axis=1).astype(np.float64), np.abs(errors).sum(axis=1)
    return absolute, {
        "mae": bootstrap.estimate(absolute, count, has_interval=has_one_unit),
        "rmse": bootstrap.estimate((errors**2).sum(axis=1), count, root=True, has_interval=has_one_unit),
        "mase": bootstrap.estimate(absolute / np.maximum(naive_error, 1e-300), count),
    }


def _interval_errors(
    actual: Array, forecasts: Array, levels: Sequence[float], bootstrap: Bootstrap, has_one_unit: bool
) -> dict[str, Estimate]:
    """The mean pinball loss of all quantiles, and the share of values within the outer two."""
    present = ~np.isnan(actual)
    count = present.sum(axis=1).astype(np.float64)
    over = np.where(present[..., None], np.where(present, actual, 0.0)[..., None] - forecasts, 0.0)
    q = np.array(levels)
    pinball = np.maximum(q * over, (q - 1) * over).mean(axis=-1).sum(axis=1)
    inside = (over[..., 0] >= 0) & (over[..., -1] <= 0) & present
    return {
        "pinball": bootstrap.estimate(pinball, count, has_interval=has_one_unit),
        "coverage": bootstrap.estimate(inside.sum(axis=1).astype(np.float64), count, most=1.0),
    }
