"""Scores of predicted labels, each with a bootstrap interval over sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.field_repr import one_line_repr
from zoo.forecasting.metrics import RESAMPLES, Estimate, change_text, gain_text

_CHUNK = 2**22

HIGHER_IS_BETTER = {"accuracy": True, "balanced_accuracy": True, "mae": False, "rmse": False}

Score = Callable[[Array], Array]
"""From weights of sequences `(R, n)` to the score for each row of them, `(R,)`."""


@one_line_repr
@dataclass(frozen=True, eq=False)
class LabelScores:
    """The scores of a model and of the baselines.

    Attributes:
        label: The name of the labels.
        metrics: ``"model"`` and the baselines, to scores by name.
        main: The score that the comparison uses.
        best_baseline: The best baseline by this score.
        improvement: Difference of the score of the model and of the best baseline, positive if the model is
            better; of numbers the share by which the error is lower.
        sequences: Number of sequences.
        confusion: Number of sequences of each true class (row) and predicted class (column), `(K, K)`; None
            for numbers.
        resampled: ``"sequences"`` or ``"groups"``, which decide whether there are enough for an interval.
    """

    label: str
    metrics: Mapping[str, Mapping[str, Estimate]]
    main: str
    best_baseline: str
    improvement: Estimate
    sequences: int
    confusion: Array | None
    resampled: str = "sequences"

    @property
    def sentence(self) -> str:
        """Whether the model is better than the best baseline, by how much, and how certain that is."""
        name, gain = self.best_baseline, self.improvement
        ours, theirs = (self.metrics[key][self.main].value for key in ("model", name))
        is_error = not HIGHER_IS_BETTER[self.main]
        unit = "" if is_error else " points"
        points = f"{abs(gain.value) * 100:.1f} points {'more' if gain.value >= 0 else 'less'}"
        shown = (
            f"MAE {ours:.4g} against {theirs:.4g}, {change_text(gain.value)}"
            if is_error
            else f"{self.main.replace('_', ' ')} {ours:.1%} against {theirs:.1%}, {points}"
        )
        verdict, rest = self._verdict(unit)
        perfect = ""
        if not is_error and ours == 1.0:
            perfect = (
                f" No error in {counted(self.sequences, 'sequence')} is compatible with an error rate of up "
                f"to {min(1.0, 3 / self.sequences):.1%}."
            )
        return f"{self.label}: {verdict} the best baseline, {name}: {shown}{rest}{perfect}"

    def _verdict(self, unit: str) -> tuple[str, str]:
        gain = self.improvement
        if gain.low is None or gain.high is None:
            word = "better than" if gain.value > 0 else "not better than"
            return (
                word,
                f". There are too few {self.resampled} for an interval, so this is not certain.",
            )
        of_points = f"of the gain {gain.low * 100:+.1f} to {gain.high * 100:+.1f}{unit}"
        interval = f" (95 % interval {of_points if unit else gain_text(gain)}"
        if gain.low > 0:
            return "better than", f"{interval})."
        if gain.high < 0:
            return "worse than", f"{interval}). Use the baseline, train longer, or change the model."
        return "not clearly better or worse than", f"{interval}, which contains 0)."

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "target": self.label,
            "metrics": {
                name: {metric: estimate.to_json() for metric, estimate in values.items()}
                for name, values in self.metrics.items()
            },
            "main": self.main,
            "best_baseline": self.best_baseline,
            "improvement": self.improvement.to_json(),
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "summary": self.sentence,
        }


def class_scores(
    label: str,
    actual: Array,
    probabilities: Mapping[str, Array],
    main: str = "accuracy",
    groups: Array | None = None,
) -> LabelScores:
    """The scores of predicted classes.

    Args:
        label: The name of the labels.
        actual: The classes, `(n,)`.
        probabilities: ``"model"`` and each baseline, to `(n, K)`.
        main: ``"accuracy"`` or ``"balanced_accuracy"``, for the comparison.
        groups: The group of each sequence, `(n,)` integers: intervals come from resamples of groups, since
            sequences of one group are not independent. None for resamples of sequences.
    """
    scores: dict[str, dict[str, Score]] = {}
    for name, values in probabilities.items():
        predicted = values.argmax(axis=1)
        rates = _ClassRates(actual, predicted, values.shape[1])
        scores[name] = {
            "accuracy": rates.accuracy,
            "balanced_accuracy": rates.balanced_accuracy,
            "macro_f1": rates.macro_f1,
        }
        if values.shape[1] == 2 and len(np.unique(actual)) == 2:
            scores[name]["auroc"] = _Auroc(actual == 1, values[:, 1])
    bootstrap = _Bootstrap.of(len(actual), groups)
    metrics, drawn = _estimates(scores, bootstrap, most=1.0)
    baselines = [name for name in probabilities if name != "model"]
    best = max(baselines, key=lambda name: metrics[name][main].value)
    difference = metrics["model"][main].value - metrics[best][main].value
    differences = drawn["model"][main] - drawn[best][main]
    gain = Estimate.of_resamples(difference, differences, bootstrap.count, -1.0, 1.0)
    classes = probabilities["model"].shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (actual, probabilities["model"].argmax(axis=1)), 1)
    return LabelScores(label, metrics, main, best, gain, len(actual), confusion, bootstrap.noun)


def number_scores(
    label: str, actual: Array, predictions: Mapping[str, Array], groups: Array | None = None
) -> LabelScores:
    """The errors of predicted numbers; arguments as for :func:`class_scores`, with predictions `(n,)`."""
    scores: dict[str, dict[str, Score]] = {}
    for name, values in predictions.items():
        errors = values - actual
        scores[name] = {"mae": _Mean(np.abs(errors)), "rmse": _Mean(errors**2, root=True)}
    bootstrap = _Bootstrap.of(len(actual), groups)
    metrics, drawn = _estimates(scores, bootstrap, most=np.inf)
    best = min((name for name in predictions if name != "model"), key=lambda name: metrics[name]["mae"].value)
    ours, theirs = metrics["model"]["mae"].value, metrics[best]["mae"].value
    draws = 1 - drawn["model"]["mae"] / np.maximum(drawn[best]["mae"], 1e-300)
    gain = Estimate.of_gain(1 - ours / max(theirs, 1e-300), draws, bootstrap.count)
    return LabelScores(label, metrics, "mae", best, gain, len(actual), None, bootstrap.noun)


@dataclass(frozen=True, eq=False)
class _Bootstrap:
    """Resamples of the groups of sequences.

    Attributes:
        count: Number of groups.
        group: The group of each sequence, `(n,)`; None if each sequence is its own.
        sequences: Number of sequences.
    """

    count: int
    group: Array | None
    sequences: int

    @property
    def noun(self) -> str:
        """Name of the things that are resampled."""
        return "sequences" if self.group is None else "groups"

    @classmethod
    def of(cls, sequences: int, groups: Array | None) -> _Bootstrap:
        if groups is None:
            return cls(sequences, None, sequences)
        names, group = np.unique(groups, return_inverse=True)
        return cls(len(names), group, sequences)

    def weights(self, rng: np.random.Generator, rows: int) -> Array:
        """The number of times that each sequence is drawn in some resamples, `(rows, n)`."""
        drawn = rng.multinomial(self.count, np.full(self.count, 1 / self.count), rows).astype(np.float64)
        return drawn if self.group is None else drawn[:, self.group]


def _estimates(
    scores: Mapping[str, Mapping[str, Score]], bootstrap: _Bootstrap, most: float
) -> tuple[dict[str, dict[str, Estimate]], dict[str, dict[str, Array]]]:
    """The scores with intervals from 0 to `most`, and the scores of resamples, the same for all models."""
    rng, count = np.random.default_rng(0), bootstrap.sequences
    once = np.ones((1, count))
    parts: dict[str, dict[str, list[Array]]] = {
        name: {metric: [] for metric in values} for name, values in scores.items()
    }
    size = max(1, min(RESAMPLES, _CHUNK // count))
    for first in range(0, RESAMPLES, size):
        rows = min(size, RESAMPLES - first)
        weights = bootstrap.weights(rng, rows)
        for name, values in scores.items():
            for metric, score in values.items():
                parts[name][metric].append(score(weights))
    drawn = {
        name: {metric: np.concatenate(chunks) for metric, chunks in values.items()}
        for name, values in parts.items()
    }
    metrics = {
        name: {
            metric: Estimate.of_resamples(
                float(score(once)[0]), drawn[name][metric], bootstrap.count, most=most
            )
            for metric, score in values.items()
        }
        for name, values in scores.items()
    }
    return metrics, drawn


@dataclass(frozen=True, eq=False)
class _Mean:
    """The mean of a value of each sequence, or its square root."""

    values: Array
    root: bool = False

    def __call__(self, weights: Array) -> Array:
        means = weights @ self.values / weights.sum(axis=1)
        return np.sqrt(means) if self.root else np.asarray(means)


class _ClassRates:
    """Scores from the numbers of true, predicted and correctly predicted sequences of each class."""

    def __init__(self, actual: Array, predicted: Array, classes: int) -> None:
        every = np.arange(classes)
        self._true, self._predicted = (
            (codes[:, None] == every).astype(np.float64) for codes in (actual, predicted)
        )
        self._correct = self._true * self._predicted

    def accuracy(self, weights: Array) -> Array:
        return np.asarray(weights @ self._correct.sum(axis=1) / weights.sum(axis=1))

    def balanced_accuracy(self, weights: Array) -> Array:
        """The mean recall of the classes that occur."""
        true = weights @ self._true
        recall = weights @ self._correct / np.maximum(true, 1e-300)
        return np.asarray((recall * (true > 0)).sum(axis=1) / (true > 0).sum(axis=1))

    def macro_f1(self, weights: Array) -> Array:
        """The mean F1 of the classes that occur or are predicted."""
        total = weights @ self._true + weights @ self._predicted
        f1 = 2 * (weights @ self._correct) / np.maximum(total, 1e-300)
        return np.asarray((f1 * (total > 0)).sum(axis=1) / (total > 0).sum(axis=1))


class _Auroc:
    """The area under the ROC curve: the share of pairs in the right order, ties as one half."""

    def __init__(self, is_positive: Array, scores: Array) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._positive = is_positive[self._order]
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], np.diff(ordered) > 0]))

    def __call__(self, weights: Array) -> Array:
        """The area for each row of weights; NaN without sequences of both classes."""
        ordered = weights[:, self._order]
        positive = np.add.reduceat(ordered * self._positive, self._starts, axis=1)
        negative = np.add.reduceat(ordered * ~self._positive, self._starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        area = (positive * (below + negative / 2)).sum(axis=1)
        return np.where(pairs > 0, area / np.maximum(pairs, 1e-300), np.nan)
