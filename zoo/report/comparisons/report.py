"""A comparison as a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError
from zoo.report.blocks import Fact, Facts, Report, Section, Text, Tile
from zoo.report.comparisons.charts import references, score_axis, task_charts
from zoo.report.comparisons.results import Results, read_results
from zoo.report.comparisons.tables import failures, overview, task_table


def comparison_report(path: Path) -> Report:
    """The report of a comparison, which may still be going on.

    Args:
        path: Its directory.

    Raises:
        CheckpointError: if its results are missing, damaged, or of another version.
    """
    results = read_results(path)
    if not results.runs:
        raise CheckpointError(f"{path} holds a comparison without a single run; there is nothing to report.")
    cells, tasks = results.cells, results.tasks
    subtitle = f"{', '.join(cells)} on {', '.join(tasks)}"
    return Report(path.resolve().name, subtitle, tuple(_tiles(results)), tuple(_sections(results)))


def _tiles(results: Results) -> Iterator[Tile]:
    runs = results.runs
    yield Tile("cells", f"{len(results.cells)}")
    yield Tile("tasks", f"{len(results.tasks)}")
    failed = sum(bool(run.error) for run in runs)
    yield Tile("runs", f"{len(runs)}", f"{failed} failed" if failed else "none failed")
    name, rank, *_ = overview(results).rows[0]
    if rank.value is not None:
        yield Tile("best mean rank", str(name.value), f"{rank.value} over the tasks")
    hours = sum(run.seconds or 0 for run in runs) / 3600
    yield Tile("training time", f"{hours:.3g} h", "of all runs together")


def _sections(results: Results) -> Iterator[Section]:
    yield Section("overview", "Overview", (overview(results), *failures(results)))
    for task in results.tasks:
        runs = results.of(task)
        levels = "; ".join(f"{reference.label} {reference.y:.4g}" for reference in references(runs))
        told = Text(f"{score_axis(runs).label}{f'; {levels}' if levels else ''}.")
        yield Section(f"task-{task}", task, (told, task_table(results, task), *task_charts(results, task)))
    yield Section("made-with", "Made with", (_plan(results.plan),))


def _plan(plan: Mapping[str, Any]) -> Facts:
    facts = tuple(Fact(name.replace("_", " "), _worded(value)) for name, value in plan.items())
    return Facts("configuration", "Configuration", facts, wide=True)


def _worded(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_worded(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_worded, value)) or "none"
    return "not set" if value is None else str(value)
