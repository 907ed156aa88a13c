"""Automatic settings of a run: batch size, learning rate and schedule (``zoo train --auto``).

The batch size and the schedule follow rules. The learning rate follows from trials: short runs with the
settings of the run, from the same initial values and on the same batches, each at another rate. A trial has a
warm-up and a cosine of its own. No clock takes part, so the choice depends on the settings, the data and the
seed alone.

The rate with the lowest loss after 100 updates is too high for a run of thousands. So the smallest rate
counts whose trial made 70 % of the progress of the best trial, beyond the loss without memory. For example, a
GRU with 128 units on a text had the lowest loss at 0.02 after 100 updates, and at 0.01 after 2,400.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.distributed.collectives import ProcessGroup
from zoo.errors import DivergenceError
from zoo.training.config import AUTO_SCHEDULE, Config
from zoo.training.rate_search import (
    choose_learning_rate,
    is_on_plateau,
    longest_trials,
    next_trials,
    progress,
)
from zoo.training.run_factory import RunFactory, join_process_group
from zoo.training.state import TrainingState
from zoo.training.task_dataset import TaskDataset
from zoo.training.trainer import Event, Trainer

BATCH_SIZE = 16
"""Batch size of texts and tasks. With two threads a symbol takes as long as in larger batches, and twice as
long in smaller ones (docs/benchmarks.md). More updates for the same symbols reach a loss in less time: a GRU
with 128 units reached 1.66 nats after 2 million symbols of a text in batches of 16, and 1.71 in batches of
32."""

WARMUP = 0.1
"""Share of the updates for the warm-up."""

GRID = (5.0, 10.0, 20.0)
"""First learning rates, as multiples of the optimizer's default."""

# The rates are for the units of the model. With `base_hidden=128` in wider models, the losses on tiny
# Shakespeare were (seed 0; without it in parentheses): 2,400 updates of 256 units, vanilla 1.699 (1.750),
# gru 1.549 (1.583), lstm 1.562 (1.540); 1,500 updates of 512 units, vanilla 1.725 (1.946), gru 1.571
# (1.568), lstm 1.610 (1.528). No choice is best for all, so the user decides.

TRIAL_UPDATES = 100
"""Updates of a trial. After 50 updates a GRU with 128 units preferred 0.08, where 0.01 is best in a run."""

MIN_RUN_LENGTH = 10
"""Least length of a run on a text or a task, as a multiple of the length of a trial: shorter runs have
shorter trials.

Trials on a table or labelled sequences have 100 updates, or the length of the run, and their validation loss
counts. In runs of 30 to 200 updates on five small data sets (digits, 200 of them, sunspots, co2, elnino), the
validation loss was 1.08 times the lowest of nine rates, in the geometric mean. With shorter trials and losses
of training it was 1.77 times the lowest."""

ROUNDS = 2
"""Rounds that may follow the trials of the grid; see `zoo.training.rate_search`."""

MIN_SHARE = 0.7
"""Share of the progress of the best trial that the chosen rate must make."""

MAX_RATIO = 1.1
"""Largest ratio of the loss of the chosen trial to the lowest, where the loss without memory is unknown, as
in a table. Measured from the first loss, a rate of 0.00125 made 81 % of the progress of a GRU on a table. In
a run of 1,000 updates 0.01 was best, and the ratio chooses it."""

PLATEAU_PROGRESS = 0.1
"""Progress from which a trial has left the plateau of a task. The best constant has a squared error of 0.151
instead of 0.167 on the 256 examples of 16 batches of `adding`, so that with less progress, or fewer batches,
every trial seems to have learned."""

EVAL_BATCHES = 64
"""Least number of batches in the validation of a trial on a task."""


@dataclass(frozen=True)
class AutoTrial:
    """A short run at one learning rate; `zoo.training.rate_search.RateTrial` describes the attributes.

    ``loss`` is the mean over the last quarter of the updates, which costs no validation. For a table and
    labelled sequences it is the validation loss, because small data are soon memorised. It is the
    score too, if the data have no other.
    """

    lr: float
    steps: int
    loss: float | None = None
    score: float | None = None
    baseline: float | None = None
    solved: bool = False
    threshold: float | None = None
    higher_is_better: bool = False
    examples: int | None = None

    @property
    def status(self) -> str:
        """``"finished"`` or ``"diverged"``."""
        return "finished" if self.loss is not None else "diverged"

    def to_json(self) -> dict[str, float | int | None]:
        """The rate, the updates and the loss, for the log; the loss is None if training diverged."""
        return {"lr": self.lr, "steps": self.steps, "loss": self.loss}


