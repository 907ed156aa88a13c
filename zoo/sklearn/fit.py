"""Learning from sequences that lie in memory, each with one answer, which is read after its last step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.base import Optimizer
from zoo.errors import ZooError
from zoo.model import SequenceModel
from zoo.sklearn.sequences import Array, batches, padded
from zoo.training.clipping import Clip

PREDICTED = 256
"""Sequences at a time where nothing is learnt."""


@dataclass(frozen=True)
class Lesson:
    """What is learnt, and how.

    Args:
        rows: The sequences, ``(T, I)`` each.
        targets: A class ``(N,)`` or numbers ``(N, V)`` for each.
        weights: How much each counts, above zero.
        epochs: How often all of them are seen.
        size: Of a batch.
        optimizer: The optimizer.
        lr: Its step size; None for its own.
        clip: What is done to gradients.
        seed: Decides the noise of cells that have some.
    """

    rows: Sequence[Array]
    targets: Array
    weights: Array
    epochs: int
    size: int
    optimizer: Optimizer
    lr: float | None
    clip: Clip
    seed: int


def learn(model: SequenceModel, lesson: Lesson, rng: np.random.RandomState) -> list[float]:
    """Train a model in place; the mean loss of every epoch.

    Raises:
        ZooError: if training diverges.
    """
    lengths = np.array([len(row) for row in lesson.rows])
    slots, step, losses = lesson.optimizer.init(model.theta), 0, []
    for _ in range(lesson.epochs):
        total = 0.0
        for chosen in batches(lengths, lesson.size, rng):
            loss, weight = _gradient(model, lesson, chosen, step)
            step += 1
            grad, norm, *_ = lesson.clip.apply(model.grad)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise ZooError(
                    f"training diverged: in update {step} the loss is {loss} and the norm of its gradient "
                    f"{norm}; lower lr (now {lesson.lr}), or scale the sequences to about one."
                )
            model.theta[:], slots = lesson.optimizer.apply(model.theta, grad, slots, step, lesson.lr)
            total += loss * weight
        losses.append(total / float(lesson.weights.sum()))
    return losses


def _gradient(model: SequenceModel, lesson: Lesson, chosen: Array, step: int) -> tuple[float, float]:
    """The loss of a batch and its weight; the gradient counts as much as the batch weighs."""
    x, last = padded([lesson.rows[place] for place in chosen], model.dtype)
    columns, weights = np.arange(len(chosen)), lesson.weights[chosen]
    counts = np.zeros(x.shape[:2])
    counts[last, columns] = weights
    answers = lesson.targets[chosen]
    targets = np.zeros((*x.shape[:2], *answers.shape[1:]), answers.dtype)
    targets[last, columns] = answers
    loss, _ = model.loss_and_grad(x, targets, counts, noise=(lesson.seed, step))
    weight = float(weights.sum())
    model.grad *= model.dtype.type(weight / (len(chosen) * float(lesson.weights.mean())))
    return loss, weight


def answers(model: SequenceModel, rows: Sequence[Array]) -> Array:
    """What the readout says after the last step of each sequence, ``(N, V)``, float64."""
    found = np.empty((len(rows), model.output_size))
    for chosen in batches(np.array([len(row) for row in rows]), PREDICTED):
        x, last = padded([rows[place] for place in chosen], model.dtype)
        columns = np.arange(len(chosen))
        counts = np.zeros(x.shape[:2])
        counts[last, columns] = 1
        outputs, _ = model.outputs(x, counts)
        found[chosen] = outputs[last, columns]
    return found
