"""Evaluate a model on a text or task, and compute diagnostics of it during training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from zoo.array_types import Array
from zoo.base import Batch, Task
from zoo.data import BpttBatches
from zoo.errors import UsageError
from zoo.model import AnyModel
from zoo.model.model import DEFAULT_LOSS, State

if TYPE_CHECKING:
    from zoo.training.dataset import ProbeBatch
    from zoo.training.trainer import Trainer

States: TypeAlias = Mapping[str, np.ndarray[Any, Any]]

MAX_ROWS, MAX_LAGS = 16, 128


def analyse(trainer: Trainer) -> dict[str, Any]:
    """The entries of an ``analysis`` event; parameters, gradients and carried states do not change.

    Saturation is the share of values below 0.1 and above 0.9 for a sigmoid, below -0.9 and above 0.9 for
    tanh. The norm at lag k belongs to the gradient of one step's loss with respect to the state k
    steps before.

    Args:
        trainer: The trainer of a run.

    Returns:
        ``saturation``, ``{"l0.f": [low, high], ...}``, and ``gradient_by_lag``, ``{"l0.h": [norms], ...}``,
        which is empty for a bidirectional model.
    """
    from zoo.analysis.loss_gradients import norms_by_lag  # most runs do not need them
    from zoo.analysis.traces import saturation_shares

    model, probe = trainer.model, trainer.dataset.probe()
    inputs, targets = probe.inputs[:, :MAX_ROWS], None if probe.targets is None else probe.targets[:MAX_ROWS]
    aux = {name: value[:, :MAX_ROWS] for name, value in declared_aux(model, probe).items()}
    saturation = saturation_shares(model, inputs, aux)
    lags = {} if model.config.bidirectional else norms_by_lag(model, inputs, targets, aux, lags=MAX_LAGS)
    return {
        "saturation": {name: [_round(share) for share in shares] for name, shares in saturation.items()},
        "gradient_by_lag": {name: [_round(norm) for norm in norms] for name, norms in lags.items()},
    }


def _round(value: float) -> float:
    """Round to six digits, so that a log of long sequences stays small."""
    return float(f"{value:.6g}")


EVAL_SEED = 0
"""The seed of all validation and test examples, so that scores of different runs are comparable."""


def bits(nats: float) -> float:
    """Convert a loss from nats to bits (per character or per byte)."""
    return nats / math.log(2)


@dataclass(frozen=True)
class Score:
    """A loss in nats and in bits.

    Attributes:
        nats: Mean cross-entropy in nats per symbol.
        symbols: Number of predicted symbols.
    """

    nats: float
    symbols: int

    @property
    def bits(self) -> float:
        """Bits per character or per byte."""
        return bits(self.nats)


def evaluate(
    model: AnyModel,
    streams: BpttBatches,
    noise: int | None = None,
    carry: bool = True,
    include_remainder: bool = False,
) -> Score:
    """The mean cross-entropy per predicted symbol over one pass through the streams.

    Args:
        model: The model.
        streams: The text.
        noise: Seed of dropout and noise, which are then drawn as in training; None to draw none.
        carry: Whether states are carried from one window to the next.
        include_remainder: Whether to predict the symbols after the last full batch. Validation skips them:
            for a small part they can take longer than the batches.
    """
    model = model.with_loss(DEFAULT_LOSS)  # label smoothing, for example, changes the unit
    total, symbols = 0.0, 0
    state: State | None = None
    windows = map(streams.window, range(streams.windows_per_epoch))
    for index, window in enumerate(
        itertools.chain(windows, streams.remainder() if include_remainder else ())
    ):
        key, rows = None if noise is None else (noise, index), window.targets.shape[1]
        before = {name: value[-rows:] for name, value in state.items()} if state and carry else None
        loss, state = model.loss(window.inputs, window.targets, state=before, noise=key)
        total += loss * window.targets.size
        symbols += window.targets.size
    return Score(total / symbols, symbols)


@dataclass(frozen=True)
class TaskScore:
    """Loss and score of a model on a task, the mean over batches, weighted by their examples.

    Attributes:
        loss: The loss.
        score: The task's metric.
        solved: Whether the score reaches the task's threshold.
        examples: Number of examples that have a target.
    """

    loss: float
    score: float
    solved: bool
    examples: int


def initial_states(model: AnyModel, batch: Batch, carried: States | None) -> States | None:
    """The states after the batch before, if this one continues it.

    Raises:
        UsageError: if the model is bidirectional, so that it cannot continue.
    """
    if not batch.continues:
        return None
    if model.config.bidirectional:
        raise UsageError(
            "bidirectional is True, but the sequences of this task continue in the next batch, which a layer "
            "that reads backwards has not seen; leave it out."
        )
    return carried


def declared_aux(model: AnyModel, batch: Batch | ProbeBatch) -> dict[str, Any]:
    """The auxiliary inputs of a batch that a cell of the model declares."""
    return {name: array for name, array in batch.aux.items() if name in model.stack.inputs}


LARGEST_OUTPUT = 10.0
"""Bound of the outputs that a model reads in a free run, in multiples of the largest input of the context."""


def run_freely(model: AnyModel, batch: Batch, state: States | None = None) -> Array:
    """The inputs of a free run: inputs of the batch up to its context, then outputs of the model.

    Outputs are clipped, so that a model that diverges in a free run has a large and finite loss.

    Args:
        model: The model.
        batch: A batch with a context.
        state: The states before the first step; None for the initial states.

    Returns:
        The inputs, ``(T, B, I)``.

    Raises:
        UsageError: if the model is bidirectional, so that it cannot read its own outputs.
    """
    if model.config.bidirectional:
        raise UsageError(
            "bidirectional is True, but this task runs a model on its own outputs, which a layer that reads "
            "backwards has not seen; leave it out."
        )
    inputs, aux = batch.inputs.copy(), declared_aux(model, batch)
    begin, end = 0, batch.context or 0
    bound = LARGEST_OUTPUT * np.abs(inputs[:end]).max()
    while end < len(inputs):
        now = {name: value[begin:end] for name, value in aux.items()}
        outputs, state = model.outputs(inputs[begin:end], state=state, **now)
        inputs[end] = np.clip(outputs[-1], -bound, bound)
        begin, end = end, end + 1
    return inputs


def evaluate_task(
    task: Task, model: AnyModel, part: str, batches: int, rows: int, noise: int | None = None
) -> TaskScore:
    """Evaluate a model on a task.

    An example whose weights are all zero does not count, so a finite part can fill its last batch with them.

    Args:
        task: The task.
        model: The model.
        part: ``"valid"`` or ``"test"``, or ``"train"``.
        batches: Number of batches, from number 0; a finite part is read once as a whole.
        rows: Examples of a batch.
        noise: As for :func:`evaluate`.
    """
    count = task.batch_count(part, rows) or batches
    losses, scores, filled = [], [], []
    state: State | None = None
    for index in range(count):
        batch = task.batch(index, rows, EVAL_SEED, part)
        before = initial_states(model, batch, state)
        aux = declared_aux(model, batch)
        key = None if noise is None else (noise, index)
        inputs = batch.inputs if batch.context is None else run_freely(model, batch, before)
        loss, outputs, state = model.evaluate_batch(
            inputs, batch.targets, batch.weights, state=before, noise=key, **aux
        )
        filled.append(float(np.mean(batch.weights.any(axis=0))))  # 1 for full batches: no rounding
        losses.append(loss * filled[-1])
        scores.append(task.score(outputs, batch) * filled[-1])
    loss, score = sum(losses) / sum(filled), sum(scores) / sum(filled)
    return TaskScore(loss, score, task.is_solved(score), round(sum(filled) * rows))
