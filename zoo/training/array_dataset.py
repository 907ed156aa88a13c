"""``ArrayDataset``: train and evaluate on sequences in memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zoo.array_types import Array
from zoo.base.metric import METRICS
from zoo.field_repr import one_line_repr
from zoo.model import SequenceModel
from zoo.model.targets import weights_of_classes
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult

EVALUATION_BATCH = 256


@one_line_repr
@dataclass(frozen=True, eq=False)
class Sequences:
    """N sequences with their targets, time-major.

    Attributes:
        inputs: Tokens ``(T, N)`` or numbers ``(T, N, I)``.
        targets: Classes ``(T, N)`` or numbers ``(T, N, V)``.
        weights: Weight of each step, ``(T, N)``; None if all are 1.
        lengths: Steps of each sequence, ``(N,)``; None if all have T.
        aux: Auxiliary inputs, ``(T, N, ...)``.
    """

    inputs: Array
    targets: Array
    weights: Array | None
    lengths: Array | None
    aux: Mapping[str, Array]

    def arguments(self, rows: Array) -> dict[str, Any]:
        """Arguments of ``model.loss`` for some of the sequences."""
        arrays = {"inputs": self.inputs, "targets": self.targets, "weights": self.weights, **self.aux}
        chosen = {name: value[:, rows] for name, value in arrays.items() if value is not None}
        return chosen if self.lengths is None else {**chosen, "lengths": self.lengths[rows]}

    def select(self, rows: Array) -> Sequences:
        """Some of the sequences."""
        arrays = self.arguments(rows)
        aux = {name: arrays[name] for name in self.aux}
        weights, lengths = arrays.get("weights"), arrays.get("lengths")
        return Sequences(arrays["inputs"], arrays["targets"], weights, lengths, aux)

    def batches(self, size: int) -> Iterator[Array]:
        """Indices of the sequences of each batch, in their order."""
        count = self.inputs.shape[1]
        return (np.arange(first, min(first + size, count)) for first in range(0, count, size))


@dataclass(frozen=True, eq=False)
class ArrayDataset:
    """Batches of sequences in memory, in another order in every epoch.

    Attributes:
        train: Sequences for training.
        valid: Sequences for validation; None for those of training.
        batch_size: Sequences of a batch; the last batch of an epoch may have fewer.
        seed: Seed of the orders.
    """

    train: Sequences
    valid: Sequences | None
    batch_size: int
    seed: int
    kind: ClassVar[str] = "arrays"

    @property
    def eval_split_name(self) -> str:
        """``"validation"``, or ``"training"`` without validation data."""
        return "training" if self.valid is None else "validation"

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-int(self.train.inputs.shape[1]) // self.batch_size)

    def metadata(self) -> dict[str, Any]:
        """The shapes."""
        return {"inputs": [*self.train.inputs.shape], "targets": [*self.train.targets.shape]}

    def loss_and_grad(
        self,
        model: Any,
        step: int,
        carried_states: State | None,  # noqa: ARG002 - the protocol's signature
        noise: NoiseKey,
    ) -> TrainStepResult:
        """Loss and gradient on the batch of a step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order = epoch_order(self.train.inputs.shape[1], self.seed, epoch)
        given = self.train.arguments(order[index * self.batch_size : (index + 1) * self.batch_size])
        loss, _ = model.loss_and_grad(**given, noise=noise)
        return TrainStepResult(loss, {}, given["targets"].shape[0] * given["targets"].shape[1])

    def evaluate(self, model: Any) -> EvalResult:
        """Loss and metric on the validation data, or the training data if there are none."""
        values = evaluate_sequences(model, self.valid or self.train, EVALUATION_BATCH)
        return EvalResult(values.pop("loss"), values)

    def probe(self) -> ProbeBatch:
        """The inputs of one batch."""
        data = self.valid or self.train
        aux = {name: value[:, : self.batch_size] for name, value in data.aux.items()}
        return ProbeBatch(data.inputs[:, : self.batch_size], aux=aux)

    def compile_kernels(self, model: Any) -> None:
        """Compute the outputs of one batch."""
        given = self.train.arguments(np.arange(min(self.batch_size, self.train.inputs.shape[1])))
        model.evaluate_batch(**given)

    def uniform_loss(self, model: Any) -> None:
        """None: arrays have no symbols."""

    def sample(self, model: Any, length: int, seed: int) -> None:
        """None: arrays have no symbols."""

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """The number of epochs."""
        return {"epoch": round(step / self.steps_per_epoch, 3)}


@functools.lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Array:
    """The order of the sequences in an epoch, ``(N,)``."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def evaluate_sequences(model: SequenceModel, data: Sequences, batch_size: int) -> dict[str, float]:
    """The weighted means of the loss and of the loss's metric over all sequences."""
    loss, metric = model.criterion, METRICS[model.criterion.metric]
    sums = np.zeros(4)  # of losses and their weights, of metrics and theirs
    for rows in data.batches(batch_size):
        given = data.arguments(rows)
        value, outputs, _ = model.evaluate_batch(**given)
        weights = given.get("weights", np.ones(given["targets"].shape[:2]))
        of_loss = weights
        if loss.class_weights is not None:
            of_loss = weights_of_classes(loss.class_weights, given["targets"], weights)
        score = metric.score(outputs, given["targets"], weights)
        sums += value * of_loss.sum(), of_loss.sum(), score * weights.sum(), weights.sum()
    return {"loss": float(sums[0] / sums[1]), loss.metric: float(sums[2] / sums[3])}
