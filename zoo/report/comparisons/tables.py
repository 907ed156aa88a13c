"""Tables of a comparison: cells against tasks, the cells of one task, what failed."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.report.blocks import Column, Entry, Table
from zoo.report.comparisons.charts import score_axis
from zoo.report.comparisons.results import Results, Summary

_COLUMNS = (
    Column("cell"),
    Column("rank", "number", "1 is the best"),
    Column("mean", "number", "mean score over the seeds", heat=True),
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


def overview(results: Results) -> Table:
    """Mean scores, a row for each cell, a column for each task; the best are the darkest."""
    columns = [Column("cell"), Column("mean rank", "number", "over the tasks; 1 is the best")]
    columns += [
        Column(task, "number", score_axis(results.of(task)).label, heat=True) for task in results.tasks
    ]
    rows = [(Entry(cell), _mean_rank(results, cell), *_scores(results, cell)) for cell in results.cells]
    rows.sort(key=lambda row: (row[1].value is None, row[1].value or 0))
    note = (
        "Mean score over the seeds, and how many of them solved the task. The shade goes from the worst mean "
        "of the task to the best."
    )
    return Table("cells-and-tasks", "Cells and tasks", tuple(columns), tuple(rows), note)


def task_table(results: Results, task: str) -> Table:
    """The cells of a task, the best first."""
    rows = [row for row in results.summary if row.task == task]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0))
    return Table(f"{task}-scores", "Scores", _COLUMNS, tuple(_task_row(results, row) for row in rows))


def failures(results: Results) -> Iterator[Table]:
    """The runs that did not end well, if there are any."""
    rows = tuple(
        (
            Entry(run.path),
            Entry(run.task),
            Entry(run.cell),
            Entry(run.seed),
            Entry(run.status),
            Entry(run.error or ""),
        )
        for run in results.runs
        if run.error
    )
    if rows:
        labels = ("run", "task", "cell", "seed", "status", "why")
        columns = tuple(Column(label, "integer" if label == "seed" else "text") for label in labels)
        yield Table("failures", "Runs that failed", columns, rows)


def _task_row(results: Results, row: Summary) -> tuple[Entry, ...]:
    numbers = (row.spread, row.best, row.worst)
    return (
        Entry(row.cell),
        Entry(row.rank),
        Entry(row.mean, shade=_shade(results, row)),
        *map(Entry, numbers),
        Entry(row.solved, _solved(row)),
        Entry(row.parameters),
        Entry(row.hidden),
        Entry(row.lr),
        Entry(row.seconds_to_threshold),
        Entry(row.symbols_per_s),
    )


def _scores(results: Results, cell: str) -> Iterator[Entry]:
    found = {row.task: row for row in results.summary if row.cell == cell}
    for task in results.tasks:
        row = found.get(task)
        if row is None or row.mean is None:
            yield Entry(None)
        else:
            text = " ".join(filter(None, (f"{row.mean:.4g}", f"({_solved(row)})" if _solved(row) else "")))
            yield Entry(row.mean, text, _shade(results, row))


def _solved(row: Summary) -> str:
    return "" if row.solved is None or row.seeds is None else f"{row.solved}/{row.seeds}"


def _mean_rank(results: Results, cell: str) -> Entry:
    ranks = [row.rank for row in results.summary if row.cell == cell and row.rank is not None]
    return Entry(round(sum(ranks) / len(ranks), 2) if ranks else None)


def _shade(results: Results, row: Summary) -> float | None:
    """Where a mean lies between the worst of the task, 0, and the best, 1."""
    means = [other.mean for other in results.summary if other.task == row.task and other.mean is not None]
    if row.mean is None:
        return None
    low, high = min(means), max(means)
    share = (row.mean - low) / (high - low) if high > low else 1.0
    return round(share if results.of(row.task)[0].higher_is_better else 1.0 - share, 3)
