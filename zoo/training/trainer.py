"""The training loop: loss, gradient, clipping, update; and what is done every so many steps besides."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from zoo.base import Optimizer
from zoo.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.errors import ZooError
from zoo.kernels.cache_dir import count_cached
from zoo.model import AnyModel, LanguageModel
from zoo.storage import RunDirectory
from zoo.training.clipping import Clip
from zoo.training.config import Config
from zoo.training.dataset import Reader
from zoo.training.metrics import Means, Speed
from zoo.training.schedules import Schedule
from zoo.training.signals import Interruption
from zoo.training.state import Progress

Event = dict[str, Any]
Analyse = Callable[["Trainer"], Mapping[str, Any]]
"""What an analysis finds, as facts of an event."""

_MANY_STEPS = 100
"""So many that it pays to compile for them."""

_FAR_ABOVE = 1.2
"""Times the loss of equal probabilities: a text never comes near, unless training diverges or overfits."""


class Trainer:
    """One run: a model, an optimizer, what is read, and where they stand.

    Args:
        config: The settled configuration.
        reader: What the model learns from: a text, or a task.
        model: The model; its parameters are updated in place.
        optimizer: The optimizer.
        schedule: The learning rate's schedule.
        progress: Where the run stands.
        directory: Where checkpoints go.
        ranks: The processes that do this run together.
        emit: Called with every event: a dictionary with ``event`` and ``step``.
        analyse: Called with the trainer every ``analyse_every`` steps, after a step, and before anything else
            is done that is due; it may run the model, but has to leave parameters as they are. What it finds
            is the event ``analysis``.
    """

    def __init__(
        self,
        config: Config,
        reader: Reader,
        model: AnyModel,
        optimizer: Optimizer,
        schedule: Schedule,
        progress: Progress,
        directory: RunDirectory,
        ranks: ProcessGroup,
        emit: Callable[[Event], None],
        analyse: Analyse | None = None,
    ) -> None:
        self.config, self.reader, self.model = config, reader, model
        self.optimizer, self.schedule, self.progress = optimizer, schedule, progress
        self.directory, self.ranks, self.emit, self.analyse = directory, ranks, emit, analyse
        self.clip = Clip(norm=config.clip or None, value=config.clip_value or None)
        self.lr = float(config.lr if config.lr is not None else optimizer.options["lr"])
        self.speed = Speed()

    def run(self, interruption: Interruption) -> str:
        """Train to the end, or until a signal or early stopping; why it ended.

        Raises:
            ZooError: if training diverges.
            CheckpointError: if a checkpoint or the log cannot be written.
        """
        reason = self.reason_to_end(interruption)
        if reason is None:
            self._compile()
        while reason is None:
            self.step()
            if self.analyse is not None and self._due(self.config.analyse_every):
                self._emit("analysis", **self.analyse(self))
            validate = self._due(self.config.eval_every) or self.progress.step == self.config.steps
            improved = validate and self._validate()
            reason = self.reason_to_end(interruption)
            if self._due(self.config.sample_every):
                self._sample()
            if validate or reason or self._due(self.config.save_every):
                self._save(improved)
            self.speed.restart()
        return reason

    def step(self) -> None:
        """One update.

        Raises:
            ZooError: if the loss or its gradient is no longer a number.
        """
        progress = self.progress
        noise = self.config.seed, progress.step
        loss, progress.carried, symbols = self.reader.learn(
            self.model, progress.step, progress.carried, noise
        )
        grad, norm, clipped, left = self.clip.apply(self.model.grad)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._diverged(f"the loss is {loss} and the norm of its gradient {norm}", loss, norm)
        progress.step += 1
        rate = self.lr * self.schedule.factor(progress.schedule, progress.step)
        self.model.theta[:], progress.slots = self.optimizer.apply(
            self.model.theta, grad, progress.slots, progress.step, rate
        )
        progress.clipped += clipped
        progress.means = progress.means.add(loss, norm, clipped, left)
        self.speed.add(symbols)
        if self._due(self.config.log_every) or progress.step == self.config.steps:
            self._log(rate)

    def _log(self, rate: float) -> None:
        """A line of progress; then the count begins anew."""
        progress, means = self.progress, self.progress.means.read()
        remarks = self.reader.remarks(progress.step, means["loss"])
        self._emit("step", **means, **remarks, **self.speed.read(), lr=rate)
        progress.means = Means()
        self.ranks.check_equal(self.model.theta, "parameters")

    def _compile(self) -> None:
        """Run every kernel once and drop the results, so that a first run shows why it is slow to start."""
        known, started = count_cached(), time.perf_counter()
        self._emit("compiling")
        with self.ranks.one_per_node_first():
            self._rehearse()
        self._emit("compiled", seconds=time.perf_counter() - started, fresh=count_cached() > known)
        self.speed.restart()

    def _rehearse(self) -> None:
        """Do once, alone, what a step and a validation do."""
        group, self.model.process_group = self.model.process_group, SINGLE_PROCESS
        self.reader.rehearse(self.model)
        self.reader.learn(self.model, 0, None, (self.config.seed, 0))
        if (self.config.steps or 0) - self.progress.step >= _MANY_STEPS:
            self.model.compile_training_step()
            self.reader.learn(self.model, 0, None, (self.config.seed, 0))
        grad = self.clip.apply(self.model.grad).grad
        self.optimizer.apply(self.model.theta, grad, self.progress.slots, 1, 0.0)
        self.model.process_group = group

    def _due(self, every: int | None) -> bool:
        return bool(every) and self.progress.step % (every or 1) == 0

    def reason_to_end(self, interruption: Interruption) -> str | None:
        """Why training ends here, if it does; a signal that one rank was sent is meant for all."""
        interruption.signal = self.ranks.all_reduce_max(interruption.signal or 0) or None
        if interruption.signal is not None:
            return "interrupted"
        if self.config.patience and self.progress.stale >= self.config.patience:
            return "no improvement"
        if self.config.stop_when_solved and self.progress.solved:
            return "solved"
        return "finished" if self.progress.step >= (self.config.steps or 0) else None

    def _validate(self) -> bool:
        """Measure the model on what it does not learn from; whether it is the best so far."""
        progress, found = self.progress, self.reader.measure(self.model)
        part, loss = self.reader.measured_on, found.loss
        if not math.isfinite(loss):
            self._diverged(f"the {part} loss is {loss}", loss)
        improved = progress.improves(loss, found.solved)
        if improved:
            progress.best, progress.best_step, progress.solved = loss, progress.step, found.solved
        progress.stale = 0 if improved else progress.stale + 1
        progress.schedule = self.schedule.observe(progress.schedule, loss)
        self._emit("eval", part=part, loss=loss, **found.facts, best=improved)
        if isinstance(self.model, LanguageModel) and loss > _FAR_ABOVE * math.log(self.model.output_size):
            self._emit("warning", text=self._worse_than_guessing(part, loss))
        return improved

    def _worse_than_guessing(self, part: str, loss: float) -> str:
        symbols = self.model.output_size
        return (
            f"the {part} loss {loss:.4g} is far above {math.log(symbols):.4g}, the loss of a model that "
            f"gives each of the {symbols} symbols the same probability; lower --lr (now {self.lr:g}), or "
            f"stop earlier."
        )

    def _sample(self) -> None:
        if isinstance(self.model, LanguageModel):
            text = self.model.sample("", self.config.sample_length, seed=self.config.seed)
            self._emit("sample", text=text)

    def _save(self, best: bool) -> None:
        """Write a checkpoint; one from which no run could go on is not written."""
        if self.progress.carried is not None:
            self.progress.carried = self.model.process_group.all_gather_states(
                self.progress.carried, self.reader.rows
            )
        read = {self.reader.kind: self.reader.facts()}
        checkpoint = self.progress.to_checkpoint(self.model, self.config, read)
        for name, array in checkpoint.arrays.items():
            if not np.isfinite(array).all():
                self._diverged(f"{name} holds values that are NaN or infinite")
        self.directory.save(self.progress.step, checkpoint, best=best, keep=self.config.keep)

    def _diverged(self, what: str, loss: float | None = None, norm: float | None = None) -> NoReturn:
        self._emit("diverged", loss=loss, grad_norm=norm)
        raise ZooError(
            f"training diverged: after {self.progress.step} steps {what}; lower --lr (now {self.lr:g}) or "
            f"--clip (now {self.config.clip:g}). {self.directory.path} keeps what was saved before."
        )

    def _emit(self, event: str, **facts: Any) -> None:
        self.emit({"event": event, "step": self.progress.step, **facts})
