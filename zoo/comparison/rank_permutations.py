"""Verdicts on mean ranks of cells over tasks: a permutation test.

Equal cells have any order on a task with the same probability, so the ranks of each task are permuted at
random. A difference to the best cell is clear if 95 % of the permutations have no larger one between any two
cells, and a difference to one reference cell if 95 % of them have no larger one between this cell and
another. J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006,
https://jmlr.org/papers/v7/demsar06a.html, calls the former the critical difference, and corrects the latter,
comparisons with a control, for the number of cells as Bonferroni and Dunn do. Permutations need no
correction, since they contain the largest difference of all cells, and they fit any number of tasks and
cells, and ranks that are shared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.array_types import Array

DRAWS = 10_000
SEED = 0
"""The same results give the same intervals."""

_LEVEL = 0.05
"""Share of comparisons of equal cells with a wrong verdict on some cell."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class RankPermutations:
    """Random permutations of the ranks of cells on several tasks.

    The sums are exact, since ranks are multiples of 1/2. With means, rounding could decide whether an
    interval excludes 0.

    Args:
        ranks: The rank of each cell on each task, ``(tasks, cells)``.
    """

    ranks: Array

    @cached_property
    def sums(self) -> Array:
        """Sum of the ranks of each cell over the tasks, ``(cells,)``."""
        return np.asarray(self.ranks.sum(axis=0))

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.ranks)

    def difference(self, cell: int, other: int) -> float:
        """The difference of the mean ranks of two cells; negative if the first cell is better."""
        return float((self.sums[cell] - self.sums[other]) / self.tasks)

    def rank_gap(self, cell: int) -> float:
        """The mean rank of a cell less the best mean rank of the others; negative for the best cell."""
        return float(self._rank_gap(cell) / self.tasks)

    def _rank_gap(self, cell: int) -> float:
        return float(self.sums[cell] - np.delete(self.sums, cell).min())

    def rank_gap_interval(self, cell: int) -> Interval | None:
        """`rank_gap` less and plus the critical difference; None for fewer tasks than :func:`min_tasks`.

        The best of many equal cells is better than most of them by chance. The critical difference therefore
        holds for all pairs of cells at once. A cell is clearly worse than the best one if its interval is
        above 0.
        """
        if not self._has_enough_tasks(min_tasks):
            return None
        return self._permutation_interval(self._rank_gap(cell), self.critical_difference)

    def reference_interval(self, cell: int, reference: int) -> Interval | None:
        """The 95 % interval of `difference` to a reference cell that was chosen before.

        It holds for the differences of all cells to the reference at once. None for fewer tasks than
        :func:`min_tasks_with_reference`.
        """
        if not self._has_enough_tasks(min_tasks_with_reference):
            return None
        difference = float(self.sums[cell] - self.sums[reference])
        return self._permutation_interval(difference, self.critical_difference_to_reference)

    def _has_enough_tasks(self, fewest: Callable[[int], int]) -> bool:
        cells = len(self.sums)
        return cells > 1 and self.tasks >= fewest(cells)

    def _permutation_interval(self, value: float, margin: float) -> Interval:
        """A difference of sums of ranks less and plus a margin, within the possible ones, for each task."""
        largest = self.tasks * (len(self.sums) - 1)
        ends = max(value - margin, -largest), min(value + margin, largest)
        return ends[0] / self.tasks, ends[1] / self.tasks

    @cached_property
    def critical_difference(self) -> float:
        """The difference of sums of ranks that no two cells exceed in 95 % of random permutations."""
        sums = self._permuted_sums
        return _critical_value(sums.max(axis=1) - sums.min(axis=1))

    @cached_property
    def critical_difference_to_reference(self) -> float:
        """The difference of sums of ranks to one cell that no other exceeds in 95 % of the permutations.

        All cells have the same permutations, so the first one stands for any reference.
        """
        sums = self._permuted_sums
        return _critical_value(np.abs(sums[:, 1:] - sums[:, :1]).max(axis=1))

    @cached_property
    def _permuted_sums(self) -> Array:
        """Sums of ranks that are permuted at random on each task, ``(DRAWS, cells)``."""
        rng = np.random.default_rng(SEED)
        sums = np.zeros((DRAWS, len(self.sums)))
        for ranks in self.ranks:  # sorted, so that the order of the cells does not matter
            sums += rng.permuted(np.broadcast_to(np.sort(ranks), sums.shape), axis=1)
        return sums


def min_tasks(cells: int) -> int:
    """The smallest number of tasks on which a cell can be clearly worse than the best one.

    One of some equal cells is the best on all tasks, and another one the worst, with the probability
    ``(cells * (cells - 1)) ** (1 - tasks)``, which must be below 5 %.
    """
    return next(tasks for tasks in itertools.count(2) if (cells * (cells - 1)) ** (1 - tasks) < _LEVEL)


def min_tasks_with_reference(cells: int) -> int:
    """The smallest number of tasks on which a cell can be clearly better or worse than a reference cell.

    The reference is the best of equal cells on all tasks, and another cell the worst, or the other way round,
    with the probability ``2 * cells ** -tasks * (cells - 1) ** (1 - tasks)``, which must be below 5 %.
    """
    return next(
        tasks
        for tasks in itertools.count(2)
        if 2 * float(cells) ** -tasks * float(cells - 1) ** (1 - tasks) < _LEVEL
    )


def _critical_value(differences: Array) -> float:
    """The smallest difference that at most 5 % of the permutations exceed."""
    return float(np.quantile(differences, 1 - _LEVEL, method="higher"))
