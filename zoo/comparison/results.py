"""Results of a comparison: records of runs, ``results.json``, ``results.csv``, and the reader.

A record is a function of the log of a run, so that a killed and resumed run has the same record.
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
from typing import TYPE_CHECKING, Any

from zoo.arguments import as_path, short_repr
from zoo.base import Cell, Component, Optimizer
from zoo.bench.machine import machine_info
from zoo.comparison.jobs import Job, Record
from zoo.comparison.plan import Plan, PlanEntry
from zoo.comparison.specs import TaskInfo
from zoo.comparison.statistics import Row, overall, summarize
from zoo.errors import CheckpointError
from zoo.registry import registry_of
from zoo.storage import write_bytes, write_json
from zoo.storage.record_schema import MAX_BYTES, check_record, check_records, is_bounded_float
from zoo.storage.safe_read import exists, read_json
from zoo.storage.strict_json import quote
from zoo.training.config import Config

if TYPE_CHECKING:
    # These import the compiler, which a report does not need.
    from zoo.comparison.resolve import ResolvedPlan
    from zoo.training import TaskScore

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

"""The last file written into a run directory: a run that has it is done."""

Event = Mapping[str, Any]

_NO_SCORE = math.nan, math.nan

_IDENTITY = ("task", "cell", "seed", "lr", "hidden", "parameters", "steps", "path")


def make_record(
    job: Job, status: str, history: Sequence[Event] = (), tested: TaskScore | None = None, error: str = ""
) -> Record:
    """Make the record of a run, in the form of ``results.json``.

    A run that diverged has the score of its best validation. A score that is missing or not finite becomes
    that of the memoryless baseline.

    Args:
        job: The job.
        status: ``"finished"``, ``"diverged"`` or ``"failed"``.
        history: Events of its log.
        tested: Score of the model with the best validation on the test split, if the run was tested.
        error: Reason why the run did not finish, in a sentence.
    """
    goal, arguments, evals = job["goal"], job["train"], evaluations(history)
    best = next((event for event in reversed(evals) if event["best"]), None)
    reached = next((event for event in evals if event["solved"]), None)
    score, loss = (
        (tested.score, tested.loss) if tested else (best["score"], best["loss"]) if best else _NO_SCORE
    )
    time = UpdateTime(history)
    return {
        "task": job["task"],
        "cell": job["cell"],
        **{name: arguments.get(name) for name in ("seed", "lr", "hidden", "steps")},
        "parameters": job["parameters"],
        "score": None if status == "failed" else score if is_bounded_float(score) else goal["baseline"],
        "loss": loss if is_bounded_float(loss) else None,
        "valid_score": best and best["score"],
        **goal,
        "solved": bool(tested.solved if tested else best and best["solved"]),
        "seconds": time.seconds,
        "steps_to_threshold": reached and reached["step"],
        "seconds_to_threshold": reached and time.until(reached["step"]),
        "symbols_per_s": time.speed,
        "status": status,
        "error": error,
        "path": job["path"],
    }


def evaluations(history: Iterable[Event]) -> list[Event]:
    """Events of the validations of a run."""
    return [event for event in history if event["event"] == "eval"]


class UpdateTime:
    """Training time of a run, without compilation, validation and saving.

    Args:
        history: Events of the log. A ``step`` event has the time of all updates since the previous one.
    """

    def __init__(self, history: Iterable[Event]) -> None:
        self._steps = [event for event in history if event["event"] == "step"]

    @property
    def seconds(self) -> float:
        """Time of all updates."""
        return self.until(math.inf)

    @property
    def speed(self) -> float | None:
        """Symbols per second."""
        symbols = math.fsum(_seconds(event) * event["symbols_per_s"] for event in self._steps)
        return symbols / self.seconds if self.seconds > 0 else None

    def until(self, step: float) -> float:
        """Time of the updates up to a step that has a ``step`` event."""
        return math.fsum(_seconds(event) for event in self._steps if event["step"] <= step)


def _seconds(event: Event) -> float:
    return float(event["seconds"])


def write_record(folder: Path, record: Record) -> None:
    """Mark a run as done; raises `CheckpointError`."""
    write_json(folder / RECORD_FILE, {"format": FORMAT, "record": record})


def read_record(root: Path, job: Job) -> Record | None:
    """Read the record of a run; None if the run is not done.

    Raises:
        CheckpointError: if it cannot be read, or belongs to another run.
    """
    path = root / job["path"] / RECORD_FILE
    if not exists(path):
        return None
    stored, expected = read_json(path), make_record(job, "expected")
    raw = stored.get("record")
    if not isinstance(raw, dict) or set(raw) != set(expected):
        raise CheckpointError(f"{path} is not the result of a run of this version of zoo.")
    checked = check_record(raw, RUN_SCHEMA, str(path))
    record = {name: checked[name] for name in expected}  # restore the order: JSON is sorted by name
    for name in _IDENTITY:
        if record[name] != expected[name]:
            raise CheckpointError(
                f"{path} is of another run: {name} is {short_repr(record[name])}, "
                f"expected {short_repr(expected[name])}."
            )
    return record


def make_metadata(plan: Plan, resolved: ResolvedPlan, jobs: int | None, seconds: float) -> dict[str, Any]:
    """Make the fields of ``results.json`` apart from the records.

    Args:
        plan: The plan with measured values.
        resolved: Its cells and tasks.
        jobs: Number of worker processes; None for another executor.
        seconds: Duration of this call.
    """
    from zoo.training.state import versions  # which imports the compiler

    now = datetime.now(timezone.utc)
    tasks = {label: info.task for label, info in resolved.tasks.items()}
    return {
        "command": command_line(plan, {**resolved.cells, **tasks}),
        "plan": plan.to_json(),
        "cells": {label: _cell(cell) for label, cell in resolved.cells.items()},
        "tasks": {label: _task(info) for label, info in resolved.tasks.items()},
        "jobs": jobs,
        "wall_seconds": round(seconds, 3),
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine_info(),
        "versions": versions(),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {"name": cell.name, "summary": cell.summary(), "scope": cell.card.scope}


def _task(info: TaskInfo) -> dict[str, Any]:
    task = info.task
    return {
        "name": task.name,
        "options": dict(task.options),
        "summary": task.summary(),
        "threshold_source": task.threshold_source,
        **info.goal(),
    }


def sort_records(records: Iterable[Record], plan: Plan) -> list[Record]:
    """Sort records by task and cell in the order of the plan, then by rate and seed."""
    order = {pair: index for index, pair in enumerate(plan.pairs())}
    return sorted(
        records,
        key=lambda record: (order[record["task"], record["cell"]], record["lr"] or 0.0, record["seed"]),
    )


_FLAG_NAMES = {"stop_when_solved": "--until-solved"}


def command_line(plan: Plan, components: Mapping[str, Component]) -> str:
    """Make the command line that reproduces a comparison, with defaults of ``zoo compare`` spelled out.

    Args:
        plan: The plan.
        components: Its cells and tasks by label.
    """
    (size, number), (length, amount) = plan.size, plan.length
    words = [
        "--cells",
        _label_list(plan.cells),
        "--tasks",
        _label_list(plan.tasks),
        "--seeds",
        str(plan.seeds),
    ]
    words += [f"--{size}", str(number), f"--{length}", f"{amount:g}"]
    words += ["--lr" if len(plan.rates) == 1 else "--lr-grid", ",".join(f"{rate:g}" for rate in plan.rates)]
    words += [] if plan.sweep_steps is None else ["--sweep-steps", str(plan.sweep_steps)]
    words += [*_setting_flags(plan.settings), *_set_flags(plan.settings, components)]
    return shlex.join(["zoo", "compare", *words])


def _label_list(entries: Mapping[str, PlanEntry]) -> str:
    return ",".join(
        label if label == entry.name else f"{label}={entry.name}" for label, entry in entries.items()
    )


def _setting_flags(settings: Mapping[str, Any]) -> Iterator[str]:
    """Flags of the settings that differ from their defaults."""
    for name, value in settings.items():
        if value != getattr(Config(), name) and not name.endswith("_options"):
            flag = _FLAG_NAMES.get(name, f"--{name.replace('_', '-')}")
            yield from (flag,) if value is True else (flag, f"{value}")


def _set_flags(settings: Mapping[str, Any], components: Mapping[str, Component]) -> Iterator[str]:
    """``--set`` flags of the options that differ from their defaults."""
    optimizer = registry_of(Optimizer).get(settings["optimizer"], **settings["optimizer_options"])
    for label, component in {**components, "optimizer": optimizer}.items():
        for name, option in component.declared_options.items():
            if component.options[name] != option.default:
                yield from ("--set", f"{label}.{name}={component.options[name]}")
    for name, value in settings["schedule_options"].items():
        yield from ("--set", f"schedule.{name}={value}")


RESULTS_FILE, TABLE_FILE = "results.json", "results.csv"


class Comparison:
    """Results of a comparison directory, read on first access.

    Args:
        path: The directory.

    Raises:
        CheckpointError: when a file that is read is missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path, "Comparison: path")

    def __repr__(self) -> str:
        return f"Comparison({str(self.path)!r})"

    @cached_property
    def results(self) -> dict[str, Any]:
        """Contents of ``results.json``."""
        return read_results(self.path)

    @property
    def plan(self) -> dict[str, Any]:
        """The plan: cells, tasks, sizes and settings."""
        return self.results["plan"]  # type: ignore[no-any-return]

    @property
    def runs(self) -> list[Record]:
        """Records of the runs."""
        return self.results["runs"]  # type: ignore[no-any-return]

    @property
    def sweep(self) -> list[Record]:
        """Records of the short runs of the learning rate sweep."""
        return self.results["sweep"]  # type: ignore[no-any-return]

    @property
    def summary(self) -> list[Row]:
        """Rows for each task and cell: mean, standard deviation, rank and so on over the seeds."""
        return self.results["summary"]  # type: ignore[no-any-return]

    @property
    def overall(self) -> list[Row]:
        """Rows for each cell: its mean rank over the tasks, the best first."""
        return self.results["overall"]  # type: ignore[no-any-return]

    @property
    def failures(self) -> list[Record]:
        """Records of the runs, sweep included, that did not finish."""
        return [record for record in (*self.sweep, *self.runs) if record["status"] != "finished"]

    def table(self) -> str:
        """The tables as plain text."""
        from zoo.comparison.tables import make_tables
        from zoo.tables import plain_text

        return "\n\n".join(map(plain_text, make_tables(self.results)))


