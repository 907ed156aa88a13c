"""Scores of predicted labels, each with a bootstrap interval over sequences or groups of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base.metric import higher_is_better, is_share, metric_text
from zoo.field_repr import one_line_repr
from zoo.forecasting.metrics import RESAMPLES, Estimate, change_text, gain_text

_CHUNK = 2**22

_THRESHOLDS = 2048
"""Thresholds of a resample of many positive labels; 6,000 scores change the areas by 2 % of their error."""

_DENSE = 4
"""Numbers for each label that the counts of all groups at all thresholds may take."""

_EPSILON = float(np.finfo(np.float64).eps)
"""The least probability of the log loss, and its distance from 1, as in scikit-learn for float64."""

ORDER_METRICS = ("auroc", "average_precision")
"""Scores of the order of the probabilities, of two classes that both occur."""

CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", *ORDER_METRICS, "log_loss", "brier_score")
"""Scores of classes; a lower log loss and a lower Brier score are better."""

NUMBER_METRICS = ("mae", "rmse")
"""Errors of numbers, lower is better."""

Score = Callable[[Array], Array]
"""From weights of groups of labels `(R, G)` to the score for each row of them, `(R,)`."""


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
            better; of a score that is better if lower, the share by which it is lower.
        count: Number of labels, of sequences or of steps.
        confusion: Number of labels of each true class (row) and predicted class (column), `(K, K)`; None
            for numbers.
        resampled: ``"sequences"``, ``"groups"`` of them, or ``"blocks"`` of the steps of one sequence, which
            decide whether there are enough for an interval.
        is_stepwise: Whether each step has a label, so that labels are not independent.
        positive: The class of the average precision, the second of two; empty for other labels.
    """

    label: str
    metrics: Mapping[str, Mapping[str, Estimate]]
    main: str
    best_baseline: str
    improvement: Estimate
    count: int
    confusion: Array | None
    resampled: str = "sequences"
    is_stepwise: bool = False
    positive: str = ""

    @property
    def has_intervals(self) -> bool:
        """Whether there were enough groups for the interval of a score."""
        return any(each.low is not None for each in self.metrics["model"].values())

    @property
    def sentence(self) -> str:
        """Whether the model is better than the best baseline, by how much, and how certain that is."""
        name, gain = self.best_baseline, self.improvement
        ours, theirs = (self.metrics[key][self.main].value for key in ("model", name))
        is_error = not higher_is_better(self.main)
        unit = "" if is_error else " points"
        points = f"{abs(gain.value) * 100:.1f} points {'more' if gain.value > 0 else 'less'}"
        change = change_text(gain.value) if is_error else points
        form = ".4g" if is_error else ".1%"
        shown = (
            f"{metric_text(self.main)} {ours:{form}} against {theirs:{form}}, "
            f"{change if gain.value else 'no difference'}"
        )
        verdict, rest = self._verdict(unit)
        perfect = ""
        counts_errors = is_share(self.main) and self.main not in ORDER_METRICS
        if counts_errors and ours == 1.0 and not self.is_stepwise:
            perfect = (
                f" No error in {counted(self.count, 'sequence')} is compatible with an error rate of up "
                f"to {min(1.0, 3 / self.count):.1%}."
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
            "positive": self.positive or None,
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
        main: The score for the comparison, of `CLASS_METRICS`. A score of two classes is replaced by the
            accuracy if the labels are of one class.
        groups: The group of each label, `(n,)` integers: intervals come from resamples of groups, since
            labels of one group are not independent. None for resamples of labels.
    """
    bootstrap = _Bootstrap.of(len(actual), groups)
    scores = {name: _scores_of_classes(actual, each, bootstrap) for name, each in probabilities.items()}
    metrics, drawn = _estimates(scores, bootstrap)
    main = main if main in metrics["model"] else "accuracy"
    best, gain = _improvement(metrics, drawn, main, bootstrap.count)
    classes = probabilities["model"].shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (actual, probabilities["model"].argmax(axis=1)), 1)
    return LabelScores(label, metrics, main, best, gain, len(actual), confusion, bootstrap.noun)


def _improvement(
    metrics: Mapping[str, Mapping[str, Estimate]],
    drawn: Mapping[str, Mapping[str, Array]],
    main: str,
    groups: int,
) -> tuple[str, Estimate]:
    """The best baseline by a score, and the improvement of the model over it."""
    is_higher = higher_is_better(main)
    baselines = [name for name in metrics if name != "model"]
    best = (max if is_higher else min)(baselines, key=lambda name: metrics[name][main].value)
    ours, theirs = (metrics[name][main].value for name in ("model", best))
    our_draws, their_draws = drawn["model"][main], drawn[best][main]
    if is_higher:
        return best, Estimate.of_resamples(ours - theirs, our_draws - their_draws, groups, -1.0, 1.0)
    gains = 1 - our_draws / np.maximum(their_draws, 1e-300)
    return best, Estimate.of_gain(1 - ours / max(theirs, 1e-300), gains, groups)


def _scores_of_classes(actual: Array, probabilities: Array, bootstrap: _Bootstrap) -> dict[str, Score]:
    """The scores of the predictions of a model."""
    classes = probabilities.shape[1]
    rates = _ClassRates(actual, probabilities.argmax(axis=1), classes, bootstrap)
    scores: dict[str, Score] = {
        "accuracy": rates.accuracy,
        "balanced_accuracy": rates.balanced_accuracy,
        "macro_f1": rates.macro_f1,
    }
    if classes == 2 and len(np.unique(actual)) == 2:
        ranking = _Ranking(actual == 1, probabilities[:, 1], bootstrap)
        scores |= {"auroc": ranking.auroc, "average_precision": ranking.average_precision}
    scores |= {
        "log_loss": _Mean(_log_losses(actual, probabilities), bootstrap),
        "brier_score": _Mean(_brier_scores(actual, probabilities), bootstrap),
    }
    return scores


def _log_losses(actual: Array, probabilities: Array) -> Array:
    """The negative logarithms of the probabilities of the right classes, at most 36.04, in nats."""
    right = probabilities[np.arange(len(actual)), actual]
    return np.asarray(-np.log(np.clip(right, _EPSILON, 1 - _EPSILON)))


def _brier_scores(actual: Array, probabilities: Array) -> Array:
    """The sums of the squared errors of the probabilities over classes, of two classes half of it.

    With three or more classes this is the score of Brier (1950, Verification of forecasts expressed in terms
    of probability, https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2). With two classes it
    is the squared error of the probability of one class, as is customary and as scikit-learn computes it.
    """
    classes = probabilities.shape[1]
    squares = np.square(probabilities - np.eye(classes)[actual]).sum(axis=1)
    return np.asarray(squares / 2 if classes == 2 else squares)


def number_scores(
    label: str,
    actual: Array,
    predictions: Mapping[str, Array],
    main: str = "mae",
    groups: Array | None = None,
) -> LabelScores:
    """The errors of predicted numbers.

    Args:
        label: The name of the labels.
        actual: The numbers, `(n,)`.
        predictions: ``"model"`` and each baseline, to `(n,)`.
        main: The error for the comparison, of `NUMBER_METRICS`.
        groups: As for :func:`class_scores`.
    """
    bootstrap = _Bootstrap.of(len(actual), groups)
    scores = {name: _scores_of_numbers(actual, each, bootstrap) for name, each in predictions.items()}
    metrics, drawn = _estimates(scores, bootstrap)
    best, gain = _improvement(metrics, drawn, main, bootstrap.count)
    return LabelScores(label, metrics, main, best, gain, len(actual), None, bootstrap.noun)


def _scores_of_numbers(actual: Array, predicted: Array, bootstrap: _Bootstrap) -> dict[str, Score]:
    """The errors of the predictions of a model."""
    errors = predicted - actual
    return {
        "mae": _Mean(np.abs(errors), bootstrap),
        "rmse": _Mean(errors**2, bootstrap, root=True),
    }


def metric_value(metric: str, actual: Array, predicted: Array) -> float:
    """One score of predictions, such as for a validation.

    Args:
        metric: Of `CLASS_METRICS` or `NUMBER_METRICS`.
        actual: Classes or numbers, `(n,)`.
        predicted: Probabilities `(n, K)`, or numbers `(n,)`.

    Returns:
        The score; NaN for a score of two classes if the labels are of one class.
    """
    once = _Bootstrap(1, np.zeros(len(actual), np.int64), len(actual))
    of = _scores_of_classes if metric in CLASS_METRICS else _scores_of_numbers
    scores = of(actual, predicted, once)
    return float(scores[metric](np.ones((1, 1)))[0]) if metric in scores else float("nan")


@dataclass(frozen=True, eq=False)
class _Bootstrap:
    """Resamples of groups of labels.

    Attributes:
        count: ``G``, the number of groups.
        group: The group of each label, `(n,)`; None if each label is its own.
        labels: ``n``, the number of labels.
    """

    count: int
    group: Array | None
    labels: int

    @property
    def noun(self) -> str:
        """Name of the things that are resampled."""
        return "sequences" if self.group is None else "groups"

    @classmethod
    def of(cls, labels: int, groups: Array | None) -> _Bootstrap:
        if groups is None:
            return cls(labels, None, labels)
        names, group = np.unique(groups, return_inverse=True)
        return cls(len(names), group, labels)

    def weights(self, rng: np.random.Generator, rows: int) -> Array:
        """The number of times that each group is drawn in some resamples, `(rows, G)`."""
        return rng.multinomial(self.count, np.full(self.count, 1 / self.count), rows).astype(np.float64)

    def sums(self, values: Array) -> Array:
        """The sum of the values of each group, `(G,)`."""
        if self.group is None:
            return values.astype(np.float64)
        return np.bincount(self.group, values, self.count)

    def counts(self, codes: Array, is_counted: Array, classes: int) -> Array:
        """The number of labels of each class in each group, `(G, K)`."""
        group = np.arange(self.labels) if self.group is None else self.group
        cells = group[is_counted] * classes + codes[is_counted]
        return np.bincount(cells, minlength=self.count * classes).reshape(-1, classes).astype(np.float64)


def _estimates(
    scores: Mapping[str, Mapping[str, Score]], bootstrap: _Bootstrap
) -> tuple[dict[str, dict[str, Estimate]], dict[str, dict[str, Array]]]:
    """The scores with intervals, and the scores of resamples, which are the same for all models."""
    rng, count = np.random.default_rng(0), bootstrap.count
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
                float(score(once)[0]),
                drawn[name][metric],
                bootstrap.count,
                most=1.0 if is_share(metric) else np.inf,
            )
            for metric, score in values.items()
        }
        for name, values in scores.items()
    }
    return metrics, drawn


class _Mean:
    """The mean of a value of each label, or its square root."""

    def __init__(self, values: Array, bootstrap: _Bootstrap, root: bool = False) -> None:
        self._sums, self._counts = bootstrap.sums(values), bootstrap.sums(np.ones(len(values)))
        self._root = root

    def __call__(self, weights: Array) -> Array:
        means = weights @ self._sums / (weights @ self._counts)
        return np.sqrt(means) if self._root else np.asarray(means)


class _ClassRates:
    """Scores from the numbers of true, predicted and correctly predicted labels of each class.

    A mean over classes is NaN in a resample without a class that the labels have, since it would be the score
    of other classes: it jumps, for example from 0.5 to 1 if all labels are predicted as the most frequent
    class.
    """

    def __init__(self, actual: Array, predicted: Array, classes: int, bootstrap: _Bootstrap) -> None:
        every, is_correct = np.ones(len(actual), bool), actual == predicted
        self._true = bootstrap.counts(actual, every, classes)
        self._predicted = bootstrap.counts(predicted, every, classes)
        self._correct = bootstrap.counts(actual, is_correct, classes)
        self._total = self._true.sum(axis=1)
        self._occurs = self._true.any(axis=0)

    def accuracy(self, weights: Array) -> Array:
        return np.asarray(weights @ self._correct.sum(axis=1) / (weights @ self._total))

    def balanced_accuracy(self, weights: Array) -> Array:
        """The mean recall of the classes that occur."""
        true = weights @ self._true
        recall = weights @ self._correct / np.maximum(true, 1e-300)
        means = (recall * (true > 0)).sum(axis=1) / (true > 0).sum(axis=1)
        return self._with_all_classes(means, true)

    def macro_f1(self, weights: Array) -> Array:
        """The mean F1 of the classes that occur or are predicted."""
        true = weights @ self._true
        total = true + weights @ self._predicted
        f1 = 2 * (weights @ self._correct) / np.maximum(total, 1e-300)
        return self._with_all_classes((f1 * (total > 0)).sum(axis=1) / (total > 0).sum(axis=1), true)

    def _with_all_classes(self, scores: Array, true: Array) -> Array:
        """The scores of the resamples that have all classes, NaN for the others."""
        return np.where((true > 0)[:, self._occurs].all(axis=1), scores, np.nan)


class _Ranking:
    """Labels of two classes in the order of their scores: the areas below two curves.

    The scores of positive labels are thresholds, and negatives between two of them count together. Resamples
    of many positives take neighbouring thresholds as one. The difference for the labels themselves corrects
    all resamples.
    """

    def __init__(self, is_positive: Array, scores: Array, bootstrap: _Bootstrap) -> None:
        values, score = np.unique(scores, return_inverse=True)
        negatives, positives = (
            np.bincount(score[is_class], minlength=len(values)) for is_class in (~is_positive, is_positive)
        )
        reached = np.cumsum(positives > 0)
        threshold = 2 * reached - (positives > 0)
        if 2 * reached[-1] > _THRESHOLDS:
            threshold = (np.cumsum(positives) - positives) * _THRESHOLDS // positives.sum()
        self._thresholds = int(threshold[-1]) + 1
        score = threshold[score]
        self._codes = score + self._thresholds * is_positive
        self._group = bootstrap.group
        self._of_groups = None
        if bootstrap.count * self._thresholds <= _DENSE * len(scores):
            self._of_groups = bootstrap.counts(self._codes, np.ones(len(scores), bool), 2 * self._thresholds)
        once = np.ones((1, bootstrap.count))
        exact = negatives[None], positives[None]
        self._auroc_error = _auroc(*exact) - _auroc(*self._counts(once))
        self._precision_error = _average_precision(*exact) - _average_precision(*self._counts(once))

    def auroc(self, weights: Array) -> Array:
        """The area under the ROC curve, for each row of weights; NaN without labels of both classes."""
        return np.asarray(self._each(_auroc, weights) + self._auroc_error)

    def average_precision(self, weights: Array) -> Array:
        """The area below the precision-recall curve, for each row of weights; NaN without positives."""
        return np.asarray(self._each(_average_precision, weights) + self._precision_error)

    def _each(self, score: Callable[[Array, Array], Array], weights: Array) -> Array:
        size = max(1, _CHUNK // (2 * self._thresholds))
        rows = range(0, len(weights), size)
        return np.concatenate([score(*self._counts(weights[row : row + size])) for row in rows])

    def _counts(self, weights: Array) -> tuple[Array, Array]:
        """The number of negatives and of positives at each of the M thresholds, ascending, `(R, M)` each."""
        if self._of_groups is not None:
            counts = weights @ self._of_groups
        else:
            labels = (row if self._group is None else row[self._group] for row in weights)
            size = 2 * self._thresholds
            counts = np.stack([np.bincount(self._codes, each, size) for each in labels])
        return counts[:, : self._thresholds], counts[:, self._thresholds :]


def _auroc(negatives: Array, positives: Array) -> Array:
    """The share of pairs in the right order, ties as one half, from labels at thresholds `(R, M)`."""
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return np.where(pairs > 0, (positives * below).sum(axis=1) / np.maximum(pairs, 1e-300), np.nan)


def _average_precision(negatives: Array, positives: Array) -> Array:
    """The mean over the positives of the precision at their thresholds, from labels at thresholds `(R, M)`.

    This is the area below the precision-recall curve without interpolation, as in scikit-learn.
    """
    true, false = (np.cumsum(each[:, ::-1], axis=1)[:, ::-1] for each in (positives, negatives))
    precision = true / np.maximum(true + false, 1e-300)
    total = positives.sum(axis=1)
    return np.where(total > 0, (positives * precision).sum(axis=1) / np.maximum(total, 1e-300), np.nan)
