"""A task as what a run reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from zoo.base import Cell, Task
from zoo.base.batch_checks import call_method
from zoo.model import AnyModel, LanguageModel, SequenceModel
from zoo.training.config import Config
from zoo.training.dataset import Learnt, Measured, Noise, Probe, State
from zoo.training.evaluation import evaluate_task


@dataclass(frozen=True)
class Practice:
    """A task and how it is practised.

    Attributes:
        task: The task.
        rows: Examples of a batch.
        seed: Decides which examples are learnt from.
        batches: How many batches a validation measures.
    """

    task: Task
    rows: int
    seed: int
    batches: int
    kind: ClassVar[str] = "task"
    measured_on: ClassVar[str] = "validation"

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

    def facts(self) -> dict[str, Any]:
        """What identifies the task, for logs and checkpoints, and what its scores are measured by."""
        return dict(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        task = self.task
        return {
            "name": task.name,
            "options": dict(task.options),
            "sha256": task.fingerprint(),
            "inputs": task.input_size,
            "outputs": task.output_size,
            "loss": task.loss,
            "metric": task.metric,
            "higher_is_better": task.higher_is_better,
            "baseline": call_method(task, "baseline"),
            "threshold": task.threshold,
        }

    def make_model(self, cell: Cell, config: Config) -> AnyModel:
        """A model for the task."""
        return model_for(self.task, cell, **config.model_settings())

    def learn(self, model: AnyModel, step: int, carried: State | None, noise: Noise) -> Learnt:
        """The loss on the batch of a step; states are carried if the batch goes on with the one before."""
        batch = self.task.batch(step, self.rows, self.seed)
        before = carried if batch.continues else None
        loss, after = model.loss_and_grad(
            batch.inputs, batch.targets, weights=batch.weights, state=before, noise=noise
        )
        return Learnt(loss, after, batch.weights.size)

    def measure(self, model: AnyModel) -> Measured:
        """Loss and score on examples for validation, the same in all runs of the task."""
        return self._measure(model, self.batches)

    def probe(self) -> Probe:
        """Examples for validation up to the last step at which any is asked for an answer; those that are."""
        inputs, targets, weights, _ = self.task.batch(0, self.rows, 0, "valid")
        last = int(np.flatnonzero(weights.any(axis=1))[-1])
        asked = weights[last] > 0
        return Probe(inputs[: last + 1, asked], targets[last, asked])

    def rehearse(self, model: AnyModel) -> None:
        """Measure one batch."""
        self._measure(model, 1)

    def _measure(self, model: AnyModel, batches: int) -> Measured:
        found = evaluate_task(self.task, model, "valid", batches, self.rows)
        facts = {"score": found.score, "metric": self.task.metric, "solved": found.solved}
        return Measured(found.loss, facts, found.solved)

    def remarks(self, step: int, loss: float) -> dict[str, Any]:  # noqa: ARG002 - as for every reader
        """Nothing: examples never end, and losses have no other unit."""
        return {}


def model_for(task: Task, cell: str | type[Cell] | Cell, **settings: Any) -> AnyModel:
    """A model of the sizes and the loss of a task: a language model if it is one of symbols of a text.

    Args:
        task: The task.
        cell: Its cell.
        **settings: Other arguments of the model.
    """
    if task.vocabulary is not None:
        return LanguageModel(task.vocabulary, cell, **settings)
    return SequenceModel(cell, task.input_size, task.output_size, loss=task.loss, **settings)


def prepare_task(config: Config, task: Task) -> tuple[Config, Practice]:
    """A task ready to be practised; the configuration comes back with every size settled."""
    steps = 5000 if config.steps is None else config.steps
    every = config.eval_every or max(1, min(500, steps // 10))
    settled = dataclasses.replace(
        config,
        data=(),
        batch=config.batch or 32,
        steps=steps,
        eval_every=every,
        save_every=config.save_every or every,
    )
    return settled, Practice(task, settled.batch or 32, config.seed, config.eval_batches)
