"""Tables of a comparison: cells against tasks, the cells of one task, what failed."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.contracts.card import SCOPES
from zoo.report.blocks import Column, Entry, Number, Table
from zoo.report.comparison.results import Results, Standing, Summary
from zoo.report.wording import score_axis, words

_SCOPE = Column("scope", "text", "; ".join(f"{scope}: {words}" for scope, words in SCOPES.items()))
_OVERVIEW = (
    Column("cell"),
    _SCOPE,
    Column("mean rank", "number", "over the tasks; 1 is the best"),
    Column("95 %", "text", "interval of the mean rank, by bootstrap over the seeds"),
    Column("solved", "number", "runs that reached the threshold of their task"),
)
_COLUMNS = (
    Column("cell"),
    _SCOPE,
    Column("rank", "number", "1 is the best"),
    Column("mean", "number", "mean score over the seeds", heat=True),
    Column("95 %", "text", "interval of the mean, by bootstrap over the seeds"),
    Column("spread", "number", "standard deviation over the seeds"),
    Column("best", "number"),
    Column("worst", "number"),
    Column("solved", "number", "how many seeds reached the threshold"),
    Column("parameters", "integer"),
    Column("H", "integer", "hidden units"),
    Column("lr", "number", "the learning rate chosen for the cell"),
    Column("to threshold", "seconds", "time until the threshold was reached"),
    Column("symbols/s", "number", "training speed"),
)
_NOTE = (
    "Mean score over the seeds, and how many of them solved the task. The shade goes from the worst mean of "
    "the task to the best."
)


def overview(results: Results) -> Table:
    """Mean scores, a row for each cell, a column for each task; the best are the darkest."""
    columns = [
        Column(words(task), "number", score_axis(first.metric, first.higher_is_better).label, heat=True)
        for task in results.tasks
        for first in results.of(task)[:1]
    ]
    rows = tuple((*_standing(results, row), *_scores(results, row.cell)) for row in results.overall)
    return Table("cells-and-tasks", "Cells and tasks", (*_OVERVIEW, *columns), rows, _NOTE)


def task_table(results: Results, task: str) -> Table:
    """The cells of a task, the best first."""
    rows = [row for row in results.summary if row.task == task]
    rows.sort(key=lambda row: row.rank)
    return Table(f"{task}-scores", "Scores", _COLUMNS, tuple(_task_row(results, row) for row in rows))


def failures(results: Results) -> Iterator[Table]:
    """The runs that did not end well, if there are any."""
    rows = tuple(
        _entries(run.path, run.task, run.cell, run.seed, run.status, run.error)
        for run in (*results.sweep, *results.runs)
        if run.error or run.status != "finished"
    )
    if rows:
        labels = ("run", "task", "cell", "seed", "status", "why")
        columns = tuple(Column(label, "integer" if label == "seed" else "text") for label in labels)
        yield Table("failures", "Runs that failed", columns, rows)


def _entries(*values: str | Number) -> tuple[Entry, ...]:
    return tuple(Entry(value) for value in values)


def _standing(results: Results, row: Standing) -> tuple[Entry, ...]:
    rank = Entry(None if row.rank is None else round(row.rank, 2))
    interval = _interval(row.low, row.high, ".1f")
    solved = Entry(row.solved, _of(row.solved, row.runs))
    return Entry(row.cell), Entry(results.scope(row.cell)), rank, interval, solved


def _task_row(results: Results, row: Summary) -> tuple[Entry, ...]:
    return (
        *_entries(row.cell, results.scope(row.cell)),
        Entry(row.rank),
        Entry(row.mean, shade=_shade(results, row)),
        _interval(row.low, row.high),
        *_entries(row.spread, row.best, row.worst),
        Entry(row.solved, _of(row.solved, row.seeds)),
        *_entries(row.parameters, row.hidden, row.lr, row.seconds_to_threshold, row.symbols_per_s),
    )


def _scores(results: Results, cell: str) -> Iterator[Entry]:
    found = {row.task: row for row in results.summary if row.cell == cell}
    for task in results.tasks:
        row = found.get(task)
        if row is None or row.mean is None:
            yield Entry(None)
        else:
            text = f"{row.mean:.3g}"
            solved = _of(row.solved, row.seeds) if results.of(task)[0].threshold is not None else ""
            yield Entry(row.mean, f"{text} ({solved})" if solved else text, _shade(results, row))


def _interval(low: float | None, high: float | None, digits: str = ".3g") -> Entry:
    return Entry(None) if low is None or high is None else Entry(f"{low:{digits}} to {high:{digits}}")


def _of(count: int, total: int) -> str:
    return f"{count}/{total}"


def _shade(results: Results, row: Summary) -> float | None:
    """Where a mean lies between the worst of the task, 0, and the best, 1."""
    means = [other.mean for other in results.summary if other.task == row.task and other.mean is not None]
    if row.mean is None:
        return None
    low, high = min(means), max(means)
    share = (row.mean - low) / (high - low) if high > low else 1.0
    return round(share if results.of(row.task)[0].higher_is_better else 1.0 - share, 3)
