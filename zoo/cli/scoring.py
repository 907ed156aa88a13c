"""How well a trained model does the task it was trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from zoo.cli.assignments import assign, member_target
from zoo.cli.evaluating import Trained
from zoo.contracts import Task
from zoo.errors import UsageError, ZooWarning
from zoo.training import Config, evaluate_task


def score_on(
    trained: Trained,
    config: Config,
    cls: type[Task],
    assignments: Sequence[str],
    part: str | None,
    batches: int,
) -> dict[str, Any]:
    """Loss and score of a model on its task.

    Args:
        trained: The model.
        config: What it was trained with.
        cls: Its task.
        assignments: Options of the task in place of those of the run, ``"delay=100"``.
        part: ``train``, ``valid`` or ``test``; None for ``test``.
        batches: How many batches of the size of training are measured.

    Raises:
        UsageError: if an option is not the task's, or its sizes are no longer those of the model.
    """
    _warn_of_change(trained, cls(**config.task_options))
    task = _task(cls, config, assignments)
    sizes = task.input_size, task.output_size
    if sizes != (trained.model.stack.input_size, trained.model.output_size):
        raise UsageError(
            f"{trained.source}: {task!r} has {sizes[0]} inputs and {sizes[1]} outputs; the model has "
            f"{trained.model.stack.input_size} and {trained.model.output_size}."
        )
    chosen = part or "test"
    found = evaluate_task(task, trained.model, chosen, batches, config.batch or 32)
    return {
        "task": task.name,
        "options": dict(task.options),
        "part": chosen,
        "examples": found.examples,
        "loss": found.loss,
        "metric": task.metric,
        "score": found.score,
        "higher_is_better": task.higher_is_better,
        "baseline": task.baseline(),
        "threshold": task.threshold,
        "solved": found.solved,
    }


def _task(cls: type[Task], config: Config, assignments: Sequence[str]) -> Task:
    """The task of a run, with some options changed."""
    changes = assign(assignments, [member_target("task", cls)])["task"]
    return cls(**{**config.task_options, **changes})


def _warn_of_change(trained: Trained, task: Task) -> None:
    """Warn if the examples of the task are not those of the training."""
    if trained.sha256 and task.fingerprint() != trained.sha256:
        sentence = (
            f"{trained.source}: {task.label()} has changed since training; it gives other examples now."
        )
        warnings.warn(sentence, ZooWarning, stacklevel=3)
