"""Schemas of the records in ``results.json``: each field with the kind of its value.

What came of a run, read from its directory: a function of the log, so that a killed run tells the same.

Facts in the results in addition to the runs: plan, cells, tasks, machine, versions.

The command that makes a comparison again.

What a comparison found: ``results.json`` and ``results.csv``, and the object that reads them.
"""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.arguments import as_path, short_repr
from zoo.base import Cell, Optimizer
from zoo.base import Component as Registered
from zoo.bench.machine import machine
from zoo.comparison.jobs import Job, Record
from zoo.comparison.plan import Member, Plan
from zoo.comparison.resolve import Comparands
from zoo.comparison.specs import Problem
from zoo.comparison.statistics import Row, overall, summarize
from zoo.errors import CheckpointError
from zoo.registry import registry_of
from zoo.storage import write_bytes, write_json
from zoo.storage.record_schema import MAX_BYTES, check_record, check_records, is_bounded_float
from zoo.storage.safe_read import exists, read_json
from zoo.storage.strict_json import quote
from zoo.training import TaskScore
from zoo.training.config import Config
from zoo.training.state import versions

_GOAL = {"metric": "str", "higher_is_better": "bool", "threshold": "float | None", "baseline": "float | None"}

RUN_SCHEMA = {
    "task": "str",
    "cell": "str",
    "seed": "int | None",
    "lr": "float | None",
    "hidden": "int | None",
    "steps": "int | None",
    "parameters": "int",
    "score": "bounded_float | None",
    "loss": "bounded_float | None",
    "valid_score": "float | None",
    **_GOAL,
    "solved": "bool",
    "seconds": "bounded_float",
    "steps_to_threshold": "int | None",
    "seconds_to_threshold": "bounded_float | None",
    "symbols_per_s": "bounded_float | None",
    "status": "str",
    "error": "str",
    "path": "str",
}

"""Fields of a run; None for values that a failed run does not have."""

SUMMARY_SCHEMA = {
    "task": "str",
    "cell": "str",
    "parameters": "int",
    "hidden": "int",
    "lr": "float | None",
    "steps": "int | None",
    "metric": "str",
    **dict.fromkeys(("mean", "spread", "low", "high", "best", "worst"), "bounded_float | None"),
    "rank": "bounded_float",
    **dict.fromkeys(("solved", "seeds", "lost"), "int"),
    **dict.fromkeys(
        ("seconds", "steps_to_threshold", "seconds_to_threshold", "symbols_per_s"), "bounded_float | None"
    ),
}

"""Fields of a cell on a task."""

OVERALL_SCHEMA = {
    "cell": "str",
    **dict.fromkeys(("rank", "low", "high"), "bounded_float | None"),
    **dict.fromkeys(("tasks", "solved", "solvable", "runs"), "int"),
    "seconds": "bounded_float",
}

"""Fields of a cell over all tasks."""

TASK_SCHEMA = {"name": "str", "summary": "str", "threshold_source": "str", **_GOAL}

"""Fields of a task without its options."""

FORMAT = 1

RECORD_FILE = "result.json"

"""Written into a run directory last: a run that has one is done."""

Event = Mapping[str, Any]

_NOTHING = math.nan, math.nan

_SAME = ("task", "cell", "seed", "lr", "hidden", "parameters", "steps", "path")


def record_of(
    job: Job, status: str, history: Sequence[Event] = (), tested: TaskScore | None = None, error: str = ""
) -> Record:
    """The record of a run, in the form of ``results.json``.

    A run that diverged counts with what it had learnt before. What was never measured, or measured as no
    number at all, counts as if nothing had been learnt: with the baseline.

    Args:
        job: What was to be done.
        status: ``"finished"``, ``"diverged"`` or ``"failed"``.
        history: Events of its log.
        tested: What the model of the best validation reaches on examples for tests, if it was tested.
        error: Why it is not finished, in a sentence.
    """
    goal, asked, evals = job["goal"], job["train"], evaluations(history)
    best = next((event for event in reversed(evals) if event["best"]), None)
    reached = next((event for event in evals if event["solved"]), None)
    score, loss = (
        (tested.score, tested.loss) if tested else (best["score"], best["loss"]) if best else _NOTHING
    )
    clock = Clock(history)
    return {
        "task": job["task"],
        "cell": job["cell"],
        **{name: asked.get(name) for name in ("seed", "lr", "hidden", "steps")},
        "parameters": job["parameters"],
        "score": None if status == "failed" else score if is_bounded_float(score) else goal["baseline"],
        "loss": loss if is_bounded_float(loss) else None,
        "valid_score": best and best["score"],
        **goal,
        "solved": bool(tested.solved if tested else best and best["solved"]),
        "seconds": clock.seconds,
        "steps_to_threshold": reached and reached["step"],
        "seconds_to_threshold": reached and clock.until(reached["step"]),
        "symbols_per_s": clock.speed,
        "status": status,
        "error": error,
        "path": job["path"],
    }


