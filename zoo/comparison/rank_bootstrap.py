"""Mean ranks of cells over tasks, with intervals of a paired bootstrap, and verdicts of a permutation test.

A draw takes as many tasks as there are, with replacement, and for each of them as many seeds, with
replacement. All cells have the same draws: a seed determines the data and the order in which parameters are
initialised, so scores of one seed are related. R. Agarwal et al., "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", NeurIPS 2021, https://arxiv.org/abs/2108.13264, draw the runs of each task again.
Their library rliable can draw the tasks too (``task_bootstrap``), for the uncertainty on other tasks.

Verdicts do not come from the bootstrap, whose draws of few tasks are too alike: if a cell is last on every
task, it is last in every draw. They come from a permutation test. Equal cells have any order on a task with
the same probability, so the ranks of each task are permuted at random. A difference to the best cell is clear
if 95 % of the permutations have no larger one between any two cells, and a difference to one reference cell
if 95 % of them have no larger one between this cell and another. J. Demšar, "Statistical Comparisons of
Classifiers over Multiple Data Sets", JMLR 7, 2006, https://jmlr.org/papers/v7/demsar06a.html, calls the
former the critical difference, and corrects the latter, comparisons with a control, for the number of cells
as Bonferroni and Dunn do. Permutations need no correction, since they contain the largest difference of all
cells, and they fit any number of tasks and cells, and ranks that are shared.

Percentiles of few values give intervals that are too narrow. The percentiles are therefore the expanded ones
of T. Hesterberg, "What Teachers Should Know about the Bootstrap", 2014, https://arxiv.org/abs/1411.5279, at
which the interval of a mean is about as wide as Student's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from zoo.array_types import Array
from zoo.comparison.student import student_quantile

DRAWS = 10_000

MIN_UNITS = 3
"""Smallest number of tasks that are drawn, and of seeds that have an interval.

For two values, an interval would be very wide: Student's quantile is 12.7."""

MIN_TASKS_OF_PAIR = 6
"""Tasks that an interval of the difference of two cells needs. Of two equal cells, one is better on all of
five tasks with a probability of 6 %, on all of six with 3 %."""

_LEVEL = 0.05
"""Share of comparisons of equal cells with a wrong verdict on some cell."""

_SEED = 0  # the same results give the same intervals

Interval = tuple[float, float]


@dataclass(frozen=True)
class RankDraws:
    """Ranks of cells on several tasks, and the ranks of bootstrap draws.

    The sums are exact, since ranks are multiples of 1/2. With means, rounding could decide whether an
    interval excludes 0.

    Args:
        drawn: Sum of the ranks of each cell over the tasks for each draw, ``(DRAWS, cells)``.
        ranks: The rank of each cell on each task, ``(tasks, cells)``.
        seeds: Number of seeds, of the task with the fewest.
    """

    drawn: Array
    ranks: Array
    seeds: int

    @cached_property
    def sums(self) -> Array:
        """Sum of the ranks of each cell over the tasks, ``(cells,)``."""
        return np.asarray(self.ranks.sum(axis=0))

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.ranks)

    def rank(self, cell: int) -> float:
        """The mean rank of a cell."""
        return float(self.sums[cell] / self.tasks)

    def interval(self, cell: int) -> Interval | None:
        """The 95 % interval of a mean rank; None for too few tasks and seeds.

        The interval contains the mean rank. The percentiles may not contain it: of many cells with close
        scores, the best one has a worse rank in nearly all draws. Then one end is the mean rank.
        """
        drawn = self.drawn[:, cell]
        return self._interval(self.sums[cell], self._percentiles(drawn))

    def difference(self, cell: int, other: int) -> float:
        """The difference of the mean ranks of two cells; negative if the first cell is better."""
        return float((self.sums[cell] - self.sums[other]) / self.tasks)

    def difference_interval(self, cell: int, other: int) -> Interval | None:
        """The 95 % interval of `difference`, for two cells that were chosen before; None for too few tasks.

        See `MIN_TASKS_OF_PAIR`.
        """
        if self.tasks < MIN_TASKS_OF_PAIR:
            return None
        drawn = self.drawn[:, cell] - self.drawn[:, other]
        return self._interval(self.sums[cell] - self.sums[other], self._percentiles(drawn))

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
        if not self._has_verdicts(min_tasks):
            return None
        return self._permutation_interval(self._rank_gap(cell), self.critical_difference)

    def reference_interval(self, cell: int, reference: int) -> Interval | None:
        """The 95 % interval of `difference` to a reference cell that was chosen before.

        It holds for the differences of all cells to the reference at once. None for fewer tasks than
        :func:`min_tasks_with_reference`.
        """
        if not self._has_verdicts(min_tasks_with_reference):
            return None
        difference = float(self.sums[cell] - self.sums[reference])
        return self._permutation_interval(difference, self.critical_difference_to_reference)

    def _has_verdicts(self, fewest: Callable[[int], int]) -> bool:
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
        rng = np.random.default_rng(_SEED)
        sums = np.zeros((DRAWS, len(self.sums)))
        for ranks in self.ranks:  # sorted, so that the order of the cells does not matter
            sums += rng.permuted(np.broadcast_to(np.sort(ranks), sums.shape), axis=1)
        return sums

    def _percentiles(self, drawn: Array) -> Interval | None:
        """The expanded percentiles of a value in the draws."""
        units = self.tasks if are_tasks_drawn(self.tasks) else self.seeds
        if units < MIN_UNITS:
            return None
        tail = NormalDist().cdf(-math.sqrt(units / (units - 1)) * student_quantile(units - 1))
        return float(np.quantile(drawn, tail)), float(np.quantile(drawn, 1 - tail))

    def _interval(self, total: float, ends: Interval | None) -> Interval | None:
        """Divide ends of an interval by the number of tasks, so that it contains a sum divided by it too."""
        return ends and (min(ends[0], float(total)) / self.tasks, max(ends[1], float(total)) / self.tasks)


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


