"""Statistics over seeds: means, standard deviations, confidence intervals and ranks.

Intervals of means are Student's. A percentile bootstrap of three scores gives their range, which contains the
mean with a probability of 75 % only: all three draws are the largest score with a probability of 1/27, above
the 2.5 % of a tail.

Ranks of several cells on several tasks are averaged as in J. Demšar, "Statistical Comparisons of Classifiers
over Multiple Data Sets", JMLR 7, 2006, https://jmlr.org/papers/v7/demsar06a.html. Their intervals are
percentile bootstraps, stratified by task, as R. Agarwal et al., "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", NeurIPS 2021, https://arxiv.org/abs/2108.13264, advise for few runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from zoo.array_types import Array
from zoo.comparison.results import OverallRow, RunRecord, SummaryRow, TargetRow
from zoo.comparison.student import student_interval, student_quantile
from zoo.storage.record_schema import is_bounded_float

RESAMPLES = 2000

CONFIDENCE = 0.95

MIN_SEEDS = 3
"""Fewer scores have no interval: of two, it would be 18 standard deviations wide."""

_SEED = 0  # of the bootstrap: the same results give the same intervals


def summarize(records: Sequence[RunRecord]) -> list[SummaryRow]:
    """Compute a row for each task and cell, in the order of the records.

    Args:
        records: All runs.
    """
    groups = _groups(records)
    ranks = _ranks_by_pair(groups)
    return [_row(pair, group, ranks[pair]) for pair, group in groups.items()]


def _row(pair: tuple[str, str], group: Sequence[RunRecord], rank: float) -> SummaryRow:
    scores, first = _values(group, "score"), group[0]
    high = first.higher_is_better
    best, worst = (max, min) if high else (min, max)
    low, top = _mean_interval(scores)
    return SummaryRow(
        task=pair[0],
        cell=pair[1],
        parameters=first.parameters,
        hidden=first.hidden or 0,
        lr=first.lr,
        steps=first.steps,
        metric=first.metric,
        mean=_mean(scores),
        spread=_deviation(scores),
        low=low,
        high=top,
        best=best(scores, default=None),
        worst=worst(scores, default=None),
        rank=rank,
        solved=sum(record.solved for record in group),
        seeds=len(group),
        lost=len(group) - len(scores),
        seconds=_mean(_values(group, "seconds")),
        steps_to_threshold=_mean(_values(group, "steps_to_threshold")),
        seconds_to_threshold=_mean(_values(group, "seconds_to_threshold")),
        symbols_per_s=_mean(_values(group, "symbols_per_s")),
        **dict(zip(("gain", "gain_low", "gain_high"), mean_gain(group), strict=True)),
    )


def _mean_interval(scores: Sequence[float]) -> tuple[float | None, float | None]:
    interval = student_interval(scores) if len(scores) >= MIN_SEEDS else None
    if interval is None or not all(map(is_bounded_float, interval)):
        return None, None
    return interval


def mean_gain(group: Sequence[RunRecord]) -> tuple[float | None, float | None, float | None]:
    """The mean gain over the best baseline, with a 95 % interval over the test part and the seeds.

    All seeds have the same test part, so its share of the uncertainty stays the same with more seeds: the
    interval of one run. The share of the seeds is Student's interval of their mean. Both are independent, so
    their squares add up. With two seeds Student's interval is wide: the ends stay within the possible gains.
    """
    runs = [run for run in group if run.gain is not None]
    gains = _values(runs, "gain")
    mean, deviation = _mean(gains), _deviation(gains)
    lows, highs = _values(runs, "gain_low"), _values(runs, "gain_high")
    if mean is None or not len(lows) == len(highs) == len(gains):
        return mean, None, None
    of_seeds = student_quantile(len(gains) - 1) * (deviation or 0.0) / math.sqrt(len(gains))
    down, up = (
        math.hypot(_mean([abs(end - gain) for end, gain in zip(ends, gains, strict=True)]) or 0.0, of_seeds)
        for ends in (lows, highs)
    )
    least = -1.0 if runs[0].higher_is_better else -math.inf  # a difference of shares, or of errors
    return mean, max(mean - down, least), min(mean + up, 1.0)


def summarize_targets(scores: Iterable[tuple[RunRecord, str, str]]) -> list[TargetRow]:
    """Compute a row for each cell and target of data sets with several targets.

    Args:
        scores: Records of one target each, with the target and its best baseline.
    """
    groups: dict[tuple[str, str, str], list[tuple[RunRecord, str]]] = {}
    for record, target, best in scores:
        groups.setdefault((record.task, target, record.cell), []).append((record, best))
    rows = []
    for (task, target, cell), group in groups.items():
        (first, best), records = group[0], [record for record, _ in group]
        gains = dict(zip(("gain", "gain_low", "gain_high"), mean_gain(records), strict=True))
        mean = _mean(_values(records, "score"))
        rows.append(TargetRow(task, cell, target, first.metric, mean, best, first.baseline, **gains))
    return rows


def overall(records: Sequence[RunRecord]) -> list[OverallRow]:
    """Compute a row for each cell over the tasks that all cells have, the best mean rank first."""
    groups = _groups(records)
    tasks, cells = (list(dict.fromkeys(pair[axis] for pair in groups)) for axis in (0, 1))
    columns = [
        [groups[task, cell] for cell in cells]
        for task in tasks
        if all((task, cell) in groups for cell in cells)
    ]
    rng = np.random.default_rng(_SEED)
    exact = [_ranks(column) for column in columns]
    drawn = [_resampled_ranks(column, rng) for column in columns]
    rows = [
        _overall_row(cell, index, [record for column in columns for record in column[index]], exact, drawn)
        for index, cell in enumerate(cells)
    ]
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0.0))


def _overall_row(
    cell: str, index: int, own: Sequence[RunRecord], exact: Sequence[Array], drawn: Sequence[Array]
) -> OverallRow:
    """Row of a cell. ``exact`` and ``drawn`` hold the ranks of all cells on each task."""
    low, high = _percentiles(np.mean([ranks[:, index] for ranks in drawn], axis=0)) if drawn else (None, None)
    return OverallRow(
        cell=cell,
        rank=_mean([float(ranks[index]) for ranks in exact]),
        low=low,
        high=high,
        tasks=len(exact),
        solved=sum(record.solved for record in own),
        solvable=sum(record.threshold is not None for record in own),
        runs=len(own),
        seconds=math.fsum(_values(own, "seconds")),
    )


def _resampled_means(scores: Array, rng: np.random.Generator) -> Array:
    """Means of bootstrap resamples, ``(RESAMPLES,)``."""
    return scores[rng.integers(0, len(scores), (RESAMPLES, len(scores)))].mean(axis=1)  # type: ignore[no-any-return]


def _percentiles(values: Array) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def _ranks_by_pair(groups: Mapping[tuple[str, str], Sequence[RunRecord]]) -> dict[tuple[str, str], float]:
    ranks: dict[tuple[str, str], float] = {}
    for task in dict.fromkeys(task for task, _ in groups):
        pairs = [pair for pair in groups if pair[0] == task]
        ranks.update(zip(pairs, map(float, _ranks([groups[pair] for pair in pairs])), strict=True))
    return ranks


def _ranks(groups: Sequence[Sequence[RunRecord]]) -> Array:
    return rank_costs(np.array([_costs(group).mean() for group in groups]))


def _resampled_ranks(groups: Sequence[Sequence[RunRecord]], rng: np.random.Generator) -> Array:
    """Ranks of cells on one task in each resample of their seeds, ``(RESAMPLES, cells)``."""
    return rank_costs(np.stack([_resampled_means(_costs(group), rng) for group in groups], axis=1))


def _costs(group: Sequence[RunRecord]) -> Array:
    """Scores with the sign chosen so that lower is better; infinity if no run has a score."""
    scores = np.array(_values(group, "score") or [-math.inf if group[0].higher_is_better else math.inf])
    return -scores if group[0].higher_is_better else scores


def rank_costs(costs: Array) -> Array:
    """Rank along the last axis, from 1 for the smallest; equal costs share their mean rank.

    Args:
        costs: ``(N, cells)``.
    """
    smaller = (costs[..., None] > costs[..., None, :]).sum(-1)
    equal = (costs[..., None] == costs[..., None, :]).sum(-1)
    return smaller + (equal + 1) / 2  # type: ignore[no-any-return]


def _groups(records: Iterable[RunRecord]) -> dict[tuple[str, str], list[RunRecord]]:
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.task, record.cell), []).append(record)
    return groups


def _values(group: Iterable[RunRecord], name: str) -> list[float]:
    return [float(value) for record in group if (value := getattr(record, name)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    mean = _mean(values)
    if mean is None or len(values) < 2:
        return None
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
