"""The search for a learning rate: short runs at each rate of a grid, continued while they do not decide.

A search that ends on a plateau decides by chance, and a rate at the edge of the grid may be far from the
best. So a round first doubles the length of the runs while no rate is better than the memoryless baseline,
and then adds a rate beyond the grid while the best rate is at its edge. ``zoo compare`` searches like
this for each pair of a task and a cell, and ``zoo train --auto`` for one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

MIN_PROGRESS = 0.05
"""Least progress of a run that has left the plateau: a share of the distance from baseline to threshold."""

CHANCE_ERRORS = 3.0
"""Standard errors that a score must be better than the baseline. With :data:`MIN_PROGRESS` alone, 57 of 154
pairs of a model and ``parity`` seemed decided, although no compared run was above 0.55: one of 512 sequences
has a standard error of 0.022, and the share alone asks for 0.020."""

Runs = tuple[int, tuple[float, ...]]
"""The number of updates, and learning rates."""


class RateTrial(Protocol):
    """A short run at one learning rate."""

    @property
    def lr(self) -> float | None:
        """Learning rate."""

    @property
    def steps(self) -> int | None:
        """Updates."""

    @property
    def status(self) -> str:
        """``"finished"``, ``"diverged"`` or ``"failed"``."""

    @property
    def loss(self) -> float | None:
        """The loss; None if the run did not finish."""

    @property
    def solved(self) -> bool:
        """Whether the threshold was reached."""

    @property
    def score(self) -> float | None:
        """Value of the metric."""

    @property
    def baseline(self) -> float | None:
        """Score of the memoryless baseline."""

    @property
    def threshold(self) -> float | None:
        """The score that counts as solved."""

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""

    @property
    def examples(self) -> int | None:
        """Examples that the score is a mean of; None if unknown."""


AnyTrial = TypeVar("AnyTrial", bound=RateTrial)


def next_trials(
    grid: Sequence[float],
    run_steps: Callable[[int], int],
    rounds: int,
    trials: Sequence[AnyTrial],
    choose: Callable[[Sequence[AnyTrial], Sequence[float]], float],
    min_progress: float = MIN_PROGRESS,
) -> Runs | None:
    """The next runs of a search; None if it has decided, or its rounds are over.

    Args:
        grid: Learning rates, in ascending order.
        run_steps: From a number of doublings to the updates of a run, which stop growing at some length.
        rounds: Rounds that may follow the runs of the grid.
        trials: The runs so far.
        choose: Chooses a rate, from runs of one length and their rates, such as
            :func:`choose_learning_rate`.
        min_progress: As for :func:`is_on_plateau`.
    """
    if len(grid) < 2:
        return None
    rates, doublings = tuple(grid), 0
    for done in range(rounds + 1):
        steps = run_steps(doublings)
        current = [trial for trial in trials if trial.steps == steps and trial.lr in rates]
        if missing := tuple(rate for rate in rates if rate not in {trial.lr for trial in current}):
            return steps, missing
        if done == rounds:
            return None
        if is_on_plateau(current, min_progress) and steps < run_steps(doublings + 1):
            doublings += 1
        elif beyond := rate_beyond(rates, choose(current, rates)):
            rates = tuple(sorted((*rates, beyond)))
        else:
            return None
    return None


def longest_trials(trials: Sequence[AnyTrial]) -> list[AnyTrial]:
    """The longest runs of a search; the others ended on a plateau."""
    most = max((trial.steps or 0 for trial in trials), default=0)
    return [trial for trial in trials if (trial.steps or 0) == most]


def worse_trials(trials: Sequence[AnyTrial]) -> list[AnyTrial]:
    """The worse of the runs of each rate and length, in the order of the first ones."""
    worse: dict[tuple[float | None, int | None], AnyTrial] = {}
    for trial in trials:
        key = trial.lr, trial.steps
        worse[key] = max(
            worse.get(key, trial), trial, key=lambda each: (each.status != "finished", _rate_order(each))
        )
    return list(worse.values())


def rate_beyond(rates: Sequence[float], best: float) -> float | None:
    """The rate beyond a grid whose best rate is at its edge; None if it lies inside."""
    if best not in (rates[0], rates[-1]):
        return None
    edge, inner = (rates[0], rates[1]) if best == rates[0] else (rates[-1], rates[-2])
    return float(f"{edge * edge / inner:.6g}")


def is_on_plateau(trials: Sequence[RateTrial], min_progress: float = MIN_PROGRESS) -> bool:
    """Whether no run is better than the memoryless baseline; False if that is unknown.

    Args:
        trials: The runs.
        min_progress: The :func:`progress` from which a run is better.
    """
    finished = [trial for trial in trials if trial.status == "finished"]
    escaped = (
        trial.baseline is None
        or trial.solved
        or progress(trial) >= max(min_progress, progress_by_chance(trial))
        for trial in finished
    )
    return bool(finished) and not any(escaped)


def progress(trial: RateTrial) -> float:
    """Share of the way from the baseline to the threshold, or to a perfect score; 0 if that is unknown."""
    distance = _distance_to_goal(trial)
    return (
        0.0
        if trial.baseline is None or trial.score is None or not distance
        else (trial.score - trial.baseline) / distance
    )


def progress_by_chance(trial: RateTrial) -> float:
    """The progress of a run at the baseline that is better by :data:`CHANCE_ERRORS` standard errors.

    Scores of examples between 0 and 1 with the expectation b have a variance of at most ``b (1 - b)``, and an
    accuracy has this variance. Zero if the score is an error or the number of examples is unknown.
    """
    baseline, distance = trial.baseline, _distance_to_goal(trial)
    if (
        baseline is None
        or not trial.higher_is_better
        or not 0 < baseline < 1
        or not trial.examples
        or not distance
    ):
        return 0.0
    return CHANCE_ERRORS * math.sqrt(baseline * (1 - baseline) / trial.examples) / abs(distance)


def _distance_to_goal(trial: RateTrial) -> float:
    """The distance from the baseline to the threshold, or to a perfect score; 0 if that is unknown."""
    if trial.baseline is None:
        return 0.0
    default = 1.0 if trial.higher_is_better else 0.0
    return (default if trial.threshold is None else trial.threshold) - trial.baseline


def choose_learning_rate(trials: Sequence[RateTrial], rates: Sequence[float]) -> float:
    """Choose the rate whose short run had the best loss: solved before unsolved, then the lowest loss.

    A run chooses its best model by the same criterion. The score is a worse criterion: if it is an
    accuracy and no run has learned the task yet, scores differ by chance.

    Rates at which training diverged are skipped. If it diverged at all of them, the smallest is chosen, which
    may be one that the search has added; if no run has a result, the middle one of the grid.

    Args:
        trials: Runs of the search.
        rates: The grid, in ascending order.
    """
    if finished := [trial for trial in trials if trial.status == "finished"]:
        return float(min(finished, key=_rate_order).lr or 0.0)
    if diverged := [trial.lr for trial in trials if trial.status == "diverged" and trial.lr]:
        return min(*rates, *diverged)
    return rates[len(rates) // 2]


def _rate_order(trial: RateTrial) -> tuple[bool, float, float]:
    """Sort key, best first; the smaller rate among equal runs."""
    loss = math.inf if trial.loss is None else trial.loss
    return not trial.solved, loss, trial.lr or 0.0
