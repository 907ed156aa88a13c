"""Calibrate the probabilities of classes: fit a temperature and a bias for each class to other sequences."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.classification.baselines import softmax
from zoo.errors import CheckpointError
from zoo.storage.checkpoint import is_digest

MIN_SCALE, MAX_SCALE = 1e-3, 1e3
"""Bounds of the scale. For a model that is worse than chance, the best scale is not above 0."""

_STEPS = 1000
_START_SCALES = np.geomspace(MIN_SCALE, MAX_SCALE, 25)
_MIN_DAMPING, _MAX_DAMPING = 1e-12, 1e12
_MIN_GAIN = 1e-14

_CHUNK = 2**20
"""Numbers of a chunk of the derivatives, which bounds the memory."""


@dataclass(frozen=True)
class ClassCalibration:
    """The calibration that the readout of a model contains: ``softmax(logits / temperature + biases)``.

    Attributes:
        temperature: The temperature, above 0.
        biases: A bias for each class, `(K,)`, with a mean of 0.
        data: The name of the data of the fit.
        part: ``"valid"`` for the validation part of the data of training, or ``"all"`` for other data.
        labels: Number of labels of the fit.
        sha256: Digest of the data of the fit; empty if they have none.
    """

    temperature: float
    biases: tuple[float, ...]
    data: str
    part: str
    labels: int
    sha256: str = ""

    def after(self, first: ClassCalibration | None) -> ClassCalibration:
        """Both calibrations as one: this was fitted to the logits of a model that has the first one."""
        if first is None:
            return self
        biases = np.array(first.biases) / self.temperature + self.biases
        temperature = first.temperature * self.temperature
        return dataclasses.replace(self, temperature=temperature, biases=tuple(biases.tolist()))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, stored: Any, classes: int, source: str) -> ClassCalibration:
        """Read the result of :meth:`to_json`.

        Args:
            stored: The stored values.
            classes: The number of classes.
            source: The path of the file, for messages.

        Raises:
            CheckpointError: if it is anything else.
        """
        try:
            values = {each.name: stored[each.name] for each in dataclasses.fields(cls)}
            values["temperature"] = float(values["temperature"])
            values["biases"] = tuple(map(float, values["biases"]))
            made = cls(**values)
            numbers = (made.temperature, *made.biases)
            is_valid = (
                all(map(math.isfinite, numbers))
                and made.temperature > 0
                and len(made.biases) == classes
                and isinstance(made.data, str)
                and made.part in ("valid", "all")
                and type(made.labels) is int
                and made.labels > 0
                and (made.sha256 == "" or is_digest(made.sha256))
            )
            if not is_valid:
                raise ValueError("a value is invalid")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"{source}: its description of the calibration is not one zoo wrote ({str(error)[:200]})."
            ) from None
        return made


def fit_calibration(logits: Array, sizes: Array, codes: Array) -> tuple[float, Array]:
    """The scale and the biases for which ``softmax(scale * logits + bias)`` fits the labels best.

    The scale is the inverse of the temperature of Guo, Pleiss, Sun and Weinberger (2017,
    https://arxiv.org/abs/1706.04599). With a bias for each class, the probabilities also have the
    frequencies of the labels (Alexandari, Kundaje and Shrikumar, 2020, https://arxiv.org/abs/1901.06852).
    Both maximise the likelihood of the labels and of one more label of each class, which all predictions
    share. So they are finite if there is no error, or no label of a class.

    Fisher scoring with Marquardt's damping starts from the best of 25 scales. From a scale of 1, it cannot
    leave the probabilities of overconfident models: their derivatives are zero in floating point.

    Args:
        logits: The logits of the steps that enter predictions, `(R, K)`: the rows of the first prediction,
            then the rows of the second, and so on.
        sizes: The number of rows of each prediction, whose probabilities are their mean, `(n,)`.
        codes: The labels, `(n,)`, from 0 to K - 1.

    Returns:
        The scale, from `MIN_SCALE` to `MAX_SCALE`, and the biases `(K,)`, of which the mean is 0.
    """
    count, classes = len(codes), logits.shape[1]
    share = classes / (count + classes)
    targets = (1 - share) * np.eye(classes)[codes] + share / classes
    logits = logits - logits.mean(axis=1, keepdims=True)
    starts = np.cumsum(sizes) - sizes

    def loss_of(theta: Array) -> float:
        return _loss(theta, logits, starts, sizes, targets)

    # The scale and the biases.
    theta = min((np.concatenate([[scale], np.zeros(classes)]) for scale in _START_SCALES), key=loss_of)
    loss, damping = loss_of(theta), 1e-3
    for _ in range(_STEPS):
        gradient, information = _derivatives(theta, logits, starts, sizes, targets)
        is_at_bound = theta[0] == (MAX_SCALE if gradient[0] < 0 else MIN_SCALE)
        free = slice(1 if is_at_bound else 0, None)
        while damping < _MAX_DAMPING:
            new = theta.copy()
            new[free] -= _damped_step(gradient[free], information[free, free], damping)
            new[0] = np.clip(new[0], MIN_SCALE, MAX_SCALE)
            new_loss = loss_of(new)
            if new_loss < loss:
                break
            damping *= 10
        else:
            break  # no step lowers the loss
        gain = loss - new_loss
        theta, loss, damping = new, new_loss, max(damping / 10, _MIN_DAMPING)
        if gain < _MIN_GAIN:
            break
    return float(theta[0]), theta[1:] - theta[1:].mean()


def _damped_step(gradient: Array, information: Array, damping: float) -> Array:
    """The step of Fisher scoring, shorter with a larger damping."""
    diagonal = information.diagonal()
    damped = information + damping * np.diag(np.maximum(diagonal, 1e-12 * diagonal.max()))
    # Without damping, the information is singular: a shift of all biases has no effect.
    return np.linalg.lstsq(damped, gradient, rcond=1e-12)[0]


def _loss(theta: Array, logits: Array, starts: Array, sizes: Array, targets: Array) -> float:
    """The mean cross-entropy."""
    each = softmax(theta[0] * logits + theta[1:])
    means = np.add.reduceat(each, starts) / sizes[:, None]
    return float(-(targets * np.log(np.maximum(means, 1e-300))).sum() / len(sizes))


def _derivatives(
    theta: Array, logits: Array, starts: Array, sizes: Array, targets: Array
) -> tuple[Array, Array]:
    """The gradient of the mean cross-entropy, `(P,)`, and the Fisher information, `(P, P)`."""
    count, classes = targets.shape
    gradient, information = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    chunk = max(1, _CHUNK // (classes * len(theta)))  # of predictions, and of their rows
    numbers = np.repeat(np.arange(count), sizes)  # the prediction of each row
    for first in range(0, count, chunk):
        part = slice(first, first + chunk)
        means, slopes = _mean_slopes(theta, logits, starts[part], sizes[part], numbers, chunk)
        gradient -= np.einsum("nk,nkp->p", targets[part] / means, slopes)
        information += np.einsum("nk,nkp,nkq->pq", 1 / means, slopes, slopes, optimize=True)
    return gradient / count, information / count


def _mean_slopes(
    theta: Array, logits: Array, starts: Array, sizes: Array, numbers: Array, chunk: int
) -> tuple[Array, Array]:
    """Probabilities of some predictions, `(n, K)`, and their derivatives, `(n, K, P)`: means over rows."""
    classes, first = logits.shape[1], numbers[starts[0]]
    means, slopes = np.zeros((len(sizes), classes)), np.zeros((len(sizes), classes, len(theta)))
    for row in range(starts[0], starts[-1] + sizes[-1], chunk):
        rows = slice(row, min(row + chunk, starts[-1] + sizes[-1]))
        each = softmax(theta[0] * logits[rows] + theta[1:])
        own = np.empty((len(each), classes, len(theta)))
        own[..., 0] = each * (logits[rows] - (each * logits[rows]).sum(axis=1, keepdims=True))
        own[..., 1:] = each[:, :, None] * (np.eye(classes) - each[:, None, :])
        np.add.at(means, numbers[rows] - first, each)
        np.add.at(slopes, numbers[rows] - first, own)
    return np.maximum(means / sizes[:, None], 1e-300), slopes / sizes[:, None, None]
