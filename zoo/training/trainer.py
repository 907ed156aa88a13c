"""The training loop: truncated back-propagation through time over contiguous streams."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from zoo.contracts import Optimizer
from zoo.errors import ZooError
from zoo.kernels.directory import cached_files
from zoo.model import LanguageModel
from zoo.storage import RunDirectory
from zoo.training.clipping import Clip
from zoo.training.config import Config
from zoo.training.evaluation import Score, evaluate
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
        self.meter = Meter()

    def run(self, interruption: Interruption) -> str:
        """Train to the end, or until a signal, early stopping or divergence; why it ended.

        Raises:
            ZooError: if the loss is no longer a number.
            CheckpointError: if a checkpoint cannot be written.
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
        return reason

    def step(self) -> None:
        """One update.

        Raises:
            ZooError: if the loss is no longer a number.
        """
        progress = self.progress
        window = self.text.train.window(progress.step)
        carried = None if window.is_first_of_epoch else progress.carried
        loss, progress.carried = self.model.loss_and_grad(window.inputs, window.targets, carried)
        grad, norm, clipped = self.clip.apply(self.model.grad)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._diverged(loss, norm)
        progress.step += 1
        rate = self.lr * self.schedule.factor(progress.schedule, progress.step)
        self.model.theta[:], progress.slots = self.optimizer.apply(
            self.model.theta, grad, progress.slots, progress.step, rate
        )
        progress.clipped += clipped
        self.meter.add(loss, norm, clipped, window.targets.size)
        if self._due(self.config.log_every) or progress.step == self.config.steps:
            epoch = progress.step / self.text.train.windows_per_epoch
            self._emit("step", **self.meter.read(), lr=rate, epoch=round(epoch, 3))

    def _compile(self) -> None:
        """Compute one gradient and drop it, so that compiling shows as compiling and not as a slow first step."""
        known, started = len(cached_files()), time.perf_counter()
        self._emit("compiling")
        window = self.text.train.window(0)
        self.model.loss_and_grad(window.inputs, window.targets)
        grad, _, _ = self.clip.apply(self.model.grad)
        self.optimizer.apply(self.model.theta, grad, self.progress.slots, 1, 0.0)
        self._emit("compiled", seconds=time.perf_counter() - started, fresh=len(cached_files()) > known)
        self.meter.restart()

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
        improved = progress.best is None or score.nats < progress.best
        if improved:
            progress.best, progress.best_step = score.nats, progress.step
        progress.stale = 0 if improved else progress.stale + 1
        progress.schedule = self.schedule.observe(progress.schedule, score.nats)
        part = "validation" if self.text.has_validation else "training text"
        self._emit("eval", part=part, loss=score.nats, bits=score.bits, best=improved)
        self.meter.restart()
        return improved

    def _sample(self) -> None:
        text = self.model.sample("", self.config.sample_length, "temperature", seed=self.config.seed)
        self._emit("sample", text=text)
        self.meter.restart()

    def _save(self, best: bool) -> None:
        checkpoint = self.progress.to_checkpoint(self.model, self.config, self.text.facts())
        self.directory.save(self.progress.step, checkpoint, best=best, keep=self.config.keep)

    def _diverged(self, loss: float, norm: float) -> None:
        self._emit("diverged", loss=loss, grad_norm=norm)
        raise ZooError(
            f"training diverged: after {self.progress.step} steps the loss is {loss} and the norm of its gradient {norm}; "
            f"lower --lr (now {self.lr:g}) or --clip (now {self.config.clip:g})."
        )

    def _emit(self, event: str, **facts: Any) -> None:
        self.emit({"event": event, "step": self.progress.step, **facts})


class Meter:
    """Means over the steps since the last line, and the speed; the clock stops while something else is done."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.clipped = 0
        self.symbols = 0
        self.seconds = 0.0
        self.mark = time.perf_counter()

    def add(self, loss: float, norm: float, clipped: bool, symbols: int) -> None:
        """Count one step."""
        self.losses.append(loss)
        self.norms.append(norm)
        self.clipped += clipped
        self.symbols += symbols
        self.seconds += time.perf_counter() - self.mark
        self.restart()

    def restart(self) -> None:
        """Start the clock again, after a validation or a sample."""
        self.mark = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Loss in nats and bits a symbol, gradient norm before clipping, share of steps clipped, symbols a second."""
        count = len(self.losses)
        loss = math.fsum(self.losses) / count
        facts = {
            "loss": loss,
            "bits": Score(loss, self.symbols).bits,
            "grad_norm": math.fsum(self.norms) / count,
            "clip_rate": self.clipped / count,
            "symbols_per_s": self.symbols / max(self.seconds, 1e-9),
        }
        self.__init__()  # type: ignore[misc]  # a new count begins
        return facts
