"""Training on sequences in memory, with one target per sequence, read after its last step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.array_types import Array
from zoo.base import Optimizer
from zoo.errors import ZooError
from zoo.model import SequenceModel
from zoo.sklearn.sequences import batches, pad, split_aux
from zoo.training.clipping import Clip

PREDICT_BATCH_SIZE = 256
"""Batch size of prediction."""


@dataclass(frozen=True)
class FitConfig:
    """Training data and hyperparameters.

    Args:
        rows: The sequences, ``(T, I)`` each.
        targets: Classes ``(N,)`` or targets ``(N, V)``.
        weights: Weight of each sequence, positive.
        epochs: Number of passes over all sequences.
        size: Batch size.
        optimizer: The optimizer.
        lr: Learning rate; None for the optimizer's default.
        clip: Gradient clipping.
        seed: Seed of the noise of cells.
        aux: Features that are auxiliary inputs, by name.
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
    aux: Mapping[str, int]


def fit_model(model: SequenceModel, config: FitConfig, rng: np.random.RandomState) -> list[float]:
    """Train a model in place; return the mean loss of every epoch.

    Raises:
        ZooError: if training diverges.
    """
    lengths = np.array([len(row) for row in config.rows])
    slots, step, losses = config.optimizer.init(model.theta), 0, []
    for _ in range(config.epochs):
        total = 0.0
        for indices in batches(lengths, config.size, rng):
            loss, weight = _gradient(model, config, indices, step)
            step += 1
            grad, norm, *_ = config.clip.apply(model.grad)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise ZooError(
                    f"training diverged: in update {step} the loss is {loss} and the norm of its gradient "
                    f"{norm}; lower lr (now {config.lr}), or scale the sequences to about one."
                )
            model.theta[:], slots = config.optimizer.apply(model.theta, grad, slots, step, config.lr)
            total += loss * weight
        losses.append(total / float(config.weights.sum()))
    return losses


def _gradient(model: SequenceModel, config: FitConfig, indices: Array, step: int) -> tuple[float, float]:
    """The loss and weight of a batch. Scale the gradient by the weight."""
    x, last = pad([config.rows[n] for n in indices], model.dtype)
    x, aux = split_aux(x, config.aux)
    columns, weights = np.arange(len(indices)), config.weights[indices]
    step_weights = np.zeros(x.shape[:2])
    step_weights[last, columns] = weights
    of_batch = config.targets[indices]
    targets = np.zeros((*x.shape[:2], *of_batch.shape[1:]), of_batch.dtype)
    targets[last, columns] = of_batch
    loss, _ = model.loss_and_grad(x, targets, step_weights, noise=(config.seed, step), **aux)
    weight = float(weights.sum())
    model.grad *= model.dtype.type(weight / (len(indices) * float(config.weights.mean())))
    return loss, weight


def predict_outputs(model: SequenceModel, rows: Sequence[Array], columns: Mapping[str, int]) -> Array:
    """Outputs of the readout after the last step of each sequence, ``(N, V)``, float64."""
    result = np.empty((len(rows), model.output_size))
    for indices in batches(np.array([len(row) for row in rows]), PREDICT_BATCH_SIZE):
        x, last = pad([rows[n] for n in indices], model.dtype)
        x, aux = split_aux(x, columns)
        batch = np.arange(len(indices))
        weights = np.zeros(x.shape[:2])
        weights[last, batch] = 1
        outputs, _ = model.outputs(x, weights, **aux)
        result[indices] = outputs[last, batch]
    return result
