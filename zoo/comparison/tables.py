"""Tables of the results of a comparison, for terminals, documents and the page of a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.arguments import as_choice
from zoo.base.card import SCOPES
from zoo.base.metric import is_share, metric_text
from zoo.comparison.model_info import merge_layers
from zoo.comparison.number_text import NO_VALUE, difference_text, gain_text, number_text, score_text
from zoo.comparison.rank_sentences import left_out_sentences, rank_conclusions, rank_verdict
from zoo.comparison.size_tables import size_tables, with_size
from zoo.comparison.table_entries import (
    NOTHING,
    deviation_text,
    fraction_text,
    hatch_text,
    interval_entry,
    marks_text,
    mean_text,
    name_and_scope,
    number_entry,
    rate_entry,
    score_background,
    seconds_text,
    task_title,
    unfinished_mark,
)
from zoo.comparison.table_notes import (
    Info,
    cell_sentences,
    customary_sentences,
    gain_sentences,
    legend_text,
    parameter_sentences,
)
from zoo.comparison.verdicts import verdict
from zoo.tables import Column, Table, TableEntry, TextTable

if TYPE_CHECKING:
    from zoo.comparison.records import OverallRow, SummaryRow, TargetRow
    from zoo.comparison.results import Comparison


_PAPER_COLUMNS = (
    *("scope", "options", "parameters", "lr", "95 %", "gain", "clear", "difference", "verdict", "solved"),
    *("mean rank", "rank difference"),
)
_SCOPE = Column("scope", help="; ".join(f"{scope}: {meaning}" for scope, meaning in SCOPES.items()))


def make_tables(results: Comparison) -> list[Table]:
    """A table over all tasks, if there are several, then the tables of each task.

    With several sizes, tables with a column for each size come first, then all tables of each size.
    """
    if results.has_several_sizes:
        of_sizes = [table for size in results.sizes for table in _tables_at_size(results, size)]
        return [*size_tables(results), *of_sizes]
    each = [table for task in results.tasks for table in task_tables(results, task)]
    return [overall_table(results), *each] if len(results.tasks) > 1 else each


def _tables_at_size(results: Comparison, size: int) -> list[Table]:
    tables = make_tables(results.at_size(size))
    return [with_size(table, results, size) for table in tables]


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
    tasks = results.tasks
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
            *left_out_sentences(results, results.overall),
            *rank_conclusions(results),
        ]
    )
    rows = tuple(tuple(_overall_row(results, row, with_solved)) for row in results.overall)
    hatch, marks = hatch_text(results, tasks), marks_text(results, tasks)
    return Table("cells-and-tasks", "All tasks", columns, rows, legend, hatch=hatch, marks=marks)


def _overall_row(results: Comparison, row: OverallRow, with_solved: bool) -> Iterator[TableEntry]:
    yield from name_and_scope(results, row.cell)
    yield number_entry(row.rank, ".2f")
    yield interval_entry(row.rank, row.low, row.high, ".1f")
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
        score = NO_VALUE if each is None else mean_text(results, each)
        yield TableEntry(each.mean if each else None, score + solved, **score_background(results, each))
    yield TableEntry(row.solved, fraction_text(row.solved, row.solvable))
    yield TableEntry(row.seconds, seconds_text(row.seconds))


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
            TableEntry(row.mean, number_text(row.mean, ".4g") + unfinished_mark(results, row)),
            TableEntry(row.best_baseline),
            number_entry(row.baseline, ".4g"),
            *_gain_entries(row),
        )
        for row in rows
    )
    note = "Gain over the best baseline of each target, which may differ from the best one of all targets."
    title, marks = f"{task}: each target", marks_text(results, [task])
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
    rows = tuple(tuple(values.get(column.label, NOTHING) for column in columns) for _, values in scored)
    note = " ".join(
        [
            legend_text(info),
            *gain_sentences(summary, info),
            *cell_sentences(results, summary),
            *parameter_sentences(results, summary),
            *customary_sentences(results),
        ]
    )
    title, hatch, marks = task_title(task, info), hatch_text(results, [task]), marks_text(results, [task])
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
    higher_is_better = results.section("tasks")[row.task]["higher_is_better"]
    gain, clear = _gain_entries(row, higher_is_better)
    difference = row.difference, row.difference_low, row.difference_high
    word = verdict(row.difference_low, row.difference_high, higher_is_better)
    metric, mean = metric_text(row.metric), mean_text(results, row, deviation_text(row))
    has_failed = row.mean is None
    seeds = 0 if has_failed or results.threshold(row.task) is None else row.seeds
    name, scope = name_and_scope(results, row.cell)
    options = assignments(results, row.cell, results.stated_options(row.cell))
    return {
        "cell": name,
        "scope": scope,
        "options": TableEntry(options, options or NO_VALUE),
        "H": number_entry(row.hidden, ","),
        "parameters": number_entry(row.parameters, ","),
        **_parts(results, row),
        "lr": NOTHING if has_failed else rate_entry(results, row),
        metric: TableEntry(row.mean, mean, **score_background(results, row)),
        "95 %": interval_entry(row.mean, row.low, row.high, ".4g"),
        "difference": TableEntry(row.difference, _difference_text(row.metric, *difference)),
        "verdict": TableEntry(_verdict_text(results, row.cell, word)),
        "gain": gain,
        "clear": clear,
        "worst": number_entry(row.worst, ".4g"),
        "best": number_entry(row.best, ".4g"),
        "solved": TableEntry(row.solved, fraction_text(row.solved, seeds)),
        "steps to solve": number_entry(row.steps_to_threshold, ",.0f"),
        "s to solve": TableEntry(row.seconds_to_threshold, seconds_text(row.seconds_to_threshold)),
        "symbols/s": number_entry(row.symbols_per_s, ",.0f"),
        "training s": NOTHING if has_failed else TableEntry(row.seconds, seconds_text(row.seconds)),
        "rank": NOTHING if has_failed else number_entry(row.rank, "g"),
    }


def _gain_entries(row: SummaryRow | TargetRow, in_points: bool = False) -> tuple[TableEntry, TableEntry]:
    """The gain with its interval, and the verdict."""
    text = gain_text(row.gain, row.gain_low, row.gain_high, in_points)
    return TableEntry(row.gain, text), TableEntry(verdict(row.gain_low, row.gain_high) or NO_VALUE)


def _difference_text(metric: str, value: float | None, low: float | None, high: float | None) -> str:
    """The difference to the reference cell with its interval, of shares in percentage points."""
    return gain_text(value, low, high, True) if is_share(metric) else difference_text(value, low, high)


def _verdict_text(results: Comparison, cell: str, word: str | None) -> str:
    return "reference" if cell == results.reference else word or NO_VALUE


def _parts(results: Comparison, row: SummaryRow) -> dict[str, TableEntry]:
    """The parameters by part of the model, if a cell has a block."""
    counts = results.parameter_parts(row.group)
    return {_PART_COLUMNS[part].label: number_entry(count, ",") for part, count in counts.items()}


def _part_columns(results: Comparison) -> list[Column]:
    """The columns of the parts that a model of the comparison has."""
    parts = {part for row in results.summary for part in results.parameter_parts(row.group)}
    return [column for part, column in _PART_COLUMNS.items() if part in parts]


def assignments(results: Comparison, cell: str, options: Mapping[str, Any], separator: str = " ") -> str:
    """Options as ``NAME=VALUE``; those that are equal in all layers of a stack once."""
    merged = merge_layers(options, results.options(cell))
    return separator.join(f"{name}={value}" for name, value in merged.items())


def _baseline_row(name: str, estimate: Info, info: Info) -> dict[str, TableEntry]:
    """The entries of the row of a baseline by heading."""
    score = TableEntry(estimate["value"], score_text(estimate["value"]))
    return {"cell": TableEntry(name), "scope": TableEntry("baseline"), metric_text(info["metric"]): score}
