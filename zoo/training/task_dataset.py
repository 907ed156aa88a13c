"""``TaskDataset``: train and validate on a task."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from zoo.base import Cell, Task
from zoo.base.task import call_method, embedding_error, reads_tokens
from zoo.layers.config import CellLike
from zoo.model import AnyModel, LanguageModel, SequenceModel
from zoo.training.config import Config
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult
from zoo.training.defaults import KIND_DEFAULTS, with_intervals
from zoo.training.evaluation import declared_aux, evaluate_task, initial_states
from zoo.training.stream_gradient import check_gradient, check_task_gradient, loss_and_grad


@dataclass(frozen=True)
class TaskDataset:
    """Batches of a task for training and validation.

    Attributes:
        task: The task.
        batch_size: Examples of a batch.
        seed: Seed of the training examples.
        batches: Batches of a validation.
        gradient: Name of the gradient across batches that continue the ones before.
    """

    task: Task
    batch_size: int
    seed: int
    batches: int
    gradient: str = "bptt"
    kind: ClassVar[str] = "task"
    eval_split_name: ClassVar[str] = "validation"

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

    def metadata(self) -> dict[str, Any]:
        """The task with its fingerprint and its metric."""
        return dict(self._metadata)

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        task = self.task
        return {
            "name": task.name,
            "options": dict(task.options),
            "sha256": task.fingerprint(),
            "inputs": task.input_size,
            "outputs": task.output_size,
            "loss": str(task.loss),
            "metric": task.metric,
            "higher_is_better": task.higher_is_better,
            "baseline": call_method(task, "baseline"),
            "threshold": task.threshold,
        }

    def make_model(self, cell: Cell | list[Cell], config: Config) -> AnyModel:
        """A model for the task."""
        model = model_for(self.task, cell, embedding=config.embedding, **config.model_arguments())
        check_gradient(self.gradient, model, self.batch_size)
        check_task_gradient(self.gradient, self.task, self.batch_size, self.seed)
        return model

    def loss_and_grad(
        self, model: AnyModel, step: int, carried_states: State | None, noise: NoiseKey
    ) -> TrainStepResult:
        """Loss and gradient on the batch of a step; states are carried if it continues the batch before."""
        batch = self.task.batch(step, self.batch_size, self.seed)
        before = initial_states(model, batch, carried_states)
        others = {"weights": batch.weights, **declared_aux(model, batch)}
        loss, after = loss_and_grad(
            self.gradient, model, batch.inputs, batch.targets, before, noise, **others
        )
        return TrainStepResult(loss, after, batch.weights.size)

    def evaluate(self, model: AnyModel) -> EvalResult:
        """Loss and score on the validation examples, which are the same in all runs of the task."""
        return self._evaluate(model, self.batches)

    def probe(self) -> ProbeBatch:
        """Validation examples up to the last step with a target, of the rows that have one there.

        Of a task with a free run, the examples up to it.
        """
        batch = self.task.batch(0, self.batch_size, 0, "valid")
        weights = batch.weights if batch.context is None else np.ones((batch.context, self.batch_size))
        last = int(np.flatnonzero(weights.any(axis=1))[-1])
        has_target = weights[last] > 0
        aux = {name: value[: last + 1, has_target] for name, value in batch.aux.items()}
        return ProbeBatch(batch.inputs[: last + 1, has_target], batch.targets[last, has_target], aux)

    def compile_kernels(self, model: AnyModel) -> None:
        """Evaluate one batch."""
        self._evaluate(model, 1)

    def _evaluate(self, model: AnyModel, batches: int) -> EvalResult:
        result = evaluate_task(self.task, model, "valid", batches, self.batch_size)
        metrics = {"score": result.score, "metric": self.task.metric, "solved": result.solved}
        return EvalResult(result.loss, metrics, result.solved)

    def uniform_loss(self, model: AnyModel) -> float | None:
        """The loss of equal probabilities for all symbols; None without a vocabulary."""
        return None if self.task.vocabulary is None else math.log(model.output_size)

    def sample(self, model: AnyModel, length: int, seed: int) -> str | None:
        """Text sampled from the model; None without a vocabulary."""
        return model.sample("", length, seed=seed) if isinstance(model, LanguageModel) else None

    def memoryless_loss(self) -> float | None:
        """Unknown."""
        return None

    def final_entries(self, load_best: Callable[[], AnyModel]) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: `zoo eval` evaluates the best model."""
        return {}

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: a task has no epochs, and its loss has no other unit."""
        return {}


def model_for(
    task: Task, cell: CellLike | Sequence[CellLike], embedding: int | None = None, **settings: Any
) -> AnyModel:
    """A model with the sizes and the loss of a task; a language model if the task has a vocabulary.

    Args:
        task: The task.
        cell: The cell of all layers, or a list of the cell of each.
        embedding: Size of a trained vector for each token; None for one-hot codes, or numbers.
        **settings: Other arguments of the model.

    Raises:
        UsageError: if there is an embedding and the inputs of the task are numbers.
    """
    if embedding is not None and not reads_tokens(task):
        raise embedding_error(task, embedding)
    settings = {"loss": task.loss, "embedding": embedding, **settings}
    if task.vocabulary is not None:
        return LanguageModel(task.vocabulary, cell, **settings)
    return SequenceModel(cell, task.input_size, task.output_size, **settings)


def prepare_task(config: Config, task: Task) -> tuple[Config, TaskDataset]:
    """The configuration with every size resolved, and the dataset of the task."""
    steps, batch = config.steps or KIND_DEFAULTS["task"].steps, config.batch or KIND_DEFAULTS["task"].batch
    resolved = dataclasses.replace(with_intervals(config, "task", steps), data=(), batch=batch)
    return resolved, TaskDataset(task, batch, config.seed, config.eval_batches, config.gradient)