def evaluations(history: Iterable[Event]) -> list[Event]:
    """The validations of a run."""
    return [event for event in history if event["event"] == "eval"]


class Clock:
    """The time that the updates of a run took, without compiling, validating and saving.

    Args:
        history: Events of the log. Every update is in one line of progress.
    """

    def __init__(self, history: Iterable[Event]) -> None:
        self._lines = [event for event in history if event["event"] == "step"]

    @property
    def seconds(self) -> float:
        """Of all updates."""
        return self.until(math.inf)

    @property
    def speed(self) -> float | None:
        """Symbols a second."""
        symbols = math.fsum(_seconds(line) * line["symbols_per_s"] for line in self._lines)
        return symbols / self.seconds if self.seconds > 0 else None

    def until(self, step: float) -> float:
        """Of the updates up to a step at which there is a line of progress."""
        return math.fsum(_seconds(line) for line in self._lines if line["step"] <= step)


def _seconds(line: Event) -> float:
    return float(line["seconds"])


def write_record(folder: Path, record: Record) -> None:
    """Say that a run is done; raises `CheckpointError`."""
    write_json(folder / RECORD_FILE, {"format": FORMAT, "record": record})


def read_record(root: Path, job: Job) -> Record | None:
    """The record of a run that is done; None if it is not.

    Raises:
        CheckpointError: if it cannot be read, or is of another run.
    """
    path = root / job["path"] / RECORD_FILE
    if not exists(path):
        return None
    stored, expected = read_json(path), record_of(job, "expected")
    found = stored.get("record")
    if not isinstance(found, dict) or set(found) != set(expected):
        raise CheckpointError(f"{path} is not the result of a run of this version of zoo.")
    checked = check_record(found, RUN_SCHEMA, str(path))
    record = {name: checked[name] for name in expected}  # in this order: JSON is sorted by name
    for name in _SAME:
        if record[name] != expected[name]:
            raise CheckpointError(
                f"{path} is of another run: {name} is {short_repr(record[name])}, "
                f"expected {short_repr(expected[name])}."
            )
    return record


