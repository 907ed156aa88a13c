"""The results of all cells: read the files of ``tools/evaluate_cells.py``, and compute means and ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from csv_rows import read_rows
from evaluate_cells import FILES, SETTINGS, TASKS, Pair, Point, Row

from zoo.base import Task
from zoo.base.metric import metric_text
from zoo.comparison.rank_bootstrap import RankDraws
from zoo.comparison.records import OverallRow, RunRecord, SummaryRow
from zoo.comparison.statistics import mean_rank_draws, overall, summarize
from zoo.registry import registry_of
from zoo.training.rate_search import MIN_PROGRESS

TEXT_BASELINE = 2.26
"""Nats of a bigram table on the text. The text depends on the version of Python: this is Python 3.11."""


@dataclass(frozen=True)
class TaskFacts:
    """A task as tables and figures show it.

    Args:
        name: Its name.
        metric: Name of the metric.
        higher_is_better: Direction of the metric.
        baseline: Score without memory.
        threshold: The score from which it counts as solved; None for none.
        parameters: The budget.
    """

    name: str
    metric: str
    higher_is_better: bool
    baseline: float
    threshold: float | None
    parameters: int

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def unit(self) -> str:
        """The metric in words."""
        return metric_text(self.metric)

    def is_reached(self, score: float) -> bool:
        """Whether a score reaches the threshold."""
        if self.threshold is None:
            return False
        return score >= self.threshold if self.higher_is_better else score <= self.threshold

    def leaves_baseline(self, score: float) -> bool:
        """Whether a score is better than the baseline by the margin of the sweep of learning rates.

        Scores below share a rank, because their order would be random.
        """
        if self.threshold is None:
            return True
        return (score - self.baseline) / (self.threshold - self.baseline) >= MIN_PROGRESS

    def format(self, score: float, mark: bool = False) -> str:
        """A score in three digits; with ``mark``, in bold if it reaches the threshold."""
        is_tiny = 0 < abs(score) < 0.001 and not self.higher_is_better
        text = f"{score:.1e}" if is_tiny else f"{score:.3f}"
        return f"**{text}**" if mark and self.is_reached(score) else text


@cache
def tasks() -> Mapping[str, TaskFacts]:
    """The tasks by name, in the order of the tables."""
    facts = {}
    for name, settings in TASKS.items():
        task = registry_of(Task).get(name)
        facts[name] = TaskFacts(
            name,
            task.metric,
            task.higher_is_better,
            TEXT_BASELINE if name == "text" else task.baseline(),
            task.threshold,
            settings["params"],
        )
    return facts


@dataclass(frozen=True)
class Measured:
    """A cell with its block on a task.

    Args:
        rows: Its runs, or the line of a pair that could not be trained.
        summary: Mean, interval and rank over the seeds; None if no run has a score.
        points: Its validations, as means over the seeds.
    """

    rows: Sequence[Row]
    summary: SummaryRow | None
    points: Sequence[Point]

    @property
    def mean(self) -> float | None:
        """The mean score."""
        return self.summary.mean if self.summary else None

    @property
    def is_complete(self) -> bool:
        """Whether all seeds have a score."""
        return [row.score is not None for row in self.rows] == [True] * SETTINGS["seeds"]

    @property
    def sweep(self) -> str:
        """``edge`` or ``plateau`` if the sweep of the learning rate has not decided.

        It has not decided if the runs at its rate are not better than the baseline, because a short run may
        seem better by chance.
        """
        word, mean = self.rows[0].sweep, self.mean
        is_short = (
            mean is not None and self.is_complete and not tasks()[self.rows[0].task].leaves_baseline(mean)
        )
        return word or ("plateau" if is_short else "")

    @property
    def status(self) -> str:
        """The runs that did not finish, and why; empty if all did."""
        counts = [(kind, sum(row.status == kind for row in self.rows)) for kind in ("diverged", "failed")]
        parts = [f"{count} {kind}" for kind, count in counts if count]
        errors = {row.error: None for row in self.rows if row.status == "failed" and row.error}
        return ", ".join([*parts, *errors])


@dataclass(frozen=True)
class Results:
    """All that has been measured.

    Args:
        rows: The runs.
        points: The validations.
    """

    rows: Sequence[Row]
    points: Sequence[Point]

    @cached_property
    def measured(self) -> Mapping[Pair, Measured]:
        """The measured pairs, in the order of the file."""
        rows, points = _by_pair(self.rows), _by_pair(self.points)
        scored = [_record(row) for row in self.rows if row.score is not None]
        ranks = [row.rank for row in summarize(list(map(_without_noise, scored)))]
        summaries = {
            (row.cell, row.task): replace(row, rank=rank)
            for row, rank in zip(summarize(scored), ranks, strict=True)
        }
        return {
            pair: Measured(own, summaries.get((pair.spec, pair.task)), points.get(pair, ()))
            for pair, own in rows.items()
        }

    def at(self, cell: str, block: str, task: str) -> Measured | None:
        """A cell with its block on a task; None if it has not been measured."""
        return self.measured.get(Pair(cell, block, task))

    @cached_property
    def models(self) -> Mapping[str, tuple[str, str]]:
        """Cell and block by ``block(cell)``, of all that has been measured on a task."""
        return {pair.spec: (pair.cell, pair.block) for pair in self.measured}

    @cached_property
    def complete(self) -> Sequence[str]:
        """The models that have a score of every seed on all tasks."""
        done = {pair for pair, measured in self.measured.items() if measured.is_complete}
        return [spec for spec, model in self.models.items() if {Pair(*model, task) for task in TASKS} <= done]

    @cached_property
    def ranking(self) -> Sequence[OverallRow]:
        """Mean ranks of the complete models over all tasks, the best first."""
        return overall(self._complete_records)

    def rank_difference(self, model: str, other: str) -> tuple[float, tuple[float, float] | None]:
        """The mean rank of a complete model less that of another one, and the 95 % interval."""
        models, draws = self._rank_draws
        pair = models.index(model), models.index(other)
        return draws.permutations.difference(*pair), draws.difference_interval(*pair)

    @cached_property
    def _rank_draws(self) -> tuple[list[str], RankDraws]:
        _, models, draws = mean_rank_draws(self._complete_records)
        assert draws is not None  # complete models have all tasks
        return models, draws

    @cached_property
    def _complete_records(self) -> list[RunRecord]:
        chosen = set(self.complete)
        records = map(_record, self.rows)
        return [_without_noise(record) for record in records if record.cell in chosen]

    def ranked(self, task: str) -> list[tuple[str, Measured]]:
        """The models that have a score on a task, the best first."""
        sign = -1 if tasks()[task].higher_is_better else 1
        own = [
            ((each.summary.rank, sign * each.mean), pair.spec, each)
            for pair, each in self.measured.items()
            if pair.task == task and each.summary is not None and each.mean is not None
        ]
        return [(model, each) for _, model, each in sorted(own, key=lambda item: item[0])]

    def leaders(self, task: str, count: int) -> list[tuple[str, Measured]]:
        """The best models on a task, without those at the score without memory."""
        facts = tasks()[task]
        better = (item for item in self.ranked(task) if facts.leaves_baseline(item[1].mean or 0))
        return list(islice(better, count))


def read_results(folder: Path) -> Results:
    """Read ``cells.csv`` and ``curves.csv``; both may be missing.

    Raises:
        ValueError: if a file has other columns, or a line is incomplete.
    """
    return Results(read_rows(folder / FILES[0], Row), read_rows(folder / FILES[1], Point))


def _by_pair(items: Iterable[Any]) -> dict[Pair, list[Any]]:
    groups: dict[Pair, list[Any]] = {}
    for item in items:
        groups.setdefault(Pair(item.cell, item.block, item.task), []).append(item)
    return groups


def _without_noise(record: RunRecord) -> RunRecord:
    """The record with the score of the baseline if it is not better than that by a margin."""
    facts = tasks()[record.task]
    is_better = record.score is not None and facts.leaves_baseline(record.score)
    return record if is_better else replace(record, score=facts.baseline)


def _record(row: Row) -> RunRecord:
    """A run as a record of a comparison, whose cell is the model."""
    facts = tasks()[row.task]
    return RunRecord(
        task=row.task,
        cell=Pair(row.cell, row.block, row.task).spec,
        seed=row.seed,
        lr=row.lr,
        hidden=row.hidden,
        steps=row.steps,
        parameters=row.parameters or 0,
        score=row.score,
        loss=row.loss,
        valid_score=None,
        metric=facts.metric,
        higher_is_better=facts.higher_is_better,
        threshold=facts.threshold,
        baseline=facts.baseline,
        solved=bool(row.solved),
        seconds=row.seconds or 0.0,
        steps_to_threshold=None,
        seconds_to_threshold=None,
        symbols_per_s=None,
        status=row.status,
        error=row.error,
        path="",
    )
