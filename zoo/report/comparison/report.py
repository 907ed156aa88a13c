"""A comparison as a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError
from zoo.report.blocks import Block, Fact, Facts, Prose, Report, Section, Text, Tile
from zoo.report.comparison.charts import task_charts
from zoo.report.comparison.results import Results, read_results
from zoo.report.comparison.tables import failures, overview, task_table
from zoo.report.wording import levels, score_axis, words


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
    subtitle = f"{', '.join(results.cells)} on {', '.join(map(words, results.tasks))}"
    return Report(path.resolve().name, subtitle, tuple(_tiles(results)), tuple(_sections(results)))


def _tiles(results: Results) -> Iterator[Tile]:
    runs = results.runs
    yield Tile("cells", f"{len(results.cells)}")
    yield Tile("tasks", f"{len(results.tasks)}")
    failed = sum(run.status != "finished" for run in runs)
    yield Tile("runs", f"{len(runs)}", f"{failed} failed" if failed else "none failed")
    for best in results.overall[:1]:
        rank = "" if best.rank is None else f"{best.rank:.3g} over the tasks"
        yield Tile("best mean rank", best.cell, rank)
    seconds = sum(run.seconds for run in (*results.sweep, *runs))
    yield Tile("training time", _time(seconds), "of all runs together")


def _time(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _sections(results: Results) -> Iterator[Section]:
    yield Section("overview", "Overview", (overview(results), *failures(results)))
    for task in results.tasks:
        blocks: tuple[Block, ...] = (_about(results, task), task_table(results, task))
        yield Section(f"task-{task}", words(task), (*blocks, *task_charts(results, task)))
    yield Section("made-with", "Made with", tuple(_made_with(results)))


def _about(results: Results, task: str) -> Text:
    """What the task asks, and how its scores are to be read."""
    first, found = results.of(task)[0], results.told("tasks").get(task)
    facts = found if isinstance(found, dict) else {}
    marks = [f"{mark.label} {mark.y:.4g}" for mark in levels(first.baseline, first.threshold)]
    score = "; ".join([score_axis(first.metric, first.higher_is_better).label, *marks])
    sentences = (str(facts.get("summary") or ""), f"{score[0].upper()}{score[1:]}.", _source(facts))
    return Text(" ".join(filter(None, sentences)))


def _source(facts: Mapping[str, Any]) -> str:
    source = str(facts.get("threshold_source") or "").rstrip(".")
    return f"The threshold: {source}." if source else ""


def _made_with(results: Results) -> Iterator[Block]:
    if command := results.facts.get("command"):
        yield Prose("command", "Command", (Text(str(command), fixed=True),))
    yield Facts("configuration", "Configuration", tuple(_plan(results.told("plan"))), wide=True)
    for name in ("machine", "versions"):
        if found := results.told(name):
            yield _facts(name, name.capitalize(), found)


def _plan(plan: Mapping[str, Any]) -> Iterator[Fact]:
    """What was to be compared; what was settled for each cell stands in the tables."""
    for name, value in plan.items():
        if isinstance(value, dict) and name != "settled":
            yield from (Fact(words(key), _worded(item)) for key, item in value.items())
        elif name not in ("format", "settled"):
            yield Fact(words(name), _worded(value))


def _facts(name: str, title: str, found: Mapping[str, Any]) -> Facts:
    return Facts(name, title, tuple(Fact(words(key), _worded(value)) for key, value in found.items()))


def _worded(value: Any) -> str:
    """A value in words; a cell or a task by its name, with its options."""
    if isinstance(value, dict) and "label" in value:
        name = " = ".join(dict.fromkeys((str(value["label"]), str(value.get("name")))))
        return f"{name} ({_worded(value['options'])})" if value.get("options") else name
    if isinstance(value, dict):
        return ", ".join(f"{name} {_worded(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_worded, value)) or "none"
    return "not set" if value is None else str(value)
