"""The report of a comparison: tables and charts for all tasks and for each one."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from zoo.arguments import counted
from zoo.comparison.number_text import enumerate_texts
from zoo.comparison.rank_sentences import has_rank_intervals
from zoo.comparison.records import RunRecord, SummaryRow
from zoo.comparison.results import Comparison
from zoo.comparison.size_tables import rank_size_table, task_size_tables, with_size
from zoo.comparison.table_notes import have_similar_parameters, unfinished_sentences
from zoo.comparison.tables import overall_table, task_tables
from zoo.errors import CheckpointError, ZooWarning
from zoo.report.blocks import (
    Axis,
    Chart,
    IntervalRow,
    Intervals,
    KeyValue,
    KeyValues,
    PageBlock,
    PageSection,
    Paragraphs,
    Reference,
    ReportPage,
    Series,
    TextBlock,
    Tile,
    key_values,
    readable,
    reference_levels,
    score_axis,
    value_text,
)
from zoo.report.history import RunHistory, number
from zoo.storage import RunDirectory
from zoo.tables import Column, Number, Table, TableEntry
from zoo.training.rate_search import longest_trials, worse_trials

MAX_POINTS = 150  # of a curve

# All of n independent values lie on one side of their median with a probability of 2 to the power of 1 - n.
BAND_NOTE = (
    "A line is the mean over the seeds, and its band reaches from the lowest to the highest seed. The band "
    "contains the median over all possible seeds with a probability of 75 % for three seeds, and 94 % for "
    "five. Thin lines are single seeds of a cell of which some ended early."
)

# Ratio of the largest error to the smallest, the baseline included, from which the axis is logarithmic.
MIN_LOG_RATIO = 10


RANK_NOTE = (
    "A point is the mean rank over the tasks, and 1 is the best. Its line is the 95 % interval of a paired "
    "bootstrap."
)
MEAN_NOTE = "A point is the mean over the seeds, and its line is the 95 % interval of the mean."


def rank_intervals(results: Comparison) -> Iterator[Intervals]:
    """Mean ranks of the cells over all tasks with intervals, if they have any."""
    if has_rank_intervals(results):
        rows = tuple(
            IntervalRow(row.cell, row.rank, row.low, row.high, results.cells.index(row.cell))
            for row in results.overall
            if row.rank is not None
        )
        yield Intervals("mean-ranks", "Mean ranks", Axis("mean rank, lower is better"), rows, note=RANK_NOTE)


def score_intervals(results: Comparison, task: str) -> Iterator[Intervals]:
    """Mean scores of the cells on a task with intervals, if there are several seeds."""
    rows = sorted(
        (row for row in results.summary if row.task == task and row.mean is not None),
        key=lambda row: row.rank,
    )
    if all(row.low is None for row in rows):
        return
    runs = results.runs_of(task)
    axis = _score_axis(runs)
    yield Intervals(
        f"{task}-scores",
        f"{readable(task)}: mean scores",
        replace(axis, log=False),
        tuple(
            IntervalRow(row.cell, row.mean, row.low, row.high, results.cells.index(row.cell))
            for row in rows
            if row.mean is not None
        ),
        _marks(results, task, runs[0]),
        MEAN_NOTE,
    )


SIZES_NOTE = (
    "A point is the mean over the seeds of a cell at one size, at the number of parameters of the cell. The "
    "band is the 95 % interval of the mean, from three seeds on."
)


def size_chart(results: Comparison, task: str) -> Iterator[Chart]:
    """The scores on a task against parameters, a line for each cell; none without any score.

    Bands end at the limits of the scores, which are 0 and 1 for shares such as accuracies. On a logarithmic
    axis, which has no 0, they end at a tenth of the lowest value.
    """
    runs = results.runs_of(task)
    axis, marks = _score_axis(runs), _marks(results, task, runs[0])
    means = [row.mean for row in results.summary if row.task == task and row.mean is not None]
    low, high = (0.0, 1.0) if axis.style == "share" else (-math.inf, math.inf)
    if axis.log:
        low = min([*means, *(mark.y for mark in marks if mark.y > 0)]) / MIN_LOG_RATIO
    if series := tuple(_size_lines(results, task, low, high)):
        ends = [end for row in results.summary if row.task == task for end in (row.low, row.high)]
        cuts = [
            f"{limit:.3g}"
            for limit, is_beyond in ((low, operator.lt), (high, operator.gt))
            if any(end is not None and is_beyond(end, limit) for end in ends)
        ]
        cut_note = [f"Bands are cut at {enumerate_texts(cuts)}."] if cuts else []
        yield Chart(
            f"{task}-sizes",
            f"{readable(task)}: score against parameters",
            Axis("parameters", "integer", log=True),
            axis,
            series,
            marks,
            " ".join([SIZES_NOTE, *cut_note, *unfinished_sentences(results, [task])]),
        )


def _size_lines(results: Comparison, task: str, lowest: float, highest: float) -> Iterator[Series]:
    """The line of each cell with its band within limits, and a mark for each size with a score."""
    for slot, cell in enumerate(results.cells):
        rows = [row for row in results.summary if (row.task, row.cell) == (task, cell)]
        rows.sort(key=lambda row: row.parameters)
        scored = [row for row in rows if row.mean is not None]
        if not scored:
            continue
        of_band = rows if any(row.low is not None for row in rows) else []
        low = tuple(None if row.low is None else max(row.low, lowest) for row in of_band)
        high = tuple(None if row.high is None else min(row.high, highest) for row in of_band)
        # A size without a score is a gap in the line.
        yield Series(cell, *_size_points(rows), slot, low=low, high=high)
        yield Series(cell, *_size_points(scored), slot, marks=True, notes=tuple(map(_size_note, scored)))


def _size_points(rows: Sequence[SummaryRow]) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    return tuple(row.parameters for row in rows), tuple(row.mean for row in rows)


def _size_note(row: SummaryRow) -> str:
    return f"H {row.hidden}, lr {row.lr}, {counted(row.seeds, 'seed')}"


def task_charts(results: Comparison, task: str) -> Iterator[Chart]:
    """Yield the charts of a task at one size that are not empty."""
    runs = results.runs_of(task)
    is_data = bool(results.section("tasks")[task]["baselines"])
    shared: dict[str, Any] = {"y": _score_axis(runs), "references": _marks(results, task, runs[0])}
    for name, axis in (
        ("parameters", Axis("parameters", "integer", log=True)),
        ("seconds", Axis("training time", "seconds", log=True)),
    ):
        if name == "parameters" and have_similar_parameters([run.parameters for run in runs]):
            continue
        if series := tuple(_points(results.cells, runs, name)):
            title = f"{readable(task)}: score against {'time' if name == 'seconds' else name}"
            yield Chart(f"{task}-{name}", title, axis, series=series, **shared)
    if is_data:
        shared["references"] = ()  # of the test part; the curves are scores of the validation part
    for quantity in ("score", "loss"):  # logs of older versions have no MASE of validations
        if series := tuple(_rates(results, task, quantity)):
            break
    if series:
        note = (
            "Results of the short runs that chose the learning rate of each cell. A mark is the chosen rate."
        )
        axis = Axis("learning rate", log=True, switch=False)
        yield Chart(
            f"{task}-rates",
            f"{readable(task)}: {quantity} against learning rate",
            axis,
            series=series,
            note=note,
            **_shared_by(quantity, shared),
        )
    quantity, curves = _curves(results, runs)
    if series := tuple(sorted(curves, key=lambda each: not each.thin)):
        note = BAND_NOTE if any(each.low for each in series) else ""
        axis = Axis("step", "integer", low=0)
        yield Chart(
            f"{task}-curves",
            f"{readable(task)}: {quantity} by step",
            axis,
            series=series,
            note=note,
            wide=True,
            **_shared_by(quantity, shared),
        )


def _marks(results: Comparison, task: str, run: RunRecord) -> tuple[Reference, ...]:
    """The best baseline of a data set, or the score without memory, and the threshold."""
    is_data = bool(results.section("tasks")[task]["baselines"])
    return reference_levels(run.baseline, run.threshold, "best baseline" if is_data else "without memory")


def _shared_by(quantity: str, shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """The vertical axis and reference levels of scores, or an axis of losses."""
    return shared if quantity == "score" else {"y": Axis("validation loss")}


def _score_axis(runs: Sequence[RunRecord]) -> Axis:
    """The axis of scores, logarithmic where errors are of different magnitudes."""
    axis = score_axis(runs[0].metric, runs[0].higher_is_better)
    scores = [score for run in runs for score in (run.score, run.baseline) if score is not None]
    is_wide = bool(scores) and 0 < min(scores) < max(scores) / MIN_LOG_RATIO
    return replace(axis, log=is_wide and not runs[0].higher_is_better)


def _points(cells: Sequence[str], runs: Sequence[RunRecord], name: str) -> Iterator[Series]:
    """A point for each seed, in the colour of its cell."""
    for slot, cell in enumerate(cells):
        of_cell = [run for run in runs if run.cell == cell and None not in (run.score, getattr(run, name))]
        xs, ys = (tuple(number(getattr(run, key)) for run in of_cell) for key in (name, "score"))
        notes = tuple(f"seed {run.seed}, lr {run.lr}, H {run.hidden}" for run in of_cell)
        if of_cell:
            yield Series(cell, xs, ys, slot, marks=True, notes=notes)


def _rates(results: Comparison, task: str, quantity: str) -> Iterator[Series]:
    """A line for each cell over the learning rates of its sweep, if there are several, and the chosen one.

    Of two runs at a rate, the worse one counts, as in the sweep. ``quantity`` is ``"score"`` or ``"loss"``.
    """
    swept = [run for run in results.sweep if run.task == task]
    chosen = {row.cell: row.lr for row in results.summary if row.task == task}
    for slot, cell in enumerate(results.cells):
        of_cell = worse_trials(longest_trials([run for run in swept if run.cell == cell]))
        of_cell = [run for run in of_cell if run.lr and getattr(run, quantity) is not None]
        of_cell.sort(key=lambda run: run.lr or 0.0)
        if len(of_cell) > 1:
            rates, values = (tuple(number(getattr(run, key)) for run in of_cell) for key in ("lr", quantity))
            yield Series(cell, rates, values, slot)
            if (rate := chosen.get(cell)) in rates:
                value = values[rates.index(rate)]
                yield Series(cell, (rate,), (value,), slot, marks=True, notes=("the chosen rate",))


def _curves(results: Comparison, runs: Sequence[RunRecord]) -> tuple[str, Iterator[Series]]:
    """``"score"`` or ``"loss"``, and its curves: for each cell the mean over its seeds, and their range.

    Curves show the loss if no run has scores of validations in the metric of the comparison.
    """
    histories = {run.path: history for run in runs if (history := _read_history(results, run))}
    scored = {
        run.path: history
        for run in runs
        if (history := histories.get(run.path))
        and history.last("eval").get("metric", run.metric) == run.metric
        and history.points("eval", "score")[0]
    }
    quantity = "score" if scored else "loss"
    return quantity, _lines(results.cells, runs, scored or histories, quantity)


def _lines(
    cells: Sequence[str], runs: Sequence[RunRecord], histories: Mapping[str, RunHistory], quantity: str
) -> Iterator[Series]:
    for slot, cell in enumerate(cells):
        of_cell = (histories[run.path] for run in runs if run.cell == cell and run.path in histories)
        lines = [line for history in of_cell if (line := history.points("eval", quantity))[0]]
        if len({steps for steps, _ in lines}) > 1:  # the mean ends with the first seed that ended early
            for steps, values in lines:
                yield Series(cell, _thin_out(steps), _thin_out(values), slot, thin=True)
        if lines:
            steps, mean, low, high = map(_thin_out, _mean_and_range(lines))
            ends = (low, high) if len(lines) > 1 else ((), ())
            yield Series(cell, steps, mean, slot, low=ends[0], high=ends[1])


Line = tuple[tuple[Number, ...], tuple[Number, ...]]


def _read_history(results: Comparison, run: RunRecord) -> RunHistory | None:
    """The history of a run; None, with a warning, if its log cannot be read."""
    try:
        return RunHistory.read(RunDirectory(results.path / run.path))
    except CheckpointError as error:
        warnings.warn(f"the curve of {run.path} is left out: {error}", ZooWarning, stacklevel=2)
        return None


def _mean_and_range(lines: Sequence[Line]) -> Sequence[tuple[Number, ...]]:
    """Steps that all seeds have, and the mean, the lowest and the highest value at each of them."""
    tables = [dict(zip(*line, strict=True)) for line in lines]
    steps = [step for step in tables[0] if all(table.get(step) is not None for table in tables)]
    values = [[table[step] or 0 for table in tables] for step in steps]
    columns = ([number(each(row)) for row in values] for each in (fmean, min, max))
    return [tuple(column) for column in (steps, *columns)]


def _thin_out(values: tuple[Number, ...]) -> tuple[Number, ...]:
    """At most `MAX_POINTS` values with the last one, so that a page of hundreds of curves stays small."""
    stride = max(1, -(-len(values) // MAX_POINTS))
    return values[(len(values) - 1) % stride :: stride] if values else values


def failures(results: Comparison) -> Iterator[Table]:
    """The table of failed runs, if any."""
    rows = tuple(
        tuple(map(TableEntry, (run.path, run.task, run.cell, run.seed, run.status, run.error)))
        for run in results.failures
    )
    if rows:
        labels = ("run", "task", "cell", "seed", "status", "why")
        columns = tuple(Column(label, "integer" if label == "seed" else "text") for label in labels)
        yield Table("failures", "Runs that failed", columns, rows)


def comparison_report(path: Path) -> ReportPage:
    """Make the report of a comparison, which may still be running.

    Args:
        path: Its directory.

    Raises:
        CheckpointError: if its results are missing, damaged, or of another version.
    """
    results = Comparison(path)
    if not results.runs:
        raise CheckpointError(f"{path} holds a comparison without a single run; there is nothing to report.")
    subtitle = f"{', '.join(results.cells)} on {', '.join(map(readable, results.tasks))}"
    return ReportPage(path.resolve().name, subtitle, tuple(_tiles(results)), tuple(_sections(results)))


def _tiles(results: Comparison) -> Iterator[Tile]:
    runs = results.runs
    yield Tile("cells", f"{len(results.cells)}")
    yield Tile("tasks", f"{len(results.tasks)}")
    if results.has_several_sizes:
        yield Tile("sizes", f"{len(results.sizes)}", results.size_text(results.sizes))
    failed = sum(run.status != "finished" for run in runs)
    yield Tile("runs", f"{len(runs)}", f"{failed} failed" if failed else "none failed")
    largest = results.sizes[-1]
    for best in results.at_size(largest).overall[:1]:
        size = f", at {results.size_text([largest])}" if results.has_several_sizes else ""
        rank = "" if best.rank is None else f"{best.rank:.3g} over the tasks{size}"
        yield Tile("best mean rank", best.cell, rank)
    seconds = sum(run.seconds for run in (*results.sweep, *runs))
    yield Tile("training time", _time(seconds), "of all runs together")


def _time(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _sections(results: Comparison) -> Iterator[PageSection]:
    if results.has_several_sizes:
        yield from _sections_of_sizes(results)
    else:
        yield PageSection("overview", "Overview", (*_overview(results), *failures(results)))
        for task in results.tasks:
            yield PageSection(
                f"task-{task}", readable(task), (_summary(results, task), *_task(results, task))
            )
    yield PageSection("made-with", "Made with", tuple(_made_with(results)))


def _sections_of_sizes(results: Comparison) -> Iterator[PageSection]:
    """The overview and each task over all sizes, then both at each size."""
    rank_tables = [rank_size_table(results)] if len(results.tasks) > 1 else []
    yield PageSection("overview", "Overview", (*rank_tables, *failures(results)))
    for task in results.tasks:
        blocks: tuple[PageBlock, ...] = (*task_size_tables(results, task), *size_chart(results, task))
        yield PageSection(f"task-{task}", readable(task), (_summary(results, task), *blocks))
    for size in results.sizes:
        at_size, text = results.at_size(size), results.size_text([size])
        sections: dict[str, tuple[str, Blocks]] = {}
        if len(at_size.tasks) > 1:
            sections["cells"] = "All tasks", _overview(at_size)
        sections |= {f"task-{task}": (readable(task), _task(at_size, task)) for task in at_size.tasks}
        for name, (title, own) in sections.items():
            named = tuple(with_size(block, results, size) for block in own)
            yield PageSection(f"size-{size}-{name}", f"{title}, {text}", named)


Blocks = tuple[Table | Chart | Intervals, ...]


def _overview(results: Comparison) -> Blocks:
    return (overall_table(results, with_solved=True), *rank_intervals(results))


def _task(results: Comparison, task: str) -> Blocks:
    return (
        *task_tables(results, task),
        *score_intervals(results, task),
        *task_charts(results, task),
    )


def _summary(results: Comparison, task: str) -> TextBlock:
    return TextBlock(str(results.section("tasks")[task]["summary"]))


def _made_with(results: Comparison) -> Iterator[PageBlock]:
    if command := results.metadata.get("command"):
        yield Paragraphs("command", "Command", (TextBlock(str(command), fixed=True),))
    yield KeyValues("configuration", "Configuration", tuple(_plan(results.section("plan"))), wide=True)
    for name in ("machine", "versions"):
        if values := results.section(name):
            yield key_values(name.capitalize(), values)


def _plan(plan: Mapping[str, Any]) -> Iterator[KeyValue]:
    """The plan, except digests of code, and the sizes of each cell, which are in the tables."""
    for name, value in plan.items():
        if name in ("format", "settled", "sources"):
            continue
        if isinstance(value, dict):
            yield from (KeyValue(readable(key), value_text(item)) for key, item in value.items())
        else:
            yield KeyValue(readable(name), value_text(value))
