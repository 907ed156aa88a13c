"""Tables of the results of a comparison, for terminals, documents and the page of a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from zoo.arguments import as_choice, counted
from zoo.base.card import SCOPES
from zoo.base.metric import is_share, metric_text
from zoo.comparison.model_info import merge_layers
from zoo.comparison.number_text import NO_VALUE, difference_text, gain_text, number_text, score_text
from zoo.comparison.rank_sentences import rank_conclusions, rank_verdict
from zoo.comparison.sweep import sweep_verdict
from zoo.comparison.table_notes import (
    UNFINISHED_MARK,
    Info,
    cell_sentences,
    customary_sentences,
    gain_sentences,
    has_unfinished_runs,
    is_near_baseline,
    legend_text,
    size_sentences,
    unfinished_sentences,
)
from zoo.comparison.verdicts import verdict
from zoo.tables import Column, Number, Table, TableEntry, TextTable

if TYPE_CHECKING:
    from zoo.comparison.records import OverallRow, SummaryRow, TargetRow
    from zoo.comparison.results import Comparison


_NOTHING = TableEntry(None, NO_VALUE)
_PAPER_COLUMNS = (
    *("scope", "options", "parameters", "lr", "95 %", "gain", "clear", "difference", "verdict", "solved"),
    *("mean rank", "rank difference"),
)
_SCOPE = Column("scope", help="; ".join(f"{scope}: {meaning}" for scope, meaning in SCOPES.items()))


def make_tables(results: Comparison) -> list[Table]:
    """A table over all tasks, if there are several, then the tables of each task."""
    each = [table for task in results.tasks for table in task_tables(results, task)]
    return [overall_table(results), *each] if len(results.tasks) > 1 else each


def keep_columns(tables: Sequence[Table], columns: Sequence[str] | None, form: str) -> list[TextTable]:
    """Tables as text with the cell, the scores, and the columns with the given headings.

    Args:
        tables: Tables of `make_tables`.
        columns: Headings; None for all columns, or in LaTeX for those that fit on a page of a paper.
        form: The format.

    Raises:
        UsageError: if no table has a column with a heading.
    """
    if columns is None:
        if form != "latex":
            return [table.as_text() for table in tables]
        columns = _PAPER_COLUMNS
    else:
        headings = tuple(dict.fromkeys(column.label for table in tables for column in table.columns))
        for column in columns:
            as_choice(column, "Comparison.table: a column", headings)
    return [
        table.as_text().select(
            index
            for index, column in enumerate(table.columns)
            if column.label in ("cell", "target") or column.heat or column.label in columns
        )
        for table in tables
    ]


def overall_table(results: Comparison, with_solved: bool = False) -> Table:
    """The table over all tasks: a row for each cell, the best first, and a column for each task.

    Args:
        results: The comparison.
        with_solved: Whether the number of solved runs follows each score.
    """
    tasks, ranked = results.tasks, max((row.tasks for row in results.overall), default=0)
    left_out = []
    if missing := len(tasks) - ranked:
        do = "does" if missing == 1 else "do"
        left_out = [f"{counted(missing, 'task')} without a score of each cell {do} not count."]
    columns = (
        Column("cell"),
        _SCOPE,
        Column("mean rank", "number", "over the tasks; 1 is the best"),
        Column("95 %", "number", "interval of the mean rank, over tasks and seeds", spare=1),
        *(_rank_difference_columns(results.reference) if results.reference else [_RANK_GAP]),
        *(Column(task, "number", "mean score over the seeds", heat=True) for task in tasks),
        Column("solved", "number", "runs that reached the threshold of their task"),
        Column("training s", "seconds", "time of all updates of all runs", spare=2),
    )
    legend = " ".join(
        [
            "mean rank: the rank of a cell on each task by its mean score, averaged over tasks; 1 is best. "
            "The columns of the tasks hold mean scores. solved: runs that solved their task.",
            *left_out,
            *rank_conclusions(results),
        ]
    )
    rows = tuple(tuple(_overall_row(results, row, with_solved)) for row in results.overall)
    hatch, marks = _hatch_text(results, tasks), _marks_text(results, tasks)
    return Table("cells-and-tasks", "All tasks", columns, rows, legend, hatch=hatch, marks=marks)


def _overall_row(results: Comparison, row: OverallRow, with_solved: bool) -> Iterator[TableEntry]:
    yield from _name_and_scope(results, row.cell)
    yield _entry(row.rank, ".2f")
    yield _interval(row.rank, row.low, row.high, ".1f")
    if results.reference is None:
        yield _rank_with_interval(row.rank_gap, row.rank_gap_low, row.rank_gap_high)
    else:
        difference = row.rank_difference, row.rank_difference_low, row.rank_difference_high
        yield _rank_with_interval(*difference)
        yield TableEntry(_verdict_text(results, row.cell, rank_verdict(row)))
    rows_by_task = {each.task: each for each in results.summary if each.cell == row.cell}
    for task in results.tasks:
        each = rows_by_task.get(task)
        has_solved = with_solved and each and each.mean is not None and results.threshold(task) is not None
        solved = f" ({each.solved}/{each.seeds})" if each and has_solved else ""
        score = NO_VALUE if each is None else _mean_text(results, each)
        yield TableEntry(each.mean if each else None, score + solved, **_background(results, each))
    yield TableEntry(row.solved, _fraction(row.solved, row.solvable))
    yield TableEntry(row.seconds, _seconds(row.seconds))


def _rank_with_interval(value: float | None, low: float | None, high: float | None) -> TableEntry:
    interval = "" if low is None or high is None else f" [{low:.1f}, {high:.1f}]"
    return TableEntry(value, number_text(value, ".1f") + interval)


def task_tables(results: Comparison, task: str) -> Iterator[Table]:
    """The table of a task, and of a data set with several targets the table of each target."""
    yield task_table(results, task)
    if rows := [row for row in results.targets if row.task == task]:
        yield _target_table(results, rows, task)


def _target_table(results: Comparison, rows: Sequence[TargetRow], task: str) -> Table:
    targets = list(dict.fromkeys(row.target for row in rows))
    rows = sorted(rows, key=lambda row: targets.index(row.target))
    columns = (
        Column("target"),
        Column("cell"),
        Column(metric_text(rows[0].metric), "number", "mean score over the seeds", heat=True),
        Column("best baseline", "text", "the best baseline of this target"),
        Column("its score", "number"),
        *_GAIN_COLUMNS,
    )
    texts = (
        (
            TableEntry(row.target),
            TableEntry(row.cell),
            TableEntry(row.mean, number_text(row.mean, ".4g") + _mark(results, row)),
            TableEntry(row.best_baseline),
            _entry(row.baseline, ".4g"),
            *_gain_entries(row),
        )
        for row in rows
    )
    note = "Gain over the best baseline of each target, which may differ from the best one of all targets."
    title, marks = f"{task}: each target", _marks_text(results, [task])
    return Table(f"{task}-targets", title, columns, tuple(texts), note, marks=marks)


def task_table(results: Comparison, task: str) -> Table:
    """The table of a task: a row for each cell, and of a data set for each baseline, the best first."""
    info = results.section("tasks")[task]
    baselines, metric = info["baselines"], metric_text(info["metric"])
    columns = (
        Column("cell"),
        _SCOPE,
        *([_OPTIONS] if any(map(results.stated_options, results.cells)) else []),
        Column("H", "integer", "hidden units", spare=8 if baselines else 7),
        Column("parameters", "integer", "of all layers, the readout and an embedding"),
        *_part_columns(results),
        Column("lr", "number", "the chosen learning rate; edge or plateau if the sweep has not decided"),
        Column(metric, "number", "mean score over the seeds ± standard deviation", heat=True),
        Column("95 %", "number", "Student's interval of the mean over three or more seeds", spare=9),
        *(_difference_columns(results.reference) if results.reference else ()),
        *(_gain_columns(results.reference) if baselines else ()),
        Column("worst", "number", "score of the worst run", spare=2),
        Column("best", "number", "score of the best run", spare=3),
        *(() if baselines else _THRESHOLD_COLUMNS),
        Column("symbols/s", "number", "training speed", spare=1),
        Column("training s", "seconds", "time of all updates of a run", spare=7 if baselines else 6),
        Column("rank", "number", "1 is the best", spare=6 if baselines else 0),
    )
    summary = sorted((row for row in results.summary if row.task == task), key=lambda row: row.rank)
    scored = [(row.mean, _task_row(results, row)) for row in summary]
    if baselines:
        scored += [(each["value"], _baseline_row(name, each, info)) for name, each in baselines.items()]
        sign = -1 if info["higher_is_better"] else 1
        scored.sort(key=lambda pair: math.inf if pair[0] is None else sign * pair[0])
    rows = tuple(tuple(values.get(column.label, _NOTHING) for column in columns) for _, values in scored)
    note = " ".join(
        [
            legend_text(info),
            *gain_sentences(summary, info),
            *cell_sentences(results, summary),
            *size_sentences(results, summary),
            *customary_sentences(results),
        ]
    )
    title, hatch, marks = _title(task, info), _hatch_text(results, [task]), _marks_text(results, [task])
    return Table(f"{task}-scores", title, columns, rows, note, hatch=hatch, marks=marks)


_RANK_GAP = Column("rank gap", "number", "ranks behind the best other cell, with its interval", spare=3)


def _rank_difference_columns(reference: str) -> list[Column]:
    """Columns of the table over all tasks."""
    return [
        Column("rank difference", "number", f"mean rank less the one of {reference}, with its interval"),
        Column("verdict", "text", f"whether the interval of the rank difference to {reference} excludes 0"),
    ]


def _difference_columns(reference: str) -> list[Column]:
    """Columns of the table of a task."""
    meaning = f"mean of the score less the score of {reference} with the same seed, with a 95 % interval"
    return [
        Column("difference", "number", meaning),
        Column("verdict", "text", f"whether the interval of the difference to {reference} excludes 0"),
    ]


_OPTIONS = Column(
    "options", help="options that are not the defaults, and those with a customary value", spare=10
)
_PART_COLUMNS = {
    "cell": Column("of cells", "integer", "parameters of the cells without their blocks", spare=2),
    "block": Column("of blocks", "integer", "parameters of the blocks around the cells", spare=2),
    "readout": Column("of readout", "integer", "parameters of the readout", spare=2),
    "embedding": Column("of embedding", "integer", "parameters of the embedding", spare=2),
}
"""Columns of the parameters by part of a model."""
_THRESHOLD_COLUMNS = (
    Column("solved", "number", "how many seeds reached the threshold in the test"),
    Column("steps to solve", "integer", "updates until a validation reached the threshold", spare=5),
    Column("s to solve", "seconds", "training time until a validation reached the threshold", spare=4),
)
_GAIN_COLUMNS = (
    Column("gain", "share", "over the best baseline, with a 95 % interval over the test part and the seeds"),
    Column("clear", "text", "whether the interval of the gain excludes 0"),
)


def _gain_columns(reference: str | None) -> Iterator[Column]:
    """The columns of the gain, which a narrow terminal leaves out last if there is a reference cell."""
    for column, spare in zip(_GAIN_COLUMNS, (12, 11), strict=True):  # the verdict first, which needs the gain
        yield replace(column, spare=spare) if reference else column


def _task_row(results: Comparison, row: SummaryRow) -> dict[str, TableEntry]:
    """The entries of a row by heading."""
    deviation = "" if row.spread is None else f" ± {row.spread:.2g}"
    higher_is_better = results.section("tasks")[row.task]["higher_is_better"]
    gain, clear = _gain_entries(row, higher_is_better)
    difference = row.difference, row.difference_low, row.difference_high
    word = verdict(row.difference_low, row.difference_high, higher_is_better)
    metric, mean = metric_text(row.metric), _mean_text(results, row, deviation)
    has_failed = row.mean is None
    seeds = 0 if has_failed or results.threshold(row.task) is None else row.seeds
    name, scope = _name_and_scope(results, row.cell)
    options = assignments(results, row.cell, results.stated_options(row.cell))
    return {
        "cell": name,
        "scope": scope,
        "options": TableEntry(options, options or NO_VALUE),
        "H": _entry(row.hidden, ","),
        "parameters": _entry(row.parameters, ","),
        **_parts(results, row),
        "lr": _NOTHING if has_failed else _rate(results, row),
        metric: TableEntry(row.mean, mean, **_background(results, row)),
        "95 %": _interval(row.mean, row.low, row.high, ".4g"),
        "difference": TableEntry(row.difference, _difference_text(row.metric, *difference)),
        "verdict": TableEntry(_verdict_text(results, row.cell, word)),
        "gain": gain,
        "clear": clear,
        "worst": _entry(row.worst, ".4g"),
        "best": _entry(row.best, ".4g"),
        "solved": TableEntry(row.solved, _fraction(row.solved, seeds)),
        "steps to solve": _entry(row.steps_to_threshold, ",.0f"),
        "s to solve": TableEntry(row.seconds_to_threshold, _seconds(row.seconds_to_threshold)),
        "symbols/s": _entry(row.symbols_per_s, ",.0f"),
        "training s": _NOTHING if has_failed else TableEntry(row.seconds, _seconds(row.seconds)),
        "rank": _NOTHING if has_failed else _entry(row.rank, "g"),
    }


def _rate(results: Comparison, row: SummaryRow) -> TableEntry:
    return TableEntry(row.lr, " ".join(filter(None, (number_text(row.lr, "g"), sweep_verdict(results, row)))))


def _gain_entries(row: SummaryRow | TargetRow, in_points: bool = False) -> tuple[TableEntry, TableEntry]:
    """The gain with its interval, and the verdict."""
    text = gain_text(row.gain, row.gain_low, row.gain_high, in_points)
    return TableEntry(row.gain, text), TableEntry(verdict(row.gain_low, row.gain_high) or NO_VALUE)


def _difference_text(metric: str, value: float | None, low: float | None, high: float | None) -> str:
    """The difference to the reference cell with its interval, of shares in percentage points."""
    return gain_text(value, low, high, True) if is_share(metric) else difference_text(value, low, high)


def _verdict_text(results: Comparison, cell: str, word: str | None) -> str:
    return "reference" if cell == results.reference else word or NO_VALUE


def _baseline_row(name: str, estimate: Info, info: Info) -> dict[str, TableEntry]:
    """The entries of the row of a baseline by heading."""
    score = TableEntry(estimate["value"], score_text(estimate["value"]))
    return {"cell": TableEntry(name), "scope": TableEntry("baseline"), metric_text(info["metric"]): score}


def _parts(results: Comparison, row: SummaryRow) -> dict[str, TableEntry]:
    """The parameters by part of the model, if a cell has a block."""
    counts = results.metadata.get("parameters", {}).get(row.task, {}).get(row.cell, {})
    return {_PART_COLUMNS[part].label: _entry(count, ",") for part, count in counts.items()}


def _part_columns(results: Comparison) -> list[Column]:
    """The columns of the parts that a model of the comparison has."""
    counts_by_task = results.metadata.get("parameters", {}).values()
    parts = {
        part for counts_by_cell in counts_by_task for counts in counts_by_cell.values() for part in counts
    }
    return [column for part, column in _PART_COLUMNS.items() if part in parts]


def _name_and_scope(results: Comparison, cell: str) -> tuple[TableEntry, TableEntry]:
    scope = results.scope(cell)
    return TableEntry(cell), TableEntry(scope, scope or NO_VALUE)


class _Background(TypedDict, total=False):
    """Arguments of a `TableEntry`."""

    shade: float
    hatched: bool


def _background(results: Comparison, row: SummaryRow | None) -> _Background:
    """The shade of a mean, or lines if the mean is no better than the baseline; empty without a mean."""
    if row is None or row.mean is None:
        return {}
    if _is_at_baseline(results, row, row.mean):
        return {"hatched": True}
    return {"shade": _shade(results, row, row.mean)}


def _is_at_baseline(results: Comparison, row: SummaryRow, mean: float) -> bool:
    """Whether a mean is at chance, or on a data set no better than the best baseline."""
    info = results.section("tasks")[row.task]
    if not info["baselines"] or info["baseline"] is None:
        return is_near_baseline(results, row)
    return bool(mean <= info["baseline"] if info["higher_is_better"] else mean >= info["baseline"])


def _hatch_text(results: Comparison, tasks: Sequence[str]) -> str:
    """The meaning of hatched scores, empty without one."""
    rows = [row for row in results.summary if row.task in tasks and _background(results, row).get("hatched")]
    is_data = [bool(results.section("tasks")[row.task]["baselines"]) for row in rows]
    texts = ["than without memory"] * (not all(is_data)) + ["than the best baseline"] * any(is_data)
    return f"no better {' or '.join(texts)}" if rows else ""


def _shade(results: Comparison, row: SummaryRow, mean: float) -> float:
    """Position of a mean between the worst of the task, 0, and the best, 1."""
    means = [each.mean for each in results.summary if each.task == row.task and each.mean is not None]
    low, high = min(means), max(means)
    position = (mean - low) / (high - low) if high > low else 1.0
    is_higher_better = results.section("tasks")[row.task]["higher_is_better"]
    return round(position if is_higher_better or high == low else 1.0 - position, 3)


def _title(task: str, info: Info) -> str:
    options = ", ".join(f"{name}={_option_text(value)}" for name, value in info["options"].items())
    return f"{task} ({options})" if options else task


def _option_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value}"


def assignments(results: Comparison, cell: str, options: Mapping[str, Any], separator: str = " ") -> str:
    """Options as ``NAME=VALUE``; those that are equal in all layers of a stack once."""
    merged = merge_layers(options, results.options(cell))
    return separator.join(f"{name}={value}" for name, value in merged.items())


def _fraction(count: int, whole: int) -> str:
    return f"{count}/{whole}" if whole else NO_VALUE


def _mean_text(results: Comparison, row: SummaryRow, deviation: str = "") -> str:
    return "failed" if row.mean is None else score_text(row.mean) + deviation + _mark(results, row)


def _mark(results: Comparison, row: SummaryRow | TargetRow) -> str:
    return f" {UNFINISHED_MARK}" if has_unfinished_runs(results, row.task, row.cell) else ""


def _marks_text(results: Comparison, tasks: Sequence[str]) -> str:
    """The meaning of the mark of a score; empty if all runs finished."""
    sentences = " ".join(unfinished_sentences(results, tasks))
    return f"{UNFINISHED_MARK} {sentences}" if sentences else ""


def _seconds(value: float | None) -> str:
    """Format a time with three digits."""
    return NO_VALUE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _interval(value: Number, low: float | None, high: float | None, form: str) -> TableEntry:
    """An interval, which is sorted by the value in it."""
    return TableEntry(value, NO_VALUE if low is None or high is None else f"{low:{form}} to {high:{form}}")


def _entry(value: Number, form: str) -> TableEntry:
    return TableEntry(value, number_text(value, form))
