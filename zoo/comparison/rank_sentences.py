"""Sentences on mean ranks and their intervals: the note of a table, and the methods of a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from zoo.arguments import counted
from zoo.base import Card
from zoo.comparison.rank_bootstrap import DRAWS, MIN_UNITS, are_tasks_drawn, min_tasks

if TYPE_CHECKING:
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


def share_or_has(cells: Sequence[str], value: str) -> str:
    """``gru has the best mean``, or ``gru and lstm share the best mean``."""
    if len(cells) == 1:
        return f"{cells[0]} has {value}"
    return f"{', '.join(cells[:-1])} and {cells[-1]} share {value}"


def rank_conclusions(results: Comparison) -> Iterator[str]:
    """The meaning of the intervals, and the cells that are clearly worse than the best one."""
    if len(results.overall) < 2 or not results.overall[0].tasks:
        return
    best, *others = results.overall
    equal = [row.cell for row in results.overall if row.rank == best.rank]
    has_best = share_or_has(equal, "the best mean rank")
    if best.low is not None:
        is_drawn = are_tasks_drawn(best.tasks)
        reason = "" if is_drawn else f" Tasks are not resampled, since that needs {MIN_UNITS} of them."
        yield (
            f"95 %: a paired bootstrap interval, which resamples {_drawn_units(results)}, the same for all "
            f"cells.{reason}"
        )
    count, gap = len(results.overall), "rank gap: how many ranks a cell is behind the best other cell"
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
        "Clearly worse": [row.cell for row in others if (row.rank_gap_low or 0.0) > 0],
        "Not clearly worse": [
            row.cell for row in others if (row.rank_gap_low or 0.0) <= 0 and row.cell not in equal
        ],
    }
    for words, cells in verdicts.items():
        if cells:
            yield f"{words}: {', '.join(cells)}."
    yield "The verdicts do not cover other kinds of tasks, the sweep and the choice of test examples."


def has_rank_intervals(results: Comparison) -> bool:
    """Whether the table over all tasks has intervals of mean ranks."""
    return _has_ranks(results) and results.overall[0].low is not None


def _has_verdicts(results: Comparison) -> bool:
    return _has_ranks(results) and results.overall[0].rank_gap_low is not None


def _has_ranks(results: Comparison) -> bool:
    return len(results.tasks) > 1 and len(results.overall) > 1


def rank_methods(results: Comparison, cite: Citation) -> Iterator[str]:
    """The methods of the intervals and of the verdicts, if there are any.

    Args:
        results: The comparison.
        cite: Returns the reference to a source.
    """
    if has_rank_intervals(results):
        yield (
            f"Mean ranks have 95 % intervals of a paired bootstrap with {DRAWS:,} draws of "
            f"{_drawn_units(results)}, the same for all cells, with expanded percentiles"
            f"{cite(EXPANDED_PERCENTILES)}."
        )
    if _has_verdicts(results):
        yield (
            f"A mean rank is called clearly worse than the best one if their difference exceeds the critical "
            f"difference{cite(CRITICAL_DIFFERENCE)}, which no two cells exceed in 95 % of {DRAWS:,} random "
            f"permutations of the ranks on each task."
        )


def rank_sources(results: Comparison) -> list[Card]:
    """The sources that :func:`rank_methods` cites."""
    intervals = [EXPANDED_PERCENTILES] if has_rank_intervals(results) else []
    return [*intervals, CRITICAL_DIFFERENCE] if _has_verdicts(results) else intervals


def _drawn_units(results: Comparison) -> str:
    """``7 tasks and 3 seeds``, or ``3 seeds`` if there are too few tasks."""
    tasks, seeds = results.overall[0].tasks, counted(len({run.seed for run in results.runs}), "seed")
    return f"{tasks:,} tasks and {seeds}" if are_tasks_drawn(tasks) else seeds