def are_tasks_drawn(tasks: int) -> bool:
    """Whether draws contain other tasks, or only other seeds of the same tasks."""
    return tasks >= MIN_UNITS


def draw_ranks(costs: Sequence[Array]) -> RankDraws:
    """Rank cells by their mean costs on each task, in all results and in `DRAWS` bootstrap draws.

    A draw has the mean over the drawn seeds for which a cell has a cost. If there are none, it has the mean
    over all seeds of the cell.

    Args:
        costs: For each of one or more tasks ``(seeds, cells)``, the lowest is the best. NaN for a run without
            a score.
    """
    tasks = len(costs)
    rng = np.random.default_rng(_SEED)
    same = np.broadcast_to(np.arange(tasks), (DRAWS, tasks))
    chosen = rng.integers(0, tasks, (DRAWS, tasks)) if are_tasks_drawn(tasks) else same
    rows, row_of = list[Array](), np.empty((DRAWS, tasks), np.int64)
    for task, task_costs in enumerate(costs):
        seeds, is_chosen = len(task_costs), chosen == task
        counts = rng.multinomial(seeds, np.full(seeds, 1 / seeds), is_chosen.sum())
        different, which = np.unique(counts, axis=0, return_inverse=True)  # of three seeds, only ten
        row_of[is_chosen] = sum(map(len, rows)) + which.reshape(-1)
        rows.append(rank_costs(mean_costs(task_costs, different)))
    ranks = np.concatenate(rows)
    drawn = np.zeros((DRAWS, ranks.shape[1]))
    for index in range(tasks):
        drawn += ranks[row_of[:, index]]
    exact = np.array([rank_costs(mean_costs(task_costs))[0] for task_costs in costs])
    return RankDraws(drawn, exact, min(map(len, costs)))


def mean_costs(costs: Array, counts: Array | None = None) -> Array:
    """Mean costs of cells over seeds, ``(draws, cells)``; infinity for a cell without any cost.

    Args:
        costs: ``(seeds, cells)``, NaN for a run without a score.
        counts: Number of times that a draw has each seed, ``(draws, seeds)``; None for one draw of each seed
            once.
    """
    has_cost = np.isfinite(costs)
    known = np.where(has_cost, costs, 0.0)
    mean = _ratio(known.sum(axis=0), has_cost.sum(axis=0), np.inf)
    if counts is None:
        return mean[None]
    return _ratio(_weighted(counts, known), _weighted(counts, has_cost), mean)


def _weighted(counts: Array, values: Array) -> Array:
    """Sums over the seeds, one seed after another: equal columns have equal sums, unlike in a product."""
    total: Array = np.add.reduce([counts[:, seed, None] * values[seed] for seed in range(len(values))])
    return total


def _ratio(total: Array, weight: Array, otherwise: Array | float) -> Array:
    return np.where(weight > 0, total / np.maximum(weight, 1), otherwise)


def rank_costs(costs: Array) -> Array:
    """Rank along the last axis, from 1 for the smallest; equal costs share their mean rank.

    Args:
        costs: ``(N, cells)``.
    """
    order = np.argsort(costs, axis=-1)
    ordered = np.take_along_axis(costs, order, axis=-1)
    places, cells = np.arange(costs.shape[-1]), costs.shape[-1]
    differs = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*costs.shape[:-1], 1), bool)
    begins, ends = np.concatenate((edge, differs), axis=-1), np.concatenate((differs, edge), axis=-1)
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, places, cells)[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(costs.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=-1)
    return ranks
