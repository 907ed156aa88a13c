"""Tables of a comparison of several sizes: a row for each cell, and a column for each size.

No statistic pools sizes. The scores of a cell on a task at two sizes depend on each other, so a test that
counted them as two tasks would find differences between equal cells too often.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from zoo.comparison.number_text import enumerate_texts, score_text
from zoo.comparison.rank_sentences import left_out_sentences
from zoo.comparison.records import RunGroup
from zoo.comparison.size_order import order_sentences
from zoo.comparison.table_entries import (
    NOTHING,
    deviation_text,
    hatch_text,
    marks_text,
    mean_text,
    name_and_scope,
    position_of,
    rate_entry,
    score_background,
    task_title,
)
from zoo.comparison.table_notes import (
    UNFINISHED_MARK,
    has_unfinished_runs,
    is_near_baseline,
    legend_text,
)
from zoo.tables import Column, Table, TableEntry

if TYPE_CHECKING:
    from zoo.comparison.records import OverallRow, SummaryRow
    from zoo.comparison.results import Comparison


class _Titled(Protocol):
    """A data class with a name and a title."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...


T = TypeVar("T", bound=_Titled)


def with_size(item: T, results: Comparison, size: int) -> T:
    """A table or figure of one of several sizes, with the size in its name and title."""
    name, title = f"{item.name}-{size}", f"{item.title}, {results.size_text([size])}"
    return replace(item, name=name, title=title)


def size_tables(results: Comparison) -> Iterator[Table]:
    """Mean ranks over all tasks at each size, if there are several tasks, and the tables of each task."""
    if len(results.tasks) > 1:
        yield rank_size_table(results)
    for task in results.tasks:
        yield from task_size_tables(results, task)


def task_size_tables(results: Comparison, task: str) -> Iterator[Table]:
    """The scores on a task at each size, and the learning rates that a sweep chose, if there was one."""
    yield score_size_table(results, task)
    if any(run.task == task for run in results.sweep):
        yield rate_size_table(results, task)


def rank_size_table(results: Comparison) -> Table:
    """The mean rank of each cell over all tasks at each size, the best at the largest size first."""
    rows = {(row.cell, row.size or 0): row for row in results.overall if row.rank is not None}
    ranks = {key: row.rank or 0.0 for key, row in rows.items()}

    def rank_cell(row: OverallRow | None) -> TableEntry:
        if row is None or row.rank is None:
            return NOTHING
        compared = [rank for (_, size), rank in ranks.items() if size == row.size]
        groups = (RunGroup(task, row.cell, row.size or 0) for task in results.tasks)
        mark = f" {UNFINISHED_MARK}" * any(has_unfinished_runs(results, group) for group in groups)
        return TableEntry(row.rank, f"{row.rank:.2f}{mark}", position_of(row.rank, compared, False))

    sizes = results.sizes
    cells = sorted(results.cells, key=lambda cell: ranks.get((cell, sizes[-1]), math.inf))
    note = " ".join(
        [
            "A column has the mean rank over the tasks at this size; 1 is best.",
            *_best_sentences("mean rank", ranks, results),
            *_left_out_at_sizes(results),
            "Verdicts are in the tables of each size. They count each task once: zoo does not average ranks "
            "over sizes, because the ranks on a task at several sizes depend on each other.",
        ]
    )
    return Table(
        "cells-and-sizes",
        "All tasks: mean rank by size",
        _columns(results, "mean rank over the tasks"),
        tuple(
            (*name_and_scope(results, cell), *(rank_cell(rows.get((cell, size))) for size in sizes))
            for cell in cells
        ),
        note,
        marks=marks_text(results, results.tasks),
    )


def _left_out_at_sizes(results: Comparison) -> Iterator[str]:
    """The number of tasks that do not count for the mean ranks at each size."""
    for size in results.sizes:
        rows = [row for row in results.overall if row.size == size]
        for sentence in left_out_sentences(results, rows):
            yield f"At {results.size_text([size])}, {sentence}"


