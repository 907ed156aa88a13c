"""Sentences on mean ranks and their intervals: the note of a table, and the methods of a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from zoo.arguments import counted
from zoo.base import Card
from zoo.comparison.rank_bootstrap import MIN_UNITS, are_tasks_drawn
from zoo.comparison.rank_permutations import DRAWS, min_tasks, min_tasks_with_reference
from zoo.comparison.verdicts import UNCLEAR, WORSE, verdict, verdict_sentences

if TYPE_CHECKING:
    from zoo.comparison.records import OverallRow
    from zoo.comparison.results import Comparison

Citation: TypeAlias = Callable[[Card], str]
"""From a source to the reference that follows its name, such as `` (Demšar 2006)``."""

EXPANDED_PERCENTILES = Card(
    title="What Teachers Should Know about the Bootstrap: Resampling in the Undergraduate Statistics "
    "Curriculum",
    authors="Tim Hesterberg",
    year=2014,
    url="https://arxiv.org/abs/1411.5279",
)
"""The source of the intervals of mean ranks."""

CRITICAL_DIFFERENCE = Card(
    title="Statistical Comparisons of Classifiers over Multiple Data Sets",
    authors="Janez Demšar",
    year=2006,
    url="https://jmlr.org/papers/v7/demsar06a.html",
)
"""The source of the verdicts on mean ranks."""


def holders_text(cells: Sequence[str], value: str) -> str:
    """``gru has the best mean``, or ``gru and lstm share the best mean``."""
    if len(cells) == 1:
        return f"{cells[0]} has {value}"
    return f"{', '.join(cells[:-1])} and {cells[-1]} share {value}"


def left_out_sentences(results: Comparison, rows: Sequence[OverallRow]) -> Iterator[str]:
    """The number of tasks that do not count for the mean ranks at one size.

    Args:
        results: The comparison, with the tasks of all sizes.
        rows: The rows of one size.
    """
    if missing := len(results.tasks) - max((row.tasks for row in rows), default=0):
        do = "does" if missing == 1 else "do"
        yield f"{counted(missing, 'task')} without a score of each cell {do} not count."


def rank_conclusions(results: Comparison) -> Iterator[str]:
    """The meaning of the intervals, and the verdicts on the reference cell or the best one."""
    scored = {run.cell for run in results.runs if run.score is not None}
    if unscored := [row.cell for row in results.overall if row.cell not in scored]:
        yield f"Without a score on any task, and so without a rank: {', '.join(unscored)}."
    if len(_ranked(results)) < 2:
        return
    best = results.overall[0]
    if best.low is not None:
        is_drawn = are_tasks_drawn(best.tasks)
        reason = "" if is_drawn else f" Tasks are not resampled, since that needs {MIN_UNITS} of them."
        yield (
            f"95 %: a paired bootstrap interval, which resamples {_drawn_units(results)}, the same for all "
            f"cells.{reason}"
        )
    yield from _conclusions_on_reference(results) if results.reference else _conclusions_on_best(results)
    if _has_rank_verdicts(results):
        yield "The verdicts do not cover other kinds of tasks, the sweep and the choice of test examples."


def _conclusions_on_best(results: Comparison) -> Iterator[str]:
    """The cells that are clearly worse than the best one."""
    ranked = _ranked(results)
    best, *others = ranked
    equal = [row.cell for row in ranked if row.rank == best.rank]
    has_best = holders_text(equal, "the best mean rank")
    count, gap = len(ranked), "rank gap: how many ranks a cell is behind the best other cell"
    if best.rank_gap_low is None or best.rank_gap_high is None:
        interval = f" An interval needs {MIN_UNITS} tasks or {MIN_UNITS} seeds." if best.low is None else ""
        yield f"{gap}. {has_best}.{interval} A verdict on {count} cells needs {min_tasks(count)} tasks."
        return
    yield (
        f"{gap}, with the interval of the critical difference: in 95 % of comparisons of {count} equal cells "
        f"on {best.tasks} tasks, no two cells differ by more."
    )
    yield f"{best.cell} is clearly the best." if best.rank_gap_high < 0 else f"{has_best}."
    verdicts = {
        row.cell: verdict(row.rank_gap_low, row.rank_gap_high, higher_is_better=False)
        for row in others
        if row.cell not in equal
    }
    yield from verdict_sentences(verdicts, {WORSE: "Clearly worse", UNCLEAR: "Not clearly worse"})


def _conclusions_on_reference(results: Comparison) -> Iterator[str]:
    """The cells that are clearly better or worse than the reference cell."""
    ranked = _ranked(results)
    rows = [row for row in ranked if row.cell != results.reference]
    if len(rows) == len(ranked):
        yield f"{results.reference} has no rank, so there is no rank difference."
        return
    count, tasks = len(ranked), ranked[0].tasks
    meaning = f"rank difference: the mean rank less the mean rank of {results.reference}"
    if not _has_rank_verdicts(results):
        fewest = min_tasks_with_reference(count)
        yield f"{meaning}. A verdict on {count} cells with a reference cell needs {fewest} tasks."
        return
    yield (
        f"{meaning}, with an interval: in 95 % of comparisons of {count} equal cells on {tasks} tasks, no "
        f"cell differs from {results.reference} by more."
    )
    yield from verdict_sentences({row.cell: rank_verdict(row) for row in rows})


def rank_verdict(row: OverallRow) -> str | None:
    """The verdict on the mean rank of a cell and of the reference cell."""
    return verdict(row.rank_difference_low, row.rank_difference_high, higher_is_better=False)


def has_rank_intervals(results: Comparison) -> bool:
    """Whether the table over all tasks has intervals of mean ranks."""
    return _has_ranks(results) and results.overall[0].low is not None


def _has_rank_verdicts(results: Comparison) -> bool:
    name = "rank_difference_low" if results.reference else "rank_gap_low"
    return _has_ranks(results) and any(getattr(row, name) is not None for row in results.overall)


def _ranked(results: Comparison) -> list[OverallRow]:
    return [row for row in results.overall if row.rank is not None]


def _has_ranks(results: Comparison) -> bool:
    """Whether there are several tasks, and several cells with a rank: a single one always has rank 1."""
    return len(results.tasks) > 1 and len(_ranked(results)) > 1


def rank_methods(results: Comparison, cite: Citation) -> Iterator[str]:
    """The methods of the intervals and of the verdicts, if there are any.

    Args:
        results: The comparison, of one or several sizes.
        cite: Returns the reference to a source.
    """
    if results.has_several_sizes:
        sizes_of_sentence: dict[str, list[int]] = {}
        for size in results.sizes:
            for sentence in rank_methods(results.at_size(size), cite):
                sizes_of_sentence.setdefault(sentence, []).append(size)
        for sentence, sizes in sizes_of_sentence.items():
            at_sizes = f"At {results.size_text(sizes)}, {sentence[0].lower()}{sentence[1:]}"
            yield sentence if sizes == results.sizes else at_sizes
        if sizes_of_sentence:
            yield "Mean ranks and their verdicts hold for one size each, and count each task once."
        return
    if has_rank_intervals(results):
        yield (
            f"Mean ranks have 95 % intervals of a paired bootstrap with {DRAWS:,} draws of "
            f"{_drawn_units(results)}, the same for all cells, with expanded percentiles"
            f"{cite(EXPANDED_PERCENTILES)}."
        )
    permutations = f"95 % of {DRAWS:,} random permutations of the ranks on each task"
    if _has_rank_verdicts(results) and results.reference:
        yield (
            f"A mean rank is called clearly better or worse than the mean rank of {results.reference}, the "
            f"control{cite(CRITICAL_DIFFERENCE)}, if their difference exceeds the largest difference of any "
            f"cell to the control in {permutations}."
        )
    elif _has_rank_verdicts(results):
        yield (
            f"A mean rank is called clearly worse than the best one if their difference exceeds the critical "
            f"difference{cite(CRITICAL_DIFFERENCE)}, which no two cells exceed in {permutations}."
        )


def rank_sources(results: Comparison) -> list[Card]:
    """The sources that :func:`rank_methods` cites."""
    at_sizes = [results.at_size(size) for size in results.sizes]
    intervals = [EXPANDED_PERCENTILES] if any(map(has_rank_intervals, at_sizes)) else []
    return [*intervals, CRITICAL_DIFFERENCE] if any(map(_has_rank_verdicts, at_sizes)) else intervals


def _drawn_units(results: Comparison) -> str:
    """``7 tasks and 3 seeds``, or ``3 seeds`` if there are too few tasks."""
    tasks, seeds = results.overall[0].tasks, counted(len({run.seed for run in results.runs}), "seed")
    return f"{tasks:,} tasks and {seeds}" if are_tasks_drawn(tasks) else seeds
