"""What came of a run, read from its directory: a function of the log, so that a killed run tells the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.arguments import short_repr
from zoo.comparison.jobs import Job, Record
from zoo.comparison.record_schemas import RUN_SCHEMA
from zoo.errors import CheckpointError
from zoo.storage import write_json
from zoo.storage.reading import exists, read_json
from zoo.storage.record_schema import check_record, is_bounded_float
from zoo.training import TaskScore

FORMAT = 1
FILE = "result.json"
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
    write_json(folder / FILE, {"format": FORMAT, "record": record})


def read_record(root: Path, job: Job) -> Record | None:
    """The record of a run that is done; None if it is not.

    Raises:
        CheckpointError: if it cannot be read, or is of another run.
    """
    path = root / job["path"] / FILE
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