def score_size_table(results: Comparison, task: str) -> Table:
    """The mean score of each cell on a task at each size, and of a data set the scores of its baselines.

    The best cell at the largest size comes first.
    """
    info, sizes = results.section("tasks")[task], results.sizes
    rows = {(row.cell, row.group.size): row for row in results.summary if row.task == task}

    def score_cell(row: SummaryRow | None) -> TableEntry:
        if row is None:
            return NOTHING
        text = mean_text(results, row, deviation_text(row))
        return TableEntry(row.mean, text, **score_background(results, row))

    scored: list[tuple[float | None, tuple[TableEntry, ...]]] = []
    for cell in results.cells:
        last, scores = rows.get((cell, sizes[-1])), (score_cell(rows.get((cell, size))) for size in sizes)
        scored.append((last.mean if last else None, (*name_and_scope(results, cell), *scores)))
    for name, each in info["baselines"].items():
        score = TableEntry(each["value"], score_text(each["value"]))
        scored.append((each["value"], (TableEntry(name), TableEntry("baseline"), *[score] * len(sizes))))
    sign = -1 if info["higher_is_better"] else 1
    scored.sort(key=lambda pair: math.inf if pair[0] is None else sign * pair[0])
    ranks = {key: row.rank for key, row in rows.items() if row.mean is not None}
    note = " ".join(
        [
            legend_text(info),
            "A column has the mean score over the seeds ± standard deviation at this size.",
            *_best_sentences("mean", ranks, results),
            *order_sentences(results, task),
            *_baseline_sentences(results, list(rows.values())),
            "Verdicts are in the tables of each size.",
        ]
    )
    return Table(
        f"{task}-size-scores",
        f"{task_title(task, info)}: scores by size",
        _columns(results, "mean score over the seeds ± standard deviation"),
        tuple(row for _, row in scored),
        note,
        hatch=hatch_text(results, [task]),
        marks=marks_text(results, [task]),
    )


_VERDICTS = {
    "edge": "edge: it is at the edge of the sweep, so a better rate may lie beyond.",
    "plateau": "plateau: no rate is clearly better than the score without memory, so it may be chance.",
}


def rate_size_table(results: Comparison, task: str) -> Table:
    """The learning rate that the sweep chose for each cell on a task at each size, in the order of scores."""
    rows = {(row.cell, row.group.size): row for row in results.summary if row.task == task}
    last = {cell: rows.get((cell, results.sizes[-1])) for cell in results.cells}
    cells = sorted(results.cells, key=lambda cell: math.inf if (row := last[cell]) is None else row.rank)

    def rate_cell(row: SummaryRow | None) -> TableEntry:
        return NOTHING if row is None or row.mean is None else rate_entry(results, row)

    entries = {cell: [rate_cell(rows.get((cell, size))) for size in results.sizes] for cell in cells}
    texts = [entry.text for each in entries.values() for entry in each]
    marks = [sentence for mark, sentence in _VERDICTS.items() if any(mark in text for text in texts)]
    base = results.section("plan").get("settings", {}).get("base_hidden")  # older plans lack it
    width = [f"The rates are for {base:,} hidden units (`--base-hidden`)."] if base else []
    columns = (
        replace(column, heat=False) for column in _columns(results, "the learning rate that the sweep chose")
    )
    return Table(
        f"{task}-size-rates",
        f"{task_title(task, results.section('tasks')[task])}: learning rates by size",
        tuple(columns),
        tuple((*name_and_scope(results, cell), *entries[cell]) for cell in cells),
        " ".join(["A column has the learning rate that the sweep chose at this size.", *width, *marks]),
    )


def _baseline_sentences(results: Comparison, rows: Sequence[SummaryRow]) -> Iterator[str]:
    """The sizes at which the best mean of a task is no better than chance."""
    best: dict[int, SummaryRow] = {}
    for row in sorted(rows, key=lambda row: row.rank):
        best.setdefault(row.group.size, row)
    if sizes := sorted(size for size, row in best.items() if is_near_baseline(results, row)):
        yield (
            f"At {results.size_text(sizes)}, the best mean is near the score without memory or worse, so the "
            f"order of the cells may be chance."
        )


def _columns(results: Comparison, meaning: str) -> tuple[Column, ...]:
    """The cell, its scope, and a column for each size."""
    sizes = [results.size_text([size]) for size in results.sizes]
    return (
        Column("cell"),
        Column("scope", spare=1),
        *(Column(size, "number", f"{meaning}, at {size}", heat=True) for size in sizes),
    )


def _best_sentences(what: str, ranks: Mapping[tuple[str, int], float], results: Comparison) -> Iterator[str]:
    """The best cells at each size: ``gru at 1,000 and 4,000 params; lstm at 16,000 params``.

    Args:
        what: The value by which cells are ranked.
        ranks: The rank of each cell at each size.
        results: The comparison.
    """
    sizes_of_best: dict[str, list[int]] = {}
    for size in results.sizes:
        own: Sequence[tuple[float, str]] = [
            (rank, cell) for (cell, each), rank in ranks.items() if each == size
        ]
        if best := [cell for rank, cell in own if rank == min(own)[0]]:
            sizes_of_best.setdefault(enumerate_texts(best), []).append(size)
    if sizes_of_best:
        listed = (f"{cells} at {results.size_text(sizes)}" for cells, sizes in sizes_of_best.items())
        yield f"Best {what}: {'; '.join(listed)}."
