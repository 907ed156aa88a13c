"""Looking at a model while it is trained: how its gates saturate, and how far gradients reach back.

How well a model predicts a text, or does a task.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.base import Task
from zoo.data import Streams
from zoo.model import AnyModel
from zoo.model.model import State

if TYPE_CHECKING:
    from zoo.training.trainer import Trainer

MOST_ROWS, MOST_LAGS = 16, 128


def analyse(trainer: Trainer) -> dict[str, Any]:
    """The facts of an ``analysis`` event; parameters, gradients and carried states stay as they are.

    Of every value that a sigmoid made a share lies below 0.1 and another above 0.9, of one that tanh made
    below -0.9 and above 0.9. The norm at lag k is that of the gradient of the loss of one step with respect
    to the state k steps before.

    Args:
        trainer: Of which run.

    Returns:
        ``saturation``, ``{"l0.f": [low, high], ...}``, and ``gradient_by_lag``, ``{"l0.h": [norms], ...}``.
    """
    from zoo.analysis import gate_saturation, gradient_by_lag  # which most runs do without

    model, (inputs, targets) = trainer.model, trainer.reader.probe()
    inputs, targets = inputs[:, :MOST_ROWS], None if targets is None else targets[:MOST_ROWS]
    saturation = gate_saturation(model, inputs)
    lags = gradient_by_lag(model, inputs, targets, lags=MOST_LAGS)
    return {
        "saturation": {name: [_short(share) for share in shares] for name, shares in saturation.items()},
        "gradient_by_lag": {name: [_short(norm) for norm in norms] for name, norms in lags.items()},
    }


def _short(value: float) -> float:
    """Six digits, so that a log of long sequences stays small."""
    return float(f"{value:.6g}")


EVALUATED = 0

"""The seed of all examples that models are measured by, so that scores of different runs compare."""


def bits(nats: float) -> float:
    """A loss in bits: per character, or per byte."""
    return nats / math.log(2)


@dataclass(frozen=True)
class Score:
    """A loss, in the two units of the field.

    Attributes:
        nats: Mean cross-entropy in nats per symbol.
        symbols: How many symbols were predicted.
    """

    nats: float
    symbols: int

    @property
    def bits(self) -> float:
        """Bits per symbol: bits per character, or per byte."""
        return bits(self.nats)


def evaluate(model: AnyModel, streams: Streams) -> Score:
    """The model's loss over one pass through the streams, with the state carried from window to window.

    The mean is over every predicted symbol, each of which counts the same.
    """
    total, symbols, state = 0.0, 0, None
    for index in range(streams.windows_per_epoch):
        window = streams.window(index)
        loss, state = model.loss(window.inputs, window.targets, state=state)
        total += loss * window.targets.size
        symbols += window.targets.size
    return Score(total / symbols, symbols)


@dataclass(frozen=True)
class TaskScore:
    """How well a task is done, the mean over batches.

    Attributes:
        loss: What is minimised.
        score: The task's metric.
        solved: Whether the score reaches the task's threshold.
        examples: How many there were.
    """

    loss: float
    score: float
    solved: bool
    examples: int


def evaluate_task(task: Task, model: AnyModel, part: str, batches: int, rows: int) -> TaskScore:
    """How well a model does a task.

    Args:
        task: The task.
        model: The model.
        part: ``"valid"`` or ``"test"``, or ``"train"``.
        batches: How many batches, from number 0; a part that has an end is read once, as long as it is.
        rows: Examples of each.
    """
    count = task.batch_count(part, rows) or batches
    losses, scores = [], []
    state: State | None = None
    for index in range(count):
        batch = task.batch(index, rows, EVALUATED, part)
        before = state if batch.continues else None
        loss, outputs, state = model.evaluate_batch(batch.inputs, batch.targets, batch.weights, before)
        losses.append(loss)
        scores.append(task.score(outputs, batch))
    score = sum(scores) / count
    return TaskScore(sum(losses) / count, score, task.is_solved(score), count * rows)