def with_rules(config: Config, *, has_schedule: bool) -> Config:
    """The configuration with the batch size and the schedule that rules choose, if they are not given.

    Args:
        config: The configuration of a new run, before its data are prepared.
        has_schedule: Whether a schedule was given.
    """
    if config.batch is None and config.data_kind in ("text", "task"):
        config = dataclasses.replace(config, batch=BATCH_SIZE)
    if not has_schedule:
        options = {"warmup": WARMUP, **config.schedule_options}
        config = dataclasses.replace(config, schedule=AUTO_SCHEDULE, schedule_options=options)
    return config


def search_learning_rate(
    config: Config, factory: RunFactory, process_group: ProcessGroup, *, has_schedule: bool
) -> tuple[float, list[AutoTrial]]:
    """Choose a learning rate by trials.

    Args:
        config: The resolved configuration.
        factory: Makes the parts of each trial.
        process_group: The processes of the run.
        has_schedule: Whether a schedule was given: a trial is then the beginning of the run.

    Returns:
        The rate, and the trials.

    Raises:
        ZooError: if a component fails.
    """
    default, total = float(factory.optimizer.options["lr"]), config.steps or 1
    grid = [float(f"{factor * default:.6g}") for factor in GRID]
    most = total if config.data_kind in ("table", "sequences") else max(1, total // MIN_RUN_LENGTH)
    trials = list[AutoTrial]()

    def trial_updates(doublings: int) -> int:
        return min(most, TRIAL_UPDATES << doublings)

    if isinstance(dataset := factory.dataset, TaskDataset):
        dataset = dataclasses.replace(dataset, batches=max(dataset.batches, EVAL_BATCHES))
        factory = dataclasses.replace(factory, dataset=dataset)
    while runs := next_trials(grid, trial_updates, ROUNDS, trials, smallest_good_rate, PLATEAU_PROGRESS):
        steps, rates = runs
        base = config  # with a given schedule, a trial is the beginning of the run
        if not has_schedule:
            base = dataclasses.replace(config, steps=steps, schedule_options={"warmup": WARMUP})
        for rate in rates:
            trial_config = dataclasses.replace(base, lr=rate)
            trials.append(_run_trial(trial_config, steps, factory, process_group))
    return smallest_good_rate(longest_trials(trials), grid), trials


def smallest_good_rate(trials: Sequence[AutoTrial], rates: Sequence[float]) -> float:
    """The smallest rate whose trial is nearly as good as the best one; see `MIN_SHARE` and `MAX_RATIO`.

    On a plateau it is the rate with the lowest loss.

    Args:
        trials: Trials of one length.
        rates: Their rates, in ascending order.
    """
    finished = [trial for trial in trials if trial.status == "finished"]
    losses = {trial.lr: trial.loss or 0.0 for trial in finished}
    if not losses or is_on_plateau(trials, PLATEAU_PROGRESS):
        return choose_learning_rate(trials, rates)
    lowest = min(losses.values())
    if any(trial.baseline is None for trial in finished):
        return min(rate for rate, loss in losses.items() if loss <= max(lowest, MAX_RATIO * lowest))
    made = {trial.lr: progress(trial) for trial in finished}
    return min(rate for rate, share in made.items() if share >= MIN_SHARE * max(made.values()))


def _ignore(event: Event) -> None:
    """No log: the results are in the trial."""


def _run_trial(config: Config, steps: int, factory: RunFactory, process_group: ProcessGroup) -> AutoTrial:
    dataset, (model, optimizer, schedule, hooks) = factory.dataset, factory.make(config)
    join_process_group(model, config, process_group)
    state = TrainingState(optimizer.init(model.theta), schedule.init())
    trainer = Trainer(
        config, dataset, model, optimizer, schedule, state, None, process_group, _ignore, hooks=hooks
    )
    try:
        losses = trainer.run_trial(steps)
    except DivergenceError:
        return AutoTrial(config.lr or 0.0, steps)
    loss = float(np.mean(losses[-max(1, steps // 4) :]))
    trial = AutoTrial(config.lr or 0.0, steps, loss)
    metadata, baseline = dataset.metadata(), dataset.memoryless_loss()
    if baseline is not None:
        return dataclasses.replace(trial, score=loss, baseline=baseline)
    result = dataset.evaluate(model)
    if metadata.get("baseline") is None:
        is_finite = math.isfinite(result.loss)
        return AutoTrial(trial.lr, steps, *(result.loss, result.loss) if is_finite else ())
    return dataclasses.replace(
        trial,
        score=result.metrics["score"],
        solved=result.solved,
        examples=dataset.batches * dataset.batch_size if isinstance(dataset, TaskDataset) else None,
        **{name: metadata[name] for name in ("baseline", "threshold", "higher_is_better")},
    )
