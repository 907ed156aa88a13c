"""Paired differences of two cells over the seeds, and the verdicts of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from zoo.comparison.number_text import NO_VALUE
from zoo.comparison.student import student_interval
from zoo.storage.record_schema import is_bounded_float

if TYPE_CHECKING:
    from zoo.comparison.records import RunRecord

BETTER, WORSE, UNCLEAR = "better", "worse", "no"


@dataclass(frozen=True)
class Difference:
    """The mean difference of the scores of two cells, with a 95 % interval over the seeds.

    Args:
        mean: Score of the first cell less the score of the second; None without a seed of both.
        low: Lower end of the interval; None for fewer than two seeds.
        high: Upper end.
        seeds: Number of seeds with a score of both cells.
    """

    mean: float | None
    low: float | None
    high: float | None
    seeds: int


def paired_difference(runs: Sequence[RunRecord], others: Sequence[RunRecord]) -> Difference:
    """Compare two cells by the runs of each seed: the interval of a paired t-test.

    Args:
        runs: Runs of a cell on a task.
        others: Runs of the other cell on this task.
    """
    scores = {run.seed: run.score for run in others if run.score is not None}
    pairs = [(run.score, scores[run.seed]) for run in runs if run.score is not None and run.seed in scores]
    differences = [score - other for score, other in pairs]
    mean = fmean(differences) if differences else None
    low, high = student_interval(differences) or (None, None)
    if not all(value is None or is_bounded_float(value) for value in (mean, low, high)):
        return Difference(None, None, None, len(pairs))
    return Difference(mean, low, high, len(pairs))


def verdict(low: float | None, high: float | None, higher_is_better: bool = True) -> str:
    """``better`` or ``worse`` if an interval excludes 0, otherwise ``no``; a dash without an interval."""
    if low is None or high is None:
        return NO_VALUE
    if low <= 0 <= high:
        return UNCLEAR
    return BETTER if (low > 0) is higher_is_better else WORSE