def read_results(folder: Path) -> dict[str, Any]:
    """Read ``results.json`` of a directory, and check every record against its schema.

    Raises:
        CheckpointError: if it is missing, damaged, or from another version.
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
    results["tasks"] = {name: _check_task(task, f"{path}, tasks") for name, task in tasks.items()}
    for row in results["summary"]:
        if row["task"] not in results["tasks"]:
            raise CheckpointError(f"{path}, tasks lacks {quote(row['task'])}, which its summary names.")
    return results


def _check_task(task: Any, where: str) -> dict[str, Any]:
    info = check_record(task, TASK_SCHEMA, where)
    if not isinstance(task.get("options"), dict):
        raise CheckpointError(f"{where}, {quote(info['name'])}: options is not an object.")
    return {**info, "options": task["options"]}


def write_results(
    folder: Path, metadata: Mapping[str, Any], sweep: Sequence[Record], runs: Sequence[Record]
) -> None:
    """Write ``results.json`` and ``results.csv``.

    Args:
        folder: Directory of the comparison.
        metadata: Fields apart from the records.
        sweep: Records of the sweep.
        runs: Records of the runs.

    Raises:
        CheckpointError: if they cannot be written.
    """
    results = {
        "format": FORMAT,
        **metadata,
        "runs": list(runs),
        "sweep": list(sweep),
        "summary": summarize(runs),
        "overall": overall(runs),
    }
    write_json(folder / RESULTS_FILE, results)
    write_bytes(folder / TABLE_FILE, as_csv(runs).encode("utf-8", "backslashreplace"))  # a lone surrogate


def as_csv(runs: Sequence[Record]) -> str:
    """Format records as CSV with a header; None becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(runs[0]) if runs else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    return text.getvalue()
