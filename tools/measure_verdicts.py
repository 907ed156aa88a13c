"""Measure how often a comparison of equal cells calls some cell clearly better or worse over all tasks.

    python tools/measure_verdicts.py

It prints the table of docs/compare.md. A verdict depends on the ranks alone. The ranks of equal cells are any
order of them with the same probability. In the last two columns, the cells have the same mean rank over all
possible tasks, and the costs of some of them, the reference included, vary more from task to task: of one
cell and a third of the number of cells, rounded down.
"""

from __future__ import annotations

import numpy as np

from zoo.array_types import Array
from zoo.comparison.rank_bootstrap import rank_costs
from zoo.comparison.rank_permutations import RankPermutations
from zoo.tables import TextTable

REPETITIONS = 10_000
SETTINGS = ((2, 6), (6, 2), (5, 3), (5, 4), (10, 7), (40, 7))
"""Numbers of cells and tasks."""
LARGE_DEVIATION = 20.0
"""Standard deviation of the costs of the cells that vary more; 1 for the others."""
_HEADINGS = (
    "cells",
    "tasks",
    "best cell",
    "reference",
    "best cell, some vary more",
    "reference, some vary more",
)


def wrong_verdicts(tasks: int, deviations: Array) -> tuple[float, float]:
    """Shares of comparisons with a wrong verdict on the best cell, and on the first cell as a reference.

    Args:
        tasks: Number of tasks.
        deviations: The standard deviation of the costs of each cell over the tasks.
    """
    rng, cells = np.random.default_rng(0), len(deviations)
    costs = deviations * rng.normal(size=(tasks, REPETITIONS, cells))
    sums = np.sum([rank_costs(of_task) for of_task in costs], axis=0)
    permutations = RankPermutations(np.tile(np.arange(cells) + 1.0, (tasks, 1)))
    to_reference = np.abs(sums - sums[:, :1]).max(axis=1)
    return (
        float(np.mean(np.ptp(sums, axis=1) > permutations.critical_difference)),
        float(np.mean(to_reference > permutations.critical_difference_to_reference)),
    )


def table_row(cells: int, tasks: int) -> tuple[str, ...]:
    """A row of the table."""
    vary_more = np.arange(cells) < 1 + cells // 3
    shares = [
        *wrong_verdicts(tasks, np.ones(cells)),
        *wrong_verdicts(tasks, np.where(vary_more, LARGE_DEVIATION, 1.0)),
    ]
    return str(cells), str(tasks), *(f"{100 * share:.1f} %" for share in shares)


def main() -> None:
    """Print the table."""
    rows = tuple(table_row(*setting) for setting in SETTINGS)
    print("\n".join(TextTable("", _HEADINGS, rows, right=tuple(range(6))).markdown()))


if __name__ == "__main__":
    main()
