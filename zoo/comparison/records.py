"""Records of a comparison: runs, and rows over their seeds, targets and tasks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

BoundedFloat = float
"""A finite number of at most `zoo.storage.record_schema.MAX_BOUNDED_FLOAT`."""


class RunGroup(NamedTuple):
    """The runs of a cell on a task at one size, which differ in the learning rate and the seed only.

    Args:
        task: Label of the task.
        cell: Label of the cell.
        size: A budget of parameters, or the hidden units of all cells; 0 if the results lack it.
    """

    task: str
    cell: str
    size: int


@dataclass(frozen=True)
class RunRecord:
    """One run. None stands for a value that a failed run lacks.

    Attributes:
        task: Label of the task.
        cell: Label of the cell.
        seed: The seed.
        lr: Learning rate.
        hidden: ``H``.
        steps: Updates.
        parameters: ``P``.
        score: Value of the metric on the test split, for the model with the best validation.
        loss: The loss of this model.
        valid_score: Its score in validation.
        metric: Name of the metric.
        higher_is_better: Direction of the metric.
        threshold: The score that counts as solved.
        baseline: Score of the memoryless baseline.
        solved: Whether the threshold was reached.
        seconds: Training time.
        steps_to_threshold: Updates until a validation first reached the threshold.
        seconds_to_threshold: Training time until then.
        symbols_per_s: Speed.
        status: ``"finished"``, ``"diverged"`` or ``"failed"``.
        error: Reason why the run did not finish; empty if it did.
        path: Run directory within the directory of the comparison.
        gain: Of a data set, the share by which ``score`` is lower than ``baseline``, or the difference of the
            accuracies. ``gain_low`` and ``gain_high`` are its 95 % interval over the test part.
        examples: Of a task, the number of examples that ``score`` is a mean of; None if unknown.
        size: The size of the comparison: a budget of parameters, or the hidden units of all cells.
    """

    task: str
    cell: str
    seed: int | None
    lr: float | None
    hidden: int | None
    steps: int | None
    parameters: int
    score: BoundedFloat | None
    loss: BoundedFloat | None
    valid_score: float | None
    metric: str
    higher_is_better: bool
    threshold: float | None
    baseline: float | None
    solved: bool
    seconds: BoundedFloat
    steps_to_threshold: int | None
    seconds_to_threshold: BoundedFloat | None
    symbols_per_s: BoundedFloat | None
    status: str
    error: str
    path: str
    gain: BoundedFloat | None = None
    gain_low: BoundedFloat | None = None
    gain_high: BoundedFloat | None = None
    examples: int | None = None
    size: int | None = None

    @property
    def group(self) -> RunGroup:
        """The runs to which it belongs."""
        return RunGroup(self.task, self.cell, self.size or 0)


@dataclass(frozen=True)
class SummaryRow:
    """A cell on a task at one size over its seeds: statistics of the score, and means of times.

    ``spread`` is the standard deviation, ``low`` and ``high`` bound the 95 % interval of the mean,
    ``unscored`` counts the runs without a score. ``gain`` is the mean of the runs, and its interval covers
    the test part and the seeds. ``difference`` is the mean over the seeds of the score less the score of the
    reference cell with the same seed, if the comparison has one. Its interval is None for fewer than two
    seeds.
    """

    task: str
    cell: str
    parameters: int
    hidden: int
    lr: float | None
    steps: int | None
    metric: str
    mean: BoundedFloat | None
    spread: BoundedFloat | None
    low: BoundedFloat | None
    high: BoundedFloat | None
    best: BoundedFloat | None
    worst: BoundedFloat | None
    rank: BoundedFloat
    solved: int
    seeds: int
    unscored: int
    seconds: BoundedFloat | None
    steps_to_threshold: BoundedFloat | None
    seconds_to_threshold: BoundedFloat | None
    symbols_per_s: BoundedFloat | None
    gain: BoundedFloat | None = None
    gain_low: BoundedFloat | None = None
    gain_high: BoundedFloat | None = None
    difference: BoundedFloat | None = None
    difference_low: BoundedFloat | None = None
    difference_high: BoundedFloat | None = None
    size: int | None = None

    @property
    def group(self) -> RunGroup:
        """Its runs."""
        return RunGroup(self.task, self.cell, self.size or 0)


@dataclass(frozen=True)
class TargetRow:
    """A cell at one size on one target of a data set of several targets: means over its finished runs.

    ``best_baseline`` is the best baseline of this target, and ``baseline`` its score.
    """

    task: str
    cell: str
    target: str
    metric: str
    mean: BoundedFloat | None
    best_baseline: str
    baseline: BoundedFloat | None
    gain: BoundedFloat | None
    gain_low: BoundedFloat | None
    gain_high: BoundedFloat | None
    size: int | None = None

    @property
    def group(self) -> RunGroup:
        """The runs to which it belongs."""
        return RunGroup(self.task, self.cell, self.size or 0)


@dataclass(frozen=True)
class OverallRow:
    """A cell at one size over all tasks: its mean rank, the 95 % interval of the rank, and totals.

    ``rank_gap`` is the mean rank less the best mean rank of the other cells, so it is negative for the best
    cell. ``rank_difference`` is the mean rank less the one of the reference cell, if the comparison has one.
    The interval of either, for example ``rank_gap_low`` to ``rank_gap_high``, is None if there are too few
    tasks for a verdict.
    """

    cell: str
    rank: BoundedFloat | None
    low: BoundedFloat | None
    high: BoundedFloat | None
    tasks: int
    solved: int
    solvable: int
    runs: int
    seconds: BoundedFloat
    rank_gap: BoundedFloat | None = None
    rank_gap_low: BoundedFloat | None = None
    rank_gap_high: BoundedFloat | None = None
    rank_difference: BoundedFloat | None = None
    rank_difference_low: BoundedFloat | None = None
    rank_difference_high: BoundedFloat | None = None
    size: int | None = None


def schema_of(kind: type[Any]) -> dict[str, str]:
    """The schema of a record, see `zoo.storage.record_schema`."""
    return {
        field.name: str(field.type).replace("BoundedFloat", "bounded_float")
        for field in dataclasses.fields(kind)
    }
