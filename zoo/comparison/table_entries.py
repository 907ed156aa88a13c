"""Entries of the tables of a comparison: names, scores and their backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from zoo.comparison.number_text import NO_VALUE, number_text, score_text
from zoo.comparison.sweep import sweep_verdict
from zoo.comparison.table_notes import (
    UNFINISHED_MARK,
    Info,
    has_unfinished_runs,
    is_near_baseline,
    unfinished_sentences,
)
from zoo.tables import Number, TableEntry

if TYPE_CHECKING:
    from zoo.comparison.records import SummaryRow, TargetRow
    from zoo.comparison.results import Comparison

NOTHING = TableEntry(None, NO_VALUE)


def name_and_scope(results: Comparison, cell: str) -> tuple[TableEntry, TableEntry]:
    """The label of a cell and its scope."""
    scope = results.scope(cell)
    return TableEntry(cell), TableEntry(scope, scope or NO_VALUE)


def rate_entry(results: Comparison, row: SummaryRow) -> TableEntry:
    """The learning rate of the runs, with ``edge`` or ``plateau`` if the sweep has not decided it."""
    text = " ".join(filter(None, (number_text(row.lr, "g"), sweep_verdict(results, row))))
    return TableEntry(row.lr, text)


class _Background(TypedDict, total=False):
    """Arguments of a `TableEntry`."""

    shade: float
    hatched: bool


def score_background(results: Comparison, row: SummaryRow | None) -> _Background:
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


def hatch_text(results: Comparison, tasks: Sequence[str]) -> str:
    """The meaning of hatched scores, empty without one."""
    rows = [
        row for row in results.summary if row.task in tasks and score_background(results, row).get("hatched")
    ]
    is_data = [bool(results.section("tasks")[row.task]["baselines"]) for row in rows]
    texts = ["than without memory"] * (not all(is_data)) + ["than the best baseline"] * any(is_data)
    return f"no better {' or '.join(texts)}" if rows else ""


def _shade(results: Comparison, row: SummaryRow, mean: float) -> float:
    """Position of a mean between the worst of the task at one size, 0, and the best, 1."""
    means = [
        each.mean
        for each in results.summary
        if (each.task, each.size) == (row.task, row.size) and each.mean is not None
    ]
    return position_of(mean, means, results.section("tasks")[row.task]["higher_is_better"])


def position_of(value: float, values: Sequence[float], higher_is_better: bool) -> float:
    """Position of a value between the worst of some values, 0, and the best, 1."""
    low, high = min(values), max(values)
    position = (value - low) / (high - low) if high > low else 1.0
    return round(position if higher_is_better or high == low else 1.0 - position, 3)


def task_title(task: str, info: Info) -> str:
    """The label of a task with its options."""
    options = ", ".join(f"{name}={_option_text(value)}" for name, value in info["options"].items())
    return f"{task} ({options})" if options else task


def _option_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value}"


def fraction_text(count: int, whole: int) -> str:
    """``2/3``; a dash for a whole of 0."""
    return f"{count}/{whole}" if whole else NO_VALUE


def mean_text(results: Comparison, row: SummaryRow, deviation: str = "") -> str:
    """The mean score of a row with its deviation and mark; ``failed`` without a score."""
    return "failed" if row.mean is None else score_text(row.mean) + deviation + unfinished_mark(results, row)


def deviation_text(row: SummaryRow) -> str:
    """The standard deviation after a mean; empty for one seed."""
    return "" if row.spread is None else f" ± {row.spread:.2g}"


def unfinished_mark(results: Comparison, row: SummaryRow | TargetRow) -> str:
    """The mark of a score that counts a run that did not finish; else empty."""
    return f" {UNFINISHED_MARK}" if has_unfinished_runs(results, row.group) else ""


def marks_text(results: Comparison, tasks: Sequence[str]) -> str:
    """The meaning of the mark of a score; empty if all runs finished."""
    sentences = " ".join(unfinished_sentences(results, tasks))
    return f"{UNFINISHED_MARK} {sentences}" if sentences else ""


def seconds_text(value: float | None) -> str:
    """Format a time with three digits."""
    return NO_VALUE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def interval_entry(value: Number, low: float | None, high: float | None, form: str) -> TableEntry:
    """An interval, which is sorted by the value in it."""
    return TableEntry(value, NO_VALUE if low is None or high is None else f"{low:{form}} to {high:{form}}")


def number_entry(value: Number, form: str) -> TableEntry:
    """A number; a dash for None."""
    return TableEntry(value, number_text(value, form))
