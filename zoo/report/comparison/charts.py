"""Charts of one task: scores against parameters and seconds, and how each cell came there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from zoo.errors import CheckpointError, ZooWarning
from zoo.report.blocks import Axis, Chart, Number, Series
from zoo.report.comparison.results import Result, Results
from zoo.report.history import History, number
from zoo.report.wording import levels, score_axis
from zoo.storage import RunDirectory

MOST_POINTS = 150  # of a curve
# Between the best error and the worst; from here on both are seen on a logarithmic axis alone.
MAGNITUDES = 100


def task_charts(results: Results, task: str) -> Iterator[Chart]:
    """The charts of a task, those with something to draw."""
    runs = results.of(task)
    first = runs[0]
    marks = levels(first.baseline, first.threshold)
    shared: dict[str, Any] = {"y": _scores(runs), "references": marks}
    for name, axis in (
        ("parameters", Axis("parameters", "integer", log=True)),
        ("seconds", Axis("training time", "seconds", log=True)),
    ):
        if series := tuple(_points(results.cells, runs, name)):
            title = f"Score against {'time' if name == 'seconds' else name}"
            yield Chart(f"{task}-{name}", title, axis, series=series, **shared)
    if series := tuple(_rates(results, task)):
        note = "What short runs reached, by which the learning rate of each cell was chosen."
        axis = Axis("learning rate", log=True, switch=False)
        yield Chart(f"{task}-rates", "Score against learning rate", axis, series=series, note=note, **shared)
    if series := tuple(sorted(_curves(results, runs), key=lambda each: not each.thin)):
        note = "A thin line for each seed, a thick one for their mean."
        axis = Axis("step", "integer", low=0)
        yield Chart(f"{task}-curves", "Score by step", axis, series=series, note=note, wide=True, **shared)


def _scores(runs: Sequence[Result]) -> Axis:
    """The axis of scores, logarithmic where errors are of different magnitudes."""
    axis = score_axis(runs[0].metric, runs[0].higher_is_better)
    found = [run.score for run in runs if run.score is not None]
    spans = bool(found) and 0 < min(found) < max(found) / MAGNITUDES
    return replace(axis, log=spans and not runs[0].higher_is_better)


def _points(cells: Sequence[str], runs: Sequence[Result], name: str) -> Iterator[Series]:
    """A point for each seed, in the colour of its cell."""
    for slot, cell in enumerate(cells):
        mine = [run for run in runs if run.cell == cell and None not in (run.score, getattr(run, name))]
        xs, ys = (tuple(number(getattr(run, key)) for run in mine) for key in (name, "score"))
        notes = tuple(f"seed {run.seed}, lr {run.lr}, H {run.hidden}" for run in mine)
        if mine:
            yield Series(cell, xs, ys, slot, marks=True, notes=notes)


def _rates(results: Results, task: str) -> Iterator[Series]:
    """A line for each cell over the learning rates that were tried, if there were several."""
    tried = [run for run in results.sweep if run.task == task]
    for slot, cell in enumerate(results.cells):
        mine = [run for run in tried if run.cell == cell and run.lr and run.score is not None]
        mine.sort(key=lambda run: run.lr or 0.0)
        if len({run.lr for run in mine}) > 1:
            rates, scores = (tuple(number(getattr(run, key)) for run in mine) for key in ("lr", "score"))
            yield Series(cell, rates, scores, slot)


def _curves(results: Results, runs: Sequence[Result]) -> Iterator[Series]:
    """A thin line for each seed of a cell, and a thick one for their mean."""
    for slot, cell in enumerate(results.cells):
        lines = [line for run in runs if run.cell == cell if (line := _curve(results, run))[0]]
        for line in lines:
            yield Series(cell, *_thinned(line), slot, thin=len(lines) > 1)
        if len(lines) > 1:
            yield Series(cell, *_thinned(_mean(lines)), slot)


Line = tuple[tuple[Number, ...], tuple[Number, ...]]


def _curve(results: Results, run: Result) -> Line:
    """The scores of a run by step; none, and a warning, where its log cannot be read."""
    try:
        history = History.read(RunDirectory(results.path / run.path))
    except CheckpointError as error:
        warnings.warn(f"the curve of {run.path} is left out: {error}", ZooWarning, stacklevel=2)
        return (), ()
    scores = history.points("eval", "score")
    return scores if scores[0] else history.points("eval", "loss")


def _mean(lines: Sequence[Line]) -> Line:
    """The mean over the seeds at the steps that all of them reached."""
    tables = [dict(zip(*line, strict=True)) for line in lines]
    steps = [step for step in tables[0] if all(table.get(step) is not None for table in tables)]
    return tuple(steps), tuple(
        number(sum(table[step] or 0 for table in tables) / len(tables)) for step in steps
    )


def _thinned(line: Line) -> Line:
    """A part of the points, the last among them, so that a page of hundreds of curves stays small."""
    count = len(line[0])
    every = max(1, -(-count // MOST_POINTS))
    kept = [place for place in range(count) if (count - 1 - place) % every == 0]
    return tuple(line[0][place] for place in kept), tuple(line[1][place] for place in kept)
