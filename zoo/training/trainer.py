"""The training loop: updates, validations, samples and checkpoints."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from zoo.base.metric import metric_text
from zoo.base.param_groups import AnyOptimizer
from zoo.compiler.compiler_process import LOGGER
from zoo.compiler.second_compiler import PreviewEnd, second_compiler
from zoo.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from zoo.errors import DivergenceError
from zoo.kernels.cache_dir import WRITTEN
from zoo.model import AnyModel
from zoo.model.compiled_step import INTERPRETED_SHARDS
from zoo.storage import Checkpoint, RunDirectory
from zoo.training.aux_notes import long_gap_note
from zoo.training.clipping import Clip
from zoo.training.config import Config
from zoo.training.dataset import Dataset, State
from zoo.training.metrics import RunningMeans, Speed
from zoo.training.preview import SmallBatches
from zoo.training.regularisation import ParameterHooks
from zoo.training.schedules import Schedule
from zoo.training.signals import StopRequest
from zoo.training.state import TrainingState

Event = dict[str, Any]
Analyse = Callable[["Trainer"], Mapping[str, Any]]
"""Computes the entries of an ``analysis`` event."""

_WARN_NATS = 1.0
"""Warn if the loss is above that of equal probabilities by more: only divergence or overfitting reaches it.