def facts(plan: Plan, comparands: Comparands, jobs: int | None, seconds: float) -> dict[str, Any]:
    """Everything but the records.

    Args:
        plan: The plan, with what has been measured.
        comparands: Its cells and tasks.
        jobs: Processes at work; None if another engine was.
        seconds: For how long, this time.
    """
    now = datetime.now(timezone.utc)
    tasks = {label: problem.task for label, problem in comparands.problems.items()}
    return {
        "command": command(plan, {**comparands.cells, **tasks}),
        "plan": plan.to_json(),
        "cells": {label: _cell(cell) for label, cell in comparands.cells.items()},
        "tasks": {label: _task(problem) for label, problem in comparands.problems.items()},
        "jobs": jobs,
        "wall_seconds": round(seconds, 3),
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": versions(),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    """Name, summary and scope of a cell."""
    return {"name": cell.name, "summary": cell.summary(), "scope": cell.card.scope}


def _task(problem: Problem) -> dict[str, Any]:
    """What a task asks and who says when it is solved."""
    task = problem.task
    return {
        "name": task.name,
        "options": dict(task.options),
        "summary": task.summary(),
        "threshold_source": task.threshold_source,
        **problem.goal(),
    }


def in_order(records: Iterable[Record], plan: Plan) -> list[Record]:
    """Records by task, cell, rate and seed, in the order of the plan."""
    places = {pair: place for place, pair in enumerate(plan.pairs())}
    return sorted(
        records,
        key=lambda record: (places[record["task"], record["cell"]], record["lr"] or 0.0, record["seed"]),
    )


_SPELT = {"stop_when_solved": "--until-solved"}


def command(plan: Plan, members: Mapping[str, Registered]) -> str:
    """The command line, with nothing left to defaults but the settings that are the same for all.

    Args:
        plan: The plan.
        members: Its cells and tasks by label.
    """
    (size, number), (length, amount) = plan.size, plan.length
    words = ["--cells", _names(plan.cells), "--tasks", _names(plan.tasks), "--seeds", str(plan.seeds)]
    words += [f"--{size}", str(number), f"--{length}", f"{amount:g}"]
    words += ["--lr" if len(plan.rates) == 1 else "--lr-grid", ",".join(f"{rate:g}" for rate in plan.rates)]
    words += [] if plan.sweep_steps is None else ["--sweep-steps", str(plan.sweep_steps)]
    words += [*_settings(plan.settings), *_assignments(plan.settings, members)]
    return shlex.join(["zoo", "compare", *words])


def _names(members: Mapping[str, Member]) -> str:
    return ",".join(
        label if label == member.name else f"{label}={member.name}" for label, member in members.items()
    )


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Flags for the settings that are not as they are without."""
    for name, value in settings.items():
        if value != getattr(Config(), name) and not name.endswith("_options"):
            flag = _SPELT.get(name, f"--{name.replace('_', '-')}")
            yield from (flag,) if value is True else (flag, f"{value}")


def _assignments(settings: Mapping[str, Any], members: Mapping[str, Registered]) -> Iterator[str]:
    """``--set`` for every option that has another value than its default."""
    optimizer = registry_of(Optimizer).get(settings["optimizer"], **settings["optimizer_options"])
    for label, member in {**members, "optimizer": optimizer}.items():
        for name, option in member.declared_options.items():
            if member.options[name] != option.default:
                yield from ("--set", f"{label}.{name}={member.options[name]}")
    for name, value in settings["schedule_options"].items():
        yield from ("--set", f"schedule.{name}={value}")


RESULTS_FILE, TABLE = "results.json", "results.csv"


class Comparison:
    """A comparison directory: what was planned, every run, and what they say together.

    Args:
        path: The directory.

    Raises:
        CheckpointError: when something is read that is not there or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path, "Comparison: path")

    def __repr__(self) -> str:
        return f"Comparison({str(self.path)!r})"

    @cached_property
    def results(self) -> dict[str, Any]:
        """Everything in ``results.json``."""
        return read_results(self.path)

    @property
    def plan(self) -> dict[str, Any]:
        """What was compared, and how."""
        return self.results["plan"]  # type: ignore[no-any-return]

    @property
    def runs(self) -> list[Record]:
        """A record for each run."""
        return self.results["runs"]  # type: ignore[no-any-return]

    @property
    def sweep(self) -> list[Record]:
        """A record for each of the short runs by which learning rates were chosen."""
        return self.results["sweep"]  # type: ignore[no-any-return]

    @property
    def summary(self) -> list[Row]:
        """A row for each task and cell: mean, spread, rank and so on over the seeds."""
        return self.results["summary"]  # type: ignore[no-any-return]

    @property
    def overall(self) -> list[Row]:
        """A row for each cell: its mean rank over the tasks, the best first."""
        return self.results["overall"]  # type: ignore[no-any-return]

    @property
    def failures(self) -> list[Record]:
        """The runs, those of the sweep too, that did not come to their end."""
        return [record for record in (*self.sweep, *self.runs) if record["status"] != "finished"]

    def table(self) -> str:
        """The tables as plain text."""
        from zoo.comparison.tables import sheets
        from zoo.tables import plain_text

        return "\n\n".join(map(plain_text, sheets(self.results)))


def read_results(folder: Path) -> dict[str, Any]:
    """Everything in ``results.json`` of a directory, with every record checked against its schema.

    Raises:
        CheckpointError: if it is missing, damaged, or of another version.
    """
    path = folder / RESULTS_FILE
    results: dict[str, Any] = read_json(path, max_bytes=MAX_BYTES)
    tasks = results.get("tasks")
    if results.get("format") != FORMAT or type(results.get("plan")) is not dict or type(tasks) is not dict:
        raise CheckpointError(f"{path} is not a results file of this version of zoo.")
    for name, kinds in (
        ("runs", RUN_SCHEMA),
        ("sweep", RUN_SCHEMA),
        ("summary", SUMMARY_SCHEMA),
        ("overall", OVERALL_SCHEMA),
    ):
        results[name] = check_records(results.get(name), kinds, f"{path}, {name}")
    results["tasks"] = {name: _about(task, f"{path}, tasks") for name, task in tasks.items()}
    for row in results["summary"]:
        if row["task"] not in results["tasks"]:
            raise CheckpointError(f"{path}, tasks lacks {quote(row['task'])}, which its summary names.")
    return results


def _about(task: Any, where: str) -> dict[str, Any]:
    """Description and options of a task."""
    known = check_record(task, TASK_SCHEMA, where)
    if not isinstance(task.get("options"), dict):
        raise CheckpointError(f"{where}, {quote(known['name'])}: options is not an object.")
    return {**known, "options": task["options"]}


def write_results(
    folder: Path, facts: Mapping[str, Any], sweep: Sequence[Record], runs: Sequence[Record]
) -> None:
    """Write ``results.json`` and ``results.csv``.

    Args:
        folder: Directory of the comparison.
        facts: What stands beside the runs.
        sweep: Records of the sweep.
        runs: Records of the runs.

    Raises:
        CheckpointError: if they cannot be written.
    """
    results = {
        "format": FORMAT,
        **facts,
        "runs": list(runs),
        "sweep": list(sweep),
        "summary": summarize(runs),
        "overall": overall(runs),
    }
    write_json(folder / RESULTS_FILE, results)
    write_bytes(folder / TABLE, as_csv(runs).encode("utf-8", "backslashreplace"))  # a lone surrogate


def as_csv(runs: Sequence[Record]) -> str:
    """A line for each run, under a line of headings; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(runs[0]) if runs else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    return text.getvalue()
