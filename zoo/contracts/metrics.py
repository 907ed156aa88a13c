"""How well answers fit: metrics of a readout's outputs against targets, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        of: From outputs ``(T, B, V)``, targets and weights ``(T, B)`` to a number.
        higher_is_better: Which way is better.
        perfect: The value of perfect answers.
    """

    of: Callable[[Array, Array, Array], float]
    higher_is_better: bool
    perfect: float


def _accuracy(outputs: Array, targets: Array, weights: Array) -> float:
    """The share of steps that are right, each as much as it counts."""
    return float((_right(outputs, targets) * weights).sum() / weights.sum())


def _sequence_accuracy(outputs: Array, targets: Array, weights: Array) -> float:
    """The share of sequences that are right at every step that counts."""
    return float((_right(outputs, targets) | (weights == 0)).all(axis=0).mean())


def _squared_error(outputs: Array, targets: Array, weights: Array) -> float:
    """The mean squared error."""
    import numpy as np

    error = np.square(outputs.astype(np.float64) - targets).mean(axis=-1)
    return float((error * weights).sum() / weights.sum())


def _nats(outputs: Array, targets: Array, weights: Array) -> float:
    """The mean cross-entropy of the softmax, in nats."""
    import numpy as np

    scores = outputs.astype(np.float64)
    scores = scores - scores.max(axis=-1, keepdims=True)
    right = np.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    losses = np.log(np.exp(scores).sum(axis=-1)) - right
    return float((losses * weights).sum() / weights.sum())


def _right(outputs: Array, targets: Array) -> Array:
    """Whether each step is right: the class, or each of the sigmoids on its side of a half."""
    if targets.ndim == 2:
        found: Array = outputs.argmax(axis=-1) == targets
    else:
        found = ((outputs > 0) == (targets > 0.5)).all(axis=-1)
    return found


METRICS = {
    "accuracy": Metric(_accuracy, higher_is_better=True, perfect=1.0),
    "sequence_accuracy": Metric(_sequence_accuracy, higher_is_better=True, perfect=1.0),
    "squared_error": Metric(_squared_error, higher_is_better=False, perfect=0.0),
    "nats": Metric(_nats, higher_is_better=False, perfect=0.0),
}
