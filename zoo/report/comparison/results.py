"""``results.json`` of a comparison, read and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError
from zoo.storage.reading import read_json
from zoo.storage.record_schema import MAX_BYTES, check_records

FILE = "results.json"
FORMAT = 1


@dataclass(frozen=True)
class Result:
    """One run of a comparison; what a run that failed never had is None.

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
        metric: What the score is.
        higher_is_better: Whether a higher score is a better one.
        solved: Whether the threshold was reached.
        threshold: The score that counts as solved.
        baseline: The best score without memory.
        seconds: Training time.
        seconds_to_threshold: When the threshold was reached first.
        symbols_per_s: Speed.
        status: How it ended.
        error: Why it failed; empty if it did not.
        path: Its run directory, from that of the comparison.
    """

    task: str
    cell: str
    seed: int
    status: str
    path: str
    metric: str
    higher_is_better: bool
    lr: float | None = None
    hidden: int | None = None
    parameters: int | None = None
    steps: int | None = None
    score: float | None = None
    loss: float | None = None
    solved: bool | None = None
    threshold: float | None = None
    baseline: float | None = None
    seconds: float | None = None
    seconds_to_threshold: float | None = None
    symbols_per_s: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """One cell on one task, over its seeds, at the learning rate that was chosen for it.

    ``low`` and ``high`` bound the 95 % interval of the mean.
    """

    task: str
    cell: str
    parameters: int | None = None
    hidden: int | None = None
    lr: float | None = None
    mean: float | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    best: float | None = None
    worst: float | None = None
    rank: float | None = None
    solved: int | None = None
    seeds: int | None = None
    seconds_to_threshold: float | None = None
    symbols_per_s: float | None = None


@dataclass(frozen=True)
class Standing:
    """One cell over all tasks: its mean rank, and the 95 % interval of that."""

    cell: str
    rank: float | None = None
    low: float | None = None
    high: float | None = None
    solved: int | None = None
    runs: int | None = None


@dataclass(frozen=True)
class Results:
    """A comparison.

    Attributes:
        path: Its directory.
        facts: What stands beside the records: ``command``, ``plan``, ``cells``, ``tasks``, ``machine``,
            ``versions``.
        runs: Every run.
        sweep: The short runs by which learning rates were chosen.
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

    def of(self, task: str) -> list[Result]:
        """The runs of a task, at least one."""
        return [run for run in self.runs if run.task == task]

    def scope(self, cell: str) -> str:
        """Whether a cell is a bare recurrence or a whole mixer; empty where the results do not say so."""
        facts = self.told("cells").get(cell)
        return str(facts.get("scope", "")) if isinstance(facts, dict) else ""

    def told(self, name: str) -> Mapping[str, Any]:
        """What stands beside the records under a name; nothing where it is missing."""
        found = self.facts.get(name)
        return found if isinstance(found, dict) else {}


def read_results(path: Path) -> Results:
    """The results in the directory of a comparison.

    Raises:
        CheckpointError: if they are missing, damaged, or of another version.
    """
    file = path / FILE
    found = read_json(file, max_bytes=MAX_BYTES)
    if found.get("format") != FORMAT:
        written = repr(found.get("format"))[:60]
        raise CheckpointError(f"{file} is of format {written}; this version of zoo reads format {FORMAT}.")
    kinds = {"runs": Result, "sweep": Result, "summary": Summary, "overall": Standing}
    read = [_records(kind, found.pop(name, None), f"{file}, {name}") for name, kind in kinds.items()]
    return Results(path, found, *read)


def _records(kind: type[Any], found: Any, where: str) -> Any:
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    return tuple(kind(**row) for row in check_records(found, fields, where))
