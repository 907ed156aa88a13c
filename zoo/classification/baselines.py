"""Labels without a network: every model of labelled sequences is compared with them."""

from __future__ import annotations

import numpy as np

from zoo.array_types import Array
from zoo.data.growing_array import allocate, row_chunks, sequence_chunks
from zoo.model.ridge_regression import RidgeRegression

_STEPS = 2000

WINDOW = 10
"""Steps of the window from which features of a step are computed."""


def summary_features(values: Array, offsets: Array) -> Array:
    """Summary features of sequences, `(N, 7 I + 1)`; missing values are ignored.

    The features of a channel are its mean, standard deviation, minimum, maximum, first value, last value and
    mean absolute change. The length of the sequence is one more feature.

    Args:
        values: `(R, I)`, NaN for missing values.
        offsets: The first step of each sequence, and R, `(N + 1,)`.
    """
    features = list[Array]()
    for chunk in sequence_chunks(offsets, values.shape[1]):
        ends = offsets[chunk.start : chunk.stop + 1]
        features.append(_features_of_chunk(values[ends[0] : ends[-1]], ends - ends[0]))
    return np.concatenate(features)


def _features_of_chunk(values: Array, offsets: Array) -> Array:
    """Summary features of sequences that fit in memory."""
    starts, lengths = offsets[:-1], np.diff(offsets)[:, None].astype(np.float64)
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    counts = np.maximum(np.add.reduceat(present, starts, axis=0, dtype=np.float64), 1.0)
    mean = np.add.reduceat(filled, starts, axis=0) / counts
    series = np.repeat(np.arange(len(starts)), np.diff(offsets))
    centred = np.where(present, values - mean[series], 0.0)  # a missing value counts as the mean
    deviation = np.sqrt(np.add.reduceat(centred**2, starts, axis=0) / counts)
    changes = np.zeros_like(values)
    changes[1:] = np.abs(np.diff(filled, axis=0)) * (present[1:] & present[:-1])
    changes[starts] = 0.0
    features = [
        mean,
        deviation,
        mean + np.minimum.reduceat(centred, starts, axis=0),
        mean + np.maximum.reduceat(centred, starts, axis=0),
        mean + centred[starts],
        mean + centred[offsets[1:] - 1],
        np.add.reduceat(changes, starts, axis=0) / np.maximum(lengths - 1, 1),
        lengths,
    ]
    return np.concatenate(features, axis=1)


def step_features(values: Array, offsets: Array, rows: Array, both_directions: bool = False) -> Array:
    """Features of steps from a short window, `(n, 4 I + 1)`; missing values are ignored.

    The features of a channel are its value, the change from the step before, and the mean and the standard
    deviation of the last `WINDOW` steps of the sequence. The number of the step is one more feature.

    Args:
        values: `(R, I)`, NaN for missing values.
        offsets: The first step of each sequence, and R, `(N + 1,)`.
        rows: The rows of the steps, `(n,)`.
        both_directions: Whether to add the change, the mean and the standard deviation of the next steps,
            `(n, 7 I + 2)`, for the comparison with a model that reads them.
    """
    width = values.shape[1]
    features = allocate((len(rows), (7 * width + 2) if both_directions else (4 * width + 1)), np.float64)
    for chunk in row_chunks(len(rows), WINDOW * width):
        chosen = rows[chunk]
        number = np.searchsorted(offsets, chosen, side="right") - 1
        before, after = chosen - offsets[number], offsets[number + 1] - 1 - chosen
        parts = [np.nan_to_num(values[chosen]), *_window_features(values, chosen, -1, before)]
        if both_directions:
            parts += _window_features(values, chosen, 1, after)
        features[chunk] = np.concatenate(parts, axis=1)
    return features


def _window_features(values: Array, rows: Array, direction: int, available: Array) -> list[Array]:
    """Change from the next step in a direction, mean and standard deviation there, and the number of steps.

    Args:
        values: `(R, I)`.
        rows: The rows, `(n,)`.
        direction: -1 for the steps before, 1 for the steps after.
        available: The steps of the sequence in this direction, `(n,)`.
    """
    lags = np.arange(WINDOW)[:, None]
    window = values[rows + direction * np.minimum(lags, available)]  # (W, n, I)
    present = ~np.isnan(window) & (lags <= available)[..., None]
    filled = np.where(present, window, 0.0)
    count = np.maximum(present.sum(axis=0), 1)
    mean = filled.sum(axis=0) / count
    deviation = np.sqrt((np.where(present, window - mean, 0.0) ** 2).sum(axis=0) / count)
    change = np.where(present[0] & present[1], filled[0] - filled[1], 0.0)
    return [change, mean, deviation, available[:, None].astype(np.float64)]


def _standardised(features: Array, train: Array) -> Array:
    mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
    scaled: Array = (features - mean) / np.where(scale > 1e-9 * (np.abs(mean) + 1), scale, np.inf)
    return scaled


def majority_class(actual: Array, train: Array, classes: int) -> Array:
    """The shares of the classes in training, for every sequence, `(N, K)`."""
    shares = np.bincount(actual[train], minlength=classes) / len(train)
    return np.broadcast_to(shares, (len(actual), classes))


def logistic_regression(features: Array, actual: Array, train: Array, classes: int) -> Array:
    """Probabilities of a softmax regression on standardised features, `(N, K)`.

    The loss is the sum of the cross-entropies in the training part plus half the squared norm of the weights,
    as in scikit-learn with ``C=1``. It is minimised by accelerated gradient descent with restarts (Nesterov,
    1983; O'Donoghue and Candès, 2015, https://doi.org/10.1007/s10208-013-9150-3).

    Args:
        features: `(N, F)`.
        actual: Classes, `(N,)`.
        train: Numbers of the sequences of the training part.
        classes: ``K``.
    """
    x = _with_one(_standardised(features, train))
    given, hot = x[train], np.eye(classes)[actual[train]]
    ridge = np.ones((x.shape[1], 1))
    ridge[-1] = 0.0  # no penalty for the constant
    largest = float(np.linalg.eigvalsh(given.T @ given)[-1]) if len(given) else 1.0
    rate = 1 / (largest / 2 + 1)
    weights = ahead = np.zeros((x.shape[1], classes))
    momentum = 1.0
    for _ in range(_STEPS):
        gradient = given.T @ (softmax(given @ ahead) - hot) + ridge * ahead
        new = ahead - rate * gradient
        if float((gradient * (new - weights)).sum()) > 0:
            momentum, ahead = 1.0, weights
            continue
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - weights)
        if np.abs(new - weights).max() < 1e-7:
            weights = new
            break
        weights, momentum = new, following
    return softmax(x @ weights)


def training_mean(actual: Array, train: Array) -> Array:
    """The mean label of the training part, for every sequence, `(N,)`."""
    return np.full(len(actual), actual[train].mean())


def ridge_regression(features: Array, actual: Array, train: Array) -> Array:
    """Least squares from standardised features with a penalty of 1 for the squared weights, `(N,)`."""
    x = _standardised(features, train)
    regression = RidgeRegression(x.shape[1], 1)
    regression.add(x[train], actual[train, None])
    weights, bias = regression.solve(1.0)
    predictions: Array = x @ weights[:, 0] + bias[0]
    return predictions


def _with_one(rows: Array) -> Array:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def softmax(logits: Array) -> Array:
    """Probabilities from logits, along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
