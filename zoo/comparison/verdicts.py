"""Paired differences of two cells over the seeds, and the verdicts of intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from zoo.comparison.student import student_interval, student_quantile, student_tails
from zoo.storage.record_schema import is_bounded_float

if TYPE_CHECKING:
    from zoo.comparison.records import RunRecord

BETTER, WORSE, UNCLEAR = "better", "worse", "unclear"

VERDICT_TEXTS = {
    BETTER: "Clearly better",
    WORSE: "Clearly worse",
    UNCLEAR: "Not clearly different",
    None: "Without a verdict",
}
"""Beginnings of sentences about the difference of two cells by its verdict."""

_ROUNDING = 1e-12
"""Differences below this share of the largest score are rounding: 0.1 + 0.2 and 0.3 are the same score."""


@dataclass(frozen=True)
class Difference:
    """The mean difference of the scores of two cells, with a 95 % interval over the seeds.

    Args:
        mean: Score of the first cell less the score of the second; None without a seed of both.
        low: Lower end of the interval; None for fewer than two seeds, and if all differences are equal.
        high: Upper end.
        seeds: Number of seeds with a score of both cells.
    """

    mean: float | None
    low: float | None
    high: float | None
    seeds: int

    @property
    def is_constant(self) -> bool:
        """Whether the differences of all seeds are equal."""
        return self.seeds > 1 and self.mean is not None and self.low is None

    @property
    def p_value(self) -> float | None:
        """The two-sided p-value of the paired t-test; None without an interval of positive length."""
        if self.mean is None or self.high is None or self.high == self.mean:
            return None
        degrees = self.seeds - 1
        return student_tails(student_quantile(degrees) * self.mean / (self.high - self.mean), degrees)


def paired_difference(runs: Sequence[RunRecord], others: Sequence[RunRecord]) -> Difference:
    """Compare two cells by the runs of each seed: the interval of a paired t-test.

    The test is undefined if all differences are equal: its statistic divides by their deviation. Equal
    differences are frequent for accuracies of 1, and do not show that other seeds have the same difference.

    Args:
        runs: Runs of a cell on a task.
        others: Runs of the other cell on this task.
    """
    scores = {run.seed: run.score for run in others if run.score is not None}
    pairs = [(run.score, scores[run.seed]) for run in runs if run.score is not None and run.seed in scores]
    rounding = _ROUNDING * max((abs(score) for pair in pairs for score in pair), default=0.0)
    differences = [_difference(*pair, rounding) for pair in pairs]
    mean = fmean(differences) if differences else None
    is_constant = bool(differences) and max(differences) - min(differences) <= rounding
    low, high = (None if is_constant else student_interval(differences)) or (None, None)
    if not all(value is None or is_bounded_float(value) for value in (mean, low, high)):
        return Difference(None, None, None, len(pairs))
    return Difference(mean, low, high, len(pairs))


def _difference(score: float, other: float, rounding: float) -> float:
    return score - other if abs(score - other) > rounding else 0.0


def verdict(low: float | None, high: float | None, higher_is_better: bool = True) -> str | None:
    """``better`` or ``worse`` if an interval excludes 0, otherwise ``unclear``; None without an interval."""
    if low is None or high is None:
        return None
    if low <= 0 <= high:
        return UNCLEAR
    return BETTER if (low > 0) is higher_is_better else WORSE


def verdict_sentences(
    verdicts: Mapping[str, str | None], texts: Mapping[str | None, str] = VERDICT_TEXTS
) -> Iterator[str]:
    """The cells with each verdict, in the order of the texts: ``Clearly better: gru, lem.`` and so on."""
    for word, text in texts.items():
        if cells := ", ".join(cell for cell, own in verdicts.items() if own == word):
            yield f"{text}: {cells}."
