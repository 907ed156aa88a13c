"""What a comparison found: ``results.json`` and ``results.csv``, and the object that reads them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.arguments import as_path
from zoo.comparison.jobs import Record
from zoo.comparison.record_schemas import OVERALL_SCHEMA, RUN_SCHEMA, SUMMARY_SCHEMA, TASK_SCHEMA
from zoo.comparison.statistics import Row, overall, summarize
from zoo.errors import CheckpointError
from zoo.storage import write_bytes, write_json
from zoo.storage.reading import read_json
from zoo.storage.record_schema import MAX_BYTES, check_record, check_records
from zoo.storage.strict_json import quote

FORMAT = 1
FILE, TABLE = "results.json", "results.csv"


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
        from zoo.sheets import plain

        return "\n\n".join(map(plain, sheets(self.results)))


def read_results(folder: Path) -> dict[str, Any]:
    """Everything in ``results.json`` of a directory, with every record checked against its schema.

    Raises:
        CheckpointError: if it is missing, damaged, or of another version.
    """
    path = folder / FILE
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
    write_json(folder / FILE, results)
    write_bytes(folder / TABLE, as_csv(runs).encode("utf-8", "backslashreplace"))  # a lone surrogate


def as_csv(runs: Sequence[Record]) -> str:
    """A line for each run, under a line of headings; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(runs[0]) if runs else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    return text.getvalue()
