"""Metrics, which score the outputs of a task."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.array_types import Array


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        score: From outputs ``(T, B, V)``, targets and weights ``(T, B)`` to the score.
        perfect: The score of correct answers.
    """

    score: Callable[[Array, Array, Array], float]
    perfect: float


def _accuracy(outputs: Array, targets: Array, weights: Array) -> float:
    """The weighted fraction of correct steps."""
    return float((_is_correct(outputs, targets) * weights).sum() / weights.sum())


def _sequence_accuracy(outputs: Array, targets: Array, weights: Array) -> float:
    """The fraction of sequences that are correct at every step with a weight."""
    return float((_is_correct(outputs, targets) | (weights == 0)).all(axis=0).mean())


def _squared_error(outputs: Array, targets: Array, weights: Array) -> float:
    import numpy as np

    error = np.square(outputs.astype(np.float64) - targets).mean(axis=-1)
    return float((error * weights).sum() / weights.sum())


def _nats(outputs: Array, targets: Array, weights: Array) -> float:
    import numpy as np

    scores = outputs.astype(np.float64)
    scores = scores - scores.max(axis=-1, keepdims=True)
    right = np.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    losses = np.log(np.exp(scores).sum(axis=-1)) - right
    return float((losses * weights).sum() / weights.sum())


def _is_correct(outputs: Array, targets: Array) -> Array:
    """Whether each step is correct: its class, or every binary output."""
    if targets.ndim == 2:
        is_correct: Array = outputs.argmax(axis=-1) == targets
    else:
        is_correct = ((outputs > 0) == (targets > 0.5)).all(axis=-1)
    return is_correct


def _absolute_error(outputs: Array, targets: Array, weights: Array) -> float:
    import numpy as np

    error = np.abs(outputs.astype(np.float64) - targets).mean(axis=-1)
    return float((error * weights).sum() / weights.sum())


_VALID = 0.4
"""Largest error of a valid forecast, in standard deviations of the series."""


def _valid_time(outputs: Array, targets: Array, weights: Array) -> float:
    """The fraction of a free run before the error first exceeds 0.4; series have variance 1."""
    import numpy as np

    error = np.square(outputs.astype(np.float64) - targets).mean(axis=-1)
    is_valid = np.logical_and.accumulate((error <= _VALID**2) | (weights == 0), axis=0)
    return float((is_valid * weights).sum() / weights.sum())


_SHARES = ("accuracy", "balanced_accuracy", "sequence_accuracy", "macro_f1", "auroc", "average_precision")
_COLUMNS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "log_loss", "brier_score"),
    *("mae", "rmse", "mase", "pinball", "coverage"),
)
_DIRECTIONS = {
    **dict.fromkeys((*_SHARES, "valid_time"), True),
    **dict.fromkeys(("squared_error", "absolute_error", "nats", "mae", "rmse", "mase"), False),
    **dict.fromkeys(("log_loss", "brier_score"), False),
}
_TEXTS = {
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "brier_score": "Brier score",
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
}


def metric_text(metric: str) -> str:
    """The name of a metric for readers, ``macro F1`` for ``macro_f1`` and ``MAE`` for ``mae``.

    Settings, JSON and CSV have the name with underscores.
    """
    return _TEXTS.get(metric, metric.replace("_", " "))


def metric_headings(metrics: Iterable[str], positive: str | None = None) -> list[str]:
    """The headings of metrics in a table of scores: their names for readers.

    Args:
        metrics: The metrics.
        positive: The class of the average precision; None or empty if labels are not of two classes.
    """
    of_class = {"average_precision": f" of {positive}"} if positive else {}
    return [metric_text(metric) + of_class.get(metric, "") for metric in metrics]


def metric_columns(scores: Container[str]) -> list[str]:
    """The metrics of the scores of labels or forecasts, in the order of the columns of a table."""
    return [name for name in _COLUMNS if name in scores]


def is_share(metric: str) -> bool:
    """Whether differences of a metric are percentage points."""
    return metric in _SHARES


def higher_is_better(metric: str) -> bool:
    """Whether a higher score is better, of a metric of tasks, labels or forecasts.

    Raises:
        KeyError: if no comparison uses the metric, such as ``coverage``.
    """
    return _DIRECTIONS[metric]


METRICS = {
    "accuracy": Metric(_accuracy, perfect=1.0),
    "sequence_accuracy": Metric(_sequence_accuracy, perfect=1.0),
    "squared_error": Metric(_squared_error, perfect=0.0),
    "nats": Metric(_nats, perfect=0.0),
    "absolute_error": Metric(_absolute_error, perfect=0.0),
    "valid_time": Metric(_valid_time, perfect=1.0),
}
