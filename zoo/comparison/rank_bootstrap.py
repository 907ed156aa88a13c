"""Mean ranks of cells over tasks, with intervals of a paired bootstrap.

A draw takes as many tasks as there are, with replacement, and for each of them as many seeds, with
replacement. All cells have the same draws: a seed determines the data and the order in which parameters are
initialised, so scores of one seed are related. R. Agarwal et al., "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", NeurIPS 2021, https://arxiv.org/abs/2108.13264, draw the runs of each task again.
Their library rliable can draw the tasks too (``task_bootstrap``), for the uncertainty on other tasks.

Verdicts come from `zoo.comparison.rank_permutations` and not from the bootstrap, in which draws of few tasks
are too alike: if a cell is last on every task, it is last in every draw.

Percentiles of few values give intervals that are too narrow. The percentiles are therefore the expanded ones
of T. Hesterberg, "What Teachers Should Know about the Bootstrap", 2014, https://arxiv.org/abs/1411.5279, at
which the interval of a mean is about as wide as Student's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from zoo.array_types import Array
from zoo.comparison.rank_permutations import DRAWS, SEED, Interval, RankPermutations, min_tasks
from zoo.comparison.student import student_quantile

MIN_UNITS = 3
"""Smallest number of tasks that are drawn, and of seeds that have an interval.

For two values, an interval would be very wide: Student's quantile is 12.7."""

MIN_TASKS_OF_PAIR = min_tasks(2)
"""Tasks that an interval of the difference of two cells needs. Of two equal cells, one is better on all of
five tasks with a probability of 6 %, on all of six with 3 %."""


@dataclass(frozen=True)
class RankDraws:
    """Ranks of cells on several tasks, and the ranks of bootstrap draws.

    Args:
        drawn: Sum of the ranks of each cell over the tasks for each draw, ``(DRAWS, cells)``.
        ranks: The rank of each cell on each task, ``(tasks, cells)``.
        seeds: Number of seeds, of the task with the fewest.
    """

    drawn: Array
    ranks: Array
    seeds: int

    @property
    def sums(self) -> Array:
        """Sum of the ranks of each cell over the tasks, ``(cells,)``."""
        return self.permutations.sums

    @cached_property
    def permutations(self) -> RankPermutations:
        """Permutations of the ranks, for verdicts."""
        return RankPermutations(self.ranks)

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

    def difference_interval(self, cell: int, other: int) -> Interval | None:
        """The 95 % interval of the difference of two mean ranks, for cells that were chosen before.

        It covers other tasks and seeds, and other cells have no effect on it. None for too few tasks, see
        `MIN_TASKS_OF_PAIR`.
        """
        if self.tasks < MIN_TASKS_OF_PAIR:
            return None
        drawn = self.drawn[:, cell] - self.drawn[:, other]
        return self._interval(self.sums[cell] - self.sums[other], self._percentiles(drawn))

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
    rng = np.random.default_rng(SEED)
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