A multiple of that loss would be too near to it for two classes, where it is 0.69.
"""

_BAD_SCORE_FACTOR = 1.5
"""Warn at the end of a run if the score is worse than the memoryless baseline by this factor."""

_MIN_STEPS_TO_WARN = 100
"""A shorter run is a trial, and its score says little."""


NO_DERIVATIVE = (
    "a branch of np.where that is not selected may have no derivative; clamp its argument, for example "
    "np.where(a > 0, np.sqrt(np.maximum(a, 1e-12)), 0.0)"
)

EQUATIONS_ADVICE = (
    "the parameters are still the initial ones, so look for states that grow with every time step, a "
    "logarithm or a division in the equations of the cell, or very large inputs"
)


class Trainer:
    """The training loop of one run.

    Args:
        config: The resolved configuration.
        dataset: The text or task.
        model: The model; its parameters are updated in place.
        optimizer: The optimizer.
        schedule: The schedule of the learning rate.
        state: The training state.
        directory: The run directory, for checkpoints; None to write none.
        process_group: The processes of this run.
        emit: Called with every event: a dictionary with ``event`` and ``step``.
        analyse: Called with the trainer every ``analyse_every`` steps, after the step and before a
            validation. It may run the model but must not change parameters. Its results become the event
            ``analysis``.
        hooks: Constraints and penalties; None for a run without them.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        model: AnyModel,
        optimizer: AnyOptimizer,
        schedule: Schedule,
        state: TrainingState,
        directory: RunDirectory | None,
        process_group: ProcessGroup,
        emit: Callable[[Event], None],
        analyse: Analyse | None = None,
        hooks: ParameterHooks | None = None,
    ) -> None:
        self.config, self.dataset, self.model = config, dataset, model
        self.optimizer, self.schedule, self.state = optimizer, schedule, state
        self.directory, self.process_group, self.emit, self.analyse = directory, process_group, emit, analyse
        self.hooks = hooks
        self.clip = Clip(norm=config.clip or None, value=config.clip_value or None)
        self.lr = float(config.lr if config.lr is not None else optimizer.options["lr"])
        self.speed = Speed()
        self.last_eval: Event | None = None  # of the log, in a resumed run

    def run(self, request: StopRequest) -> str:
        """Train to the end, or until a signal or early stopping, and return the reason of the end.

        Raises:
            ZooError: if training diverges.
            CheckpointError: if a checkpoint or the log cannot be written.
        """
        with self._active_hooks():
            return self._run(request)

    def run_trial(self, updates: int) -> list[float]:
        """Make updates without validations, samples and checkpoints, and return the losses.

        Raises:
            ZooError: if training diverges.
        """
        with self._active_hooks():
            self.compile_kernels()
            return [self.step() for _ in range(updates)]

    @contextlib.contextmanager
    def _active_hooks(self) -> Iterator[None]:
        """Within the block, constraints and penalties apply.

        NumPy does not warn of values that overflow, which the trainer reports.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if self.hooks is None:
                yield
                return
            if self.state.step == 0:
                self.hooks.start()
            with self.hooks.active():
                yield

    def _run(self, request: StopRequest) -> str:
        reason = self.stop_reason(request)
        if reason is None:
            self.compile_kernels()
            if self.config.init_from is not None and self.state.step == 0:
                self._save(False, {})  # a resumed run then needs neither the parameters nor the vocabulary
        while reason is None:
            self.step()
            if self.analyse is not None and self._is_due(self.config.analyse_every):
                self._emit("analysis", **self.analyse(self))
            validate = self._is_due(self.config.eval_every) or self.state.step == self.config.steps
            improved, arrays = self._validate() if validate else (False, {})
            reason = self.stop_reason(request)
            if self._is_due(self.config.sample_every):
                self._sample()
            if validate or reason or self._is_due(self.config.save_every):
                self._save(improved, arrays)
            self.speed.restart()
        return reason

    def step(self) -> float:
        """One update; returns the loss before it.

        Raises:
            ZooError: if the loss or its gradient is NaN or infinite.
        """
        state = self.state
        noise = self.config.seed, state.step
        loss, state.carried_states, token_count = self.dataset.loss_and_grad(
            self.model, state.step, state.carried_states, noise
        )
        penalty = None if self.hooks is None else self.hooks.add_gradients()
        grad, norm, clipped, clipped_norm = self.clip.apply(self.model.grad)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._diverged(f"the loss is {loss} and the norm of its gradient {norm}", loss, norm)
        state.step += 1
        rate = self.lr * self.schedule.factor(state.schedule, state.step)
        state.optimizer_state = self.optimizer.apply_in_place(
            self.model.theta, grad, state.optimizer_state, state.step, rate
        )
        if self.hooks is not None:
            self.hooks.project()
        state.clipped += clipped
        state.means = state.means.add(loss, norm, clipped, clipped_norm, penalty)
        self.speed.add(token_count)
        if self._is_due(self.config.log_every) or state.step == self.config.steps:
            self._log(rate)
        return loss

    def _log(self, rate: float) -> None:
        """Emit a progress line and reset its means."""
        state, means = self.state, self.state.means.mean()
        extra = self.dataset.extra_metrics(state.step, means["loss"])
        self._emit("step", **means, **extra, **self.speed.read(), lr=rate)
        state.means = RunningMeans()
        self.process_group.check_equal(self.model.theta, "parameters")

    def compile_kernels(self, *, wait: bool = False) -> None:
        """Run every kernel once, drop the results, and emit how long compilation took.

        Args:
            wait: Also wait for the compiled training step; otherwise, another process compiles it while
                training begins.
        """
        written, started = len(WRITTEN), time.perf_counter()
        self._emit("compiling")
        with (
            self.process_group.one_per_node_first(),
            self._without_other_ranks(),
            second_compiler(self._preview, self.model.threads),
        ):
            self._run_once(wait)
        self._emit("compiled", seconds=time.perf_counter() - started, fresh=len(WRITTEN) > written)
        self.speed.restart()

    @contextlib.contextmanager
    def _without_other_ranks(self) -> Iterator[None]:
        """Within the block, compute the model in this process alone: the other ranks may be waiting."""
        group, self.model.process_group = self.model.process_group, SINGLE_PROCESS
        try:
            yield
        finally:
            self.model.process_group = group

    def _run_once(self, wait: bool) -> None:
        """Run a step and a validation once."""
        self.dataset.compile_kernels(self.model)
        self.dataset.loss_and_grad(self.model, 0, None, (self.config.seed, 0))
        if self._will_compile_step():
            # With `wait=False`, each rank would start a process.
            self.model.compile_training_step(wait=wait or self.process_group.size > 1)
            self.dataset.loss_and_grad(self.model, 0, None, (self.config.seed, 0))
        grad = self.clip.apply(self.model.grad).grad
        self.optimizer.apply(self.model.theta, grad, self.state.optimizer_state, 1, 0.0)

    def _will_compile_step(self) -> bool:
        """Whether the remaining updates have so many shards that the model compiles its training step.

        Another process then begins with it before the first update, or this one compiles it: the time of a
        later update would include 4.9 s for a GRU.
        """
        updates = (self.config.steps or 0) - self.state.step
        shards = self.process_group.local_shards(self.dataset.batch_size)
        return updates * len(shards) >= INTERPRETED_SHARDS

    def _preview(self) -> None:
        """Call the kernels of `_run_once`, for one time step of one sequence and one parameter."""
        model: Any = SmallBatches(self.model)
        try:
            self.dataset.compile_kernels(model)
        except PreviewEnd:  # the kernels of an update may be missing all the same
            pass
        except Exception:  # a validation that needs whole sequences
            LOGGER.debug("the preview has no validation", exc_info=True)
        # A penalty with a state would compute something else afterwards, and small batches have no influence.
        if self.model.activity_penalty is None and self.config.gradient == "bptt":
            self.dataset.loss_and_grad(model, 0, None, (self.config.seed, 0))
        theta, grad = self.model.theta[:1], self.clip.apply(self.model.grad[:1]).grad
        self.optimizer.apply(theta, grad, self.optimizer.init(theta), 1, 0.0)

    def _is_due(self, every: int | None) -> bool:
        return bool(every) and self.state.step % (every or 1) == 0

    def stop_reason(self, request: StopRequest) -> str | None:
        """The reason to end training here, if there is one; a signal to one rank stops all ranks."""
        # `request` is written only if a rank received a signal: one that arrives during the reduction is then
        # kept, and stops the next step.
        if number := self.process_group.all_reduce_max(request.signal or 0):
            request.signal = number
            return "interrupted"
        if self.config.patience and self.state.evals_since_best >= self.config.patience:
            return "no improvement"
        if self.config.stop_when_solved and self.state.solved:
            return "solved"
        return "finished" if self.state.step >= (self.config.steps or 0) else None

    def _validate(self) -> tuple[bool, State]:
        """Evaluate the model on the validation examples.

        Returns:
            Whether it is the best so far, and arrays for its checkpoint.
        """
        state, result = self.state, self.dataset.evaluate(self.model)
        part, loss = self.dataset.eval_split_name, result.loss
        if not math.isfinite(loss):
            self._diverged(f"the {part} loss is {loss}", loss)
        criterion = loss if result.criterion is None else result.criterion
        improved = state.improves(criterion, result.solved)
        if improved:
            state.best, state.criterion = loss, criterion
            state.best_step, state.solved = state.step, result.solved
        state.evals_since_best = 0 if improved else state.evals_since_best + 1
        state.schedule = self.schedule.observe(state.schedule, loss)
        known = self._loss_warning()
        self._emit("eval", part=part, loss=loss, **result.metrics, best=improved)
        self.last_eval = {"part": part, "loss": loss, **result.metrics}
        warning = self._loss_warning()
        if warning is not None and known is None:  # the end of the run repeats it
            self._emit("warning", text=warning)
        return improved, result.arrays

    def _loss_warning(self) -> str | None:
        """A warning if the last loss is far above that of equal probabilities."""
        uniform_loss = self.dataset.uniform_loss(self.model)
        if self.last_eval is None or uniform_loss is None:
            return None
        part, loss = self.last_eval["part"], self.last_eval["loss"]
        noun = "classes" if self.dataset.kind == "sequences" else "symbols"
        if loss <= uniform_loss + _WARN_NATS:
            return None
        return (
            f"the {part} loss {loss:.4g} is far above {uniform_loss:.4g}, the loss of a model that "
            f"gives each of the {self.model.output_size} {noun} the same probability; lower `lr` (now "
            f"{self.lr:g}), or stop earlier."
        )

    def score_warning(self) -> str | None:
        """A warning if the last loss, or the last score of a task, is far worse than without a model."""
        if (warning := self._loss_warning()) is not None:
            return warning
        task = self.dataset.metadata()
        baseline, score = task.get("baseline"), (self.last_eval or {}).get("score")
        if baseline is None or score is None or self.state.step < _MIN_STEPS_TO_WARN:
            return None
        worse, better = (baseline, score) if task["higher_is_better"] else (score, baseline)
        if worse <= _BAD_SCORE_FACTOR * max(better, 0.0):
            return None
        return (
            f"the validation {metric_text(task['metric'])} {score:.4g} is far worse than "
            f"{baseline:.4g}, the score without memory; train longer, or change `lr` (now {self.lr:g}) or "
            f"`hidden`."
        )

    def _sample(self) -> None:
        text = self.dataset.sample(self.model, self.config.sample_length, self.config.seed)
        if text is not None:
            self._emit("sample", text=text)

    def _save(self, best: bool, evaluation_arrays: State) -> None:
        """Write a checkpoint, unless a parameter is NaN or infinite."""
        if self.directory is None:
            return
        state, group = self.state, self.model.process_group
        if state.carried_states is not None:
            state.carried_states = group.all_gather_states(state.carried_states, self.dataset.batch_size)
        dataset = {self.dataset.kind: self.dataset.metadata()}
        checkpoint = state.to_checkpoint(self.model, self.config, dataset)
        for name, array in checkpoint.arrays.items():
            if not np.isfinite(array).all():
                self._diverged(f"{name} holds values that are NaN or infinite")
        checkpoint = Checkpoint({**checkpoint.arrays, **evaluation_arrays}, checkpoint.meta)
        self.directory.save(state.step, checkpoint, best=best, keep=self.config.keep)

    def _diverged(self, what: str, loss: float | None = None, norm: float | None = None) -> NoReturn:
        self._emit("diverged", loss=loss, grad_norm=norm)
        saved = f" {self.directory.path} keeps what was saved before." if self.directory else ""
        advice = f"lower `lr` (now {self.lr:g}) or `clip` (now {self.config.clip:g})"
        if note := long_gap_note(self.model.stack, self.dataset.metadata()):
            advice = note if self.state.step == 0 else f"{advice}; or {note}"
        elif self.state.step == 0 and loss is not None:  # the learning rate has no part in it
            # From the root of the largest float on, the gradient of a squared error overflows. A loss of NaN
            # is not below it.
            can_overflow = not abs(loss) < float(np.finfo(self.model.dtype).max) ** 0.5
            advice = EQUATIONS_ADVICE if can_overflow or not math.isnan(norm or 0.0) else NO_DERIVATIVE
        raise DivergenceError(f"after {self.state.step} steps {what}; {advice}", saved)

    def _emit(self, event: str, **entries: Any) -> None:
        self.emit({"event": event, "step": self.state.step, **entries})
