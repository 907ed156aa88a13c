"""The training loop: truncated back-propagation through time over contiguous streams."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from zoo.contracts import Optimizer
from zoo.errors import ZooError
from zoo.kernels.directory import cached_files
from zoo.model import LanguageModel
from zoo.storage import RunDirectory
from zoo.training.clipping import Clip
from zoo.training.config import Config
from zoo.training.evaluation import evaluate
from zoo.training.meter import Means, Speed
from zoo.training.progress import Progress
from zoo.training.schedules import Schedule
from zoo.training.signals import Interruption
from zoo.training.text import Text

Event = dict[str, Any]


class Trainer:
    """One run: a model, an optimizer, a text, and where they stand.

    Args:
        config: The settled configuration.
        text: The text.
        model: The model; its parameters are updated in place.
        optimizer: The optimizer.
        schedule: The learning rate's schedule.
        progress: Where the run stands.
        directory: Where checkpoints go.
        emit: Called with every event: a dictionary with ``event`` and ``step``.
    """

    def __init__(
        self,
        config: Config,
        text: Text,
        model: LanguageModel,
        optimizer: Optimizer,
        schedule: Schedule,
        progress: Progress,
        directory: RunDirectory,
        emit: Callable[[Event], None],
    ) -> None:
        self.config, self.text, self.model = config, text, model
        self.optimizer, self.schedule, self.progress = optimizer, schedule, progress
        self.directory, self.emit = directory, emit
        self.clip = Clip(norm=config.clip or None, value=config.clip_value or None)
        self.lr = float(config.lr if config.lr is not None else optimizer.options["lr"])
        self.speed = Speed()

    def run(self, interruption: Interruption) -> str:
        """Train to the end, or until a signal or early stopping; why it ended.

        Raises:
            ZooError: if training diverges.
            CheckpointError: if a checkpoint or the log cannot be written.
        """
        reason = self._reason(interruption)
        if reason is None:
            self._compile()
        while reason is None:
            self.step()
            validate = self._due(self.config.eval_every) or self.progress.step == self.config.steps
            improved = validate and self._validate()
            reason = self._reason(interruption)
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
        window = self.text.train.window(progress.step)
        carried = None if window.is_first_of_epoch else progress.carried
        noise = self.config.seed, progress.step
        loss, progress.carried = self.model.loss_and_grad(window.inputs, window.targets, carried, noise)
        grad, norm, clipped = self.clip.apply(self.model.grad)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._diverged(f"the loss is {loss} and the norm of its gradient {norm}", loss, norm)
        progress.step += 1
        rate = self.lr * self.schedule.factor(progress.schedule, progress.step)
        self.model.theta[:], progress.slots = self.optimizer.apply(
            self.model.theta, grad, progress.slots, progress.step, rate
        )
        progress.clipped += clipped
        progress.means = progress.means.add(loss, norm, clipped)
        self.speed.add(window.targets.size)
        if self._due(self.config.log_every) or progress.step == self.config.steps:
            self._log(rate)

    def _log(self, rate: float) -> None:
        """A line of progress; then the count begins anew."""
        progress = self.progress
        epoch = round(progress.step / self.text.train.windows_per_epoch, 3)
        self._emit("step", **progress.means.read(), symbols_per_s=self.speed.read(), lr=rate, epoch=epoch)
        progress.means = Means()

    def _compile(self) -> None:
        """Run every kernel once and drop the results, so that a first run shows why it is slow to start."""
        known, started = len(cached_files()), time.perf_counter()
        self._emit("compiling")
        window = self.text.train.window(0)
        self.model.loss(window.inputs, window.targets)
        self.model.loss_and_grad(window.inputs, window.targets, noise=(self.config.seed, 0))
        grad, _, _ = self.clip.apply(self.model.grad)
        self.optimizer.apply(self.model.theta, grad, self.progress.slots, 1, 0.0)
        self._emit("compiled", seconds=time.perf_counter() - started, fresh=len(cached_files()) > known)
        self.speed.restart()

    def _due(self, every: int | None) -> bool:
        return bool(every) and self.progress.step % (every or 1) == 0

    def _reason(self, interruption: Interruption) -> str | None:
        """Why training ends here, if it does."""
        if interruption.signal is not None:
            return "interrupted"
        if self.config.patience and self.progress.stale >= self.config.patience:
            return "no improvement"
        return "finished" if self.progress.step >= (self.config.steps or 0) else None

    def _validate(self) -> bool:
        """Measure the validation loss; whether it is the best so far."""
        progress, score = self.progress, evaluate(self.model, self.text.valid)
        part = "validation" if self.text.has_validation else "training text"
        if not math.isfinite(score.nats):
            self._diverged(f"the {part} loss is {score.nats}", score.nats)
        improved = progress.best is None or score.nats < progress.best
        if improved:
            progress.best, progress.best_step = score.nats, progress.step
        progress.stale = 0 if improved else progress.stale + 1
        progress.schedule = self.schedule.observe(progress.schedule, score.nats)
        self._emit("eval", part=part, loss=score.nats, bits=score.bits, best=improved)
        return improved

    def _sample(self) -> None:
        self._emit("sample", text=self.model.sample("", self.config.sample_length, seed=self.config.seed))

    def _save(self, best: bool) -> None:
        """Write a checkpoint; one from which no run could go on is not written."""
        checkpoint = self.progress.to_checkpoint(self.model, self.config, self.text.facts())
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
