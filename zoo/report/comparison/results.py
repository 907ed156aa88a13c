"""Typed records of ``results.json`` for reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.comparison import results as results_file


@dataclass(frozen=True)
class Result:
    """One run of a comparison. None stands for values that a failed run does not have.

    Attributes:
        task: Name of the task.
        cell: Name of the cell.
        seed: The seed.
        lr: Learning rate.
        hidden: ``H``.
        parameters: ``P``.
        steps: Updates.
        score: The metric's value.
        loss: The loss.
        metric: Name of the metric.
        higher_is_better: Whether a higher score is a better one.
        solved: Whether the threshold was reached.
        threshold: The score that counts as solved.
        baseline: The best score without memory.
        seconds: Training time.
        seconds_to_threshold: Time until the threshold was reached first.
        symbols_per_s: Speed.
        status: How it ended.
        error: The reason of a failure; empty without one.
        path: Its run directory, relative to that of the comparison.
    """

    task: str
    cell: str
    seed: int | None
    lr: float | None
    hidden: int | None
    parameters: int
    steps: int | None
    score: float | None
    loss: float | None
    metric: str
    higher_is_better: bool
    solved: bool
    threshold: float | None
    baseline: float | None
    seconds: float
    seconds_to_threshold: float | None
    symbols_per_s: float | None
    status: str
    error: str
    path: str


@dataclass(frozen=True)
class Summary:
    """One cell on one task, over its seeds, at the learning rate that was chosen for it.

    ``low`` and ``high`` bound the 95 % interval of the mean.
    """

    task: str
    cell: str
    parameters: int
    hidden: int
    lr: float | None
    mean: float | None
    spread: float | None
    low: float | None
    high: float | None
    best: float | None
    worst: float | None
    rank: float
    solved: int
    seeds: int
    seconds_to_threshold: float | None
    symbols_per_s: float | None


@dataclass(frozen=True)
class Standing:
    """One cell over all tasks: its mean rank with a 95 % interval."""

    cell: str
    rank: float | None
    low: float | None
    high: float | None
    solved: int
    runs: int


@dataclass(frozen=True)
class Results:
    """A comparison.

    Attributes:
        path: Its directory.
        facts: Metadata: ``command``, ``plan``, ``cells``, ``tasks``, ``machine``,
            ``versions``.
        runs: Every run.
        sweep: The short runs of the learning rate sweep.
        summary: A row for each task and cell.
        overall: A row for each cell, the best first.
    """

    path: Path
    facts: Mapping[str, Any]
    runs: tuple[Result, ...]
    sweep: tuple[Result, ...]
    summary: tuple[Summary, ...]
    overall: tuple[Standing, ...]

    @property
    def cells(self) -> list[str]:
        """Names of the cells, in the order of the runs."""
        return list(dict.fromkeys(run.cell for run in self.runs))

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of the runs."""
        return list(dict.fromkeys(run.task for run in self.runs))

    def runs_of(self, task: str) -> list[Result]:
        """The runs of a task, at least one."""
        return [run for run in self.runs if run.task == task]

    def scope(self, cell: str) -> str:
        """The scope of a cell; empty if unknown."""
        facts = self.metadata("cells").get(cell)
        return str(facts.get("scope", "")) if isinstance(facts, dict) else ""

    def metadata(self, name: str) -> Mapping[str, Any]:
        """Metadata of a name; empty if missing."""
        values = self.facts.get(name)
        return values if isinstance(values, dict) else {}


def read_results(path: Path) -> Results:
    """Read the results of a comparison.

    Raises:
        CheckpointError: if they are missing, damaged, or of another version.
    """
    results = results_file.read_results(path)
    kinds = {"runs": Result, "sweep": Result, "summary": Summary, "overall": Standing}
    records = [_records(kind, results.pop(name)) for name, kind in kinds.items()]
    return Results(path, results, *records)


def _records(kind: type[Any], records: Iterable[Mapping[str, Any]]) -> Any:
    """Typed records of validated dictionaries."""
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(kind(**{name: record[name] for name in names}) for record in records)
