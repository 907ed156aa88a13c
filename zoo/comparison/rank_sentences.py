"""Sentences on mean ranks and their intervals: the note of a table, and the methods of a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zoo.arguments import counted
from zoo.comparison.rank_bootstrap import DRAWS, MIN_PAIRS, MIN_UNITS, are_tasks_drawn

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison


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
    if best.low is None:
        yield f"{has_best}. An interval needs {MIN_UNITS} tasks or {MIN_UNITS} seeds."
        return
    is_drawn = are_tasks_drawn(best.tasks)
    reason = "" if is_drawn else f" Tasks are not resampled, since that needs {MIN_UNITS} of them."
    yield (
        f"95 %: a paired bootstrap interval, which resamples {_drawn_units(results)}, the same for all "
        f"cells.{reason} rank gap: the mean rank less the best one of the other cells, with a 95 % interval "
        f"over all of them at once."
    )
    if best.rank_gap_low is None or best.rank_gap_high is None:
        yield f"{has_best}. A verdict needs {MIN_PAIRS} runs of each cell."
        return
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
    yield "The intervals do not cover other kinds of tasks, the sweep and the choice of test examples."


def has_rank_intervals(results: Comparison) -> bool:
    """Whether the table over all tasks has intervals of mean ranks."""
    has_ranks = len(results.tasks) > 1 and len(results.overall) > 1
    return has_ranks and results.overall[0].low is not None


def rank_methods(results: Comparison, percentiles: str) -> Iterator[str]:
    """The method of the intervals, if there are any.

    Args:
        results: The comparison.
        percentiles: Name of the percentiles, with their reference.
    """
    if not has_rank_intervals(results):
        return
    yield (
        f"Mean ranks have 95 % intervals of a paired bootstrap with {DRAWS:,} draws of "
        f"{_drawn_units(results)}, the same for all cells, with {percentiles}."
    )
    if results.overall[0].rank_gap_low is not None:
        yield (
            "A mean rank is called clearly worse than the best one if the interval of their difference "
            "excludes zero. This interval holds for the differences to all other cells at once."
        )


def _drawn_units(results: Comparison) -> str:
    """``7 tasks and 3 seeds``, or ``3 seeds`` if there are too few tasks."""
    tasks, seeds = results.overall[0].tasks, counted(len({run.seed for run in results.runs}), "seed")
    return f"{tasks:,} tasks and {seeds}" if are_tasks_drawn(tasks) else seeds
