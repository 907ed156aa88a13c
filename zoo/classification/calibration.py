"""Calibrate the probabilities of classes: fit a temperature and a bias for each class to other sequences."""

from __future__ import annotations

import numpy as np

from zoo.array_types import Array
from zoo.classification.baselines import softmax

_STEPS = 100
_SCALES = (1e-3, 1e3)
"""Bounds of the scale. For a model that is worse than chance, the best scale is not above 0."""

_CHUNK = 2**20
"""Numbers of a chunk of the derivatives, which bounds the memory."""


def fit_calibration(logits: Array, sizes: Array, codes: Array) -> tuple[float, Array]:
    """The scale and the biases for which ``softmax(scale * logits + bias)`` fits the labels best.

    The scale is the inverse of the temperature of Guo, Pleiss, Sun and Weinberger (2017,
    https://arxiv.org/abs/1706.04599). With a bias for each class, the probabilities also have the
    frequencies of the labels (Alexandari, Kundaje and Shrikumar, 2020,
    https://github.com/kundajelab/labelshiftexperiments). Both maximise the likelihood of the labels and of
    one more label of each class, which all predictions share. So they are finite if there is no error, or no
    label of a class. Fisher scoring finds them, and ends when a step does not lower the loss.

    Args:
        logits: The logits of the steps that enter predictions, `(R, K)`: the rows of the first prediction,
            then the rows of the second, and so on.
        sizes: The number of rows of each prediction, whose probabilities are their mean, `(n,)`.
        codes: The labels, `(n,)`, from 0 to K - 1.

    Returns:
        The scale, and the biases `(K,)`, of which the mean is 0.
    """
    count, classes = len(codes), logits.shape[1]
    share = classes / (count + classes)
    targets = (1 - share) * np.eye(classes)[codes] + share / classes
    logits = logits - logits.mean(axis=1, keepdims=True)
    starts = np.cumsum(sizes) - sizes
    theta = np.concatenate([[1.0], np.zeros(classes)])  # the scale and the biases
    loss = _loss(theta, logits, starts, sizes, targets)
    for _ in range(_STEPS):
        gradient, information = _derivatives(theta, logits, starts, sizes, targets)
        is_at_bound = theta[0] == _SCALES[int(gradient[0] < 0)]
        free = slice(1 if is_at_bound else 0, None)
        direction = np.zeros(len(theta))
        # The information is singular, since a shift of all biases has no effect.
        direction[free] = -np.linalg.lstsq(information[free, free], gradient[free], rcond=1e-12)[0]
        length, is_lower = 1.0, False
        while not is_lower and length > 1e-8:
            new = theta + length * direction
            new[0] = np.clip(new[0], *_SCALES)
            new_loss = _loss(new, logits, starts, sizes, targets)
            is_lower = new_loss < loss
            length /= 2
        if not is_lower:
            break
        theta, loss = new, new_loss
    return float(theta[0]), theta[1:] - theta[1:].mean()


def _loss(theta: Array, logits: Array, starts: Array, sizes: Array, targets: Array) -> float:
    """The mean cross-entropy."""
    each = softmax(theta[0] * logits + theta[1:])
    means = np.add.reduceat(each, starts) / sizes[:, None]
    return float(-(targets * np.log(np.maximum(means, 1e-300))).sum() / len(sizes))


def _derivatives(
    theta: Array, logits: Array, starts: Array, sizes: Array, targets: Array
) -> tuple[Array, Array]:
    """The gradient of the mean cross-entropy, `(P,)`, and the Fisher information, `(P, P)`."""
    classes = logits.shape[1]
    gradient, information = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    ends, first = starts + sizes, 0
    while first < len(sizes):
        rows_before = int(starts[first])
        most = rows_before + _CHUNK // (classes * len(theta))
        last = max(first + 1, int(np.searchsorted(ends, most, "right")))
        rows = slice(rows_before, int(ends[last - 1]))
        part_logits = logits[rows]
        each = softmax(theta[0] * part_logits + theta[1:])
        slopes = np.empty((len(each), classes, len(theta)))  # of each probability
        slopes[..., 0] = each * (part_logits - (each * part_logits).sum(axis=1, keepdims=True))
        slopes[..., 1:] = each[:, :, None] * (np.eye(classes) - each[:, None, :])
        part = slice(first, last)
        means = np.add.reduceat(each, starts[part] - rows_before) / sizes[part, None]
        slopes = np.add.reduceat(slopes, starts[part] - rows_before) / sizes[part, None, None]
        means = np.maximum(means, 1e-300)
        gradient -= np.einsum("nk,nkp->p", targets[part] / means, slopes)
        information += np.einsum("nk,nkp,nkq->pq", 1 / means, slopes, slopes, optimize=True)
        first = last
    return gradient / len(sizes), information / len(sizes)
