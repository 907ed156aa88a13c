"""Statistics over seeds: means, standard deviations, confidence intervals and ranks.

Intervals of means are Student's. A percentile bootstrap of three scores gives their range, which contains the
mean with a probability of 75 % only: all three draws are the largest score with a probability of 1/27, above
the 2.5 % of a tail.

Ranks of several cells on several tasks are averaged as in J. Demšar, "Statistical Comparisons of Classifiers
over Multiple Data Sets", JMLR 7, 2006, https://jmlr.org/papers/v7/demsar06a.html. For their intervals see
`zoo.comparison.rank_bootstrap`, and for verdicts `zoo.comparison.rank_permutations`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from zoo.array_types import Array
from zoo.comparison.rank_bootstrap import RankDraws, draw_ranks, mean_costs, rank_costs
from zoo.comparison.records import OverallRow, RunGroup, RunRecord, SummaryRow, TargetRow
from zoo.comparison.student import student_interval, student_quantile
from zoo.comparison.verdicts import paired_difference
from zoo.storage.record_schema import is_bounded_float

MIN_SEEDS = 3
"""Fewer scores have no interval: of two, it would be 18 standard deviations wide."""


def summarize(records: Sequence[RunRecord], reference: str | None = None) -> list[SummaryRow]:
    """Compute a row for each task, cell and size, in the order of the records.

    Args:
        records: All runs.
        reference: Label of the cell with which the others are compared; None for no such cell.
    """
    groups = group_records(records)
    ranks = _ranks_by_group(groups)
    references = {(task, size): runs for (task, cell, size), runs in groups.items() if cell == reference}
    return [
        _row(runs, ranks[task, cell, size], [] if cell == reference else references.get((task, size), []))
        for (task, cell, size), runs in groups.items()
    ]


def _row(group: Sequence[RunRecord], rank: float, reference: Sequence[RunRecord]) -> SummaryRow:
    scores, first = _values(group, "score"), group[0]
    high = first.higher_is_better
    best, worst = (max, min) if high else (min, max)
    low, top = _mean_interval(scores)
    difference = paired_difference(group, reference)
    return SummaryRow(
        task=first.task,
        cell=first.cell,
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
        unscored=len(group) - len(scores),
        seconds=_mean(_values(group, "seconds")),
        steps_to_threshold=_mean(_values(group, "steps_to_threshold")),
        seconds_to_threshold=_mean(_values(group, "seconds_to_threshold")),
        symbols_per_s=_mean(_values(group, "symbols_per_s")),
        **dict(zip(("gain", "gain_low", "gain_high"), mean_gain(group), strict=True)),
        difference=difference.mean,
        difference_low=difference.low,
        difference_high=difference.high,
        size=first.size,
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
    seed_error = student_quantile(len(gains) - 1) * (deviation or 0.0) / math.sqrt(len(gains))
    down, up = (
        math.hypot(_mean([abs(end - gain) for end, gain in zip(ends, gains, strict=True)]) or 0.0, seed_error)
        for ends in (lows, highs)
    )
    least = -1.0 if runs[0].higher_is_better else -math.inf  # a difference of shares, or of errors
    return mean, max(mean - down, least), min(mean + up, 1.0)


def summarize_targets(scores: Iterable[tuple[RunRecord, str, str]]) -> list[TargetRow]:
    """Compute a row for each cell, size and target of data sets with several targets.

    Args:
        scores: Records of one target each, with the target and its best baseline.
    """
    groups: dict[tuple[RunGroup, str], list[tuple[RunRecord, str]]] = {}
    for record, target, best in scores:
        groups.setdefault((record.group, target), []).append((record, best))
    rows = []
    for ((task, cell, _), target), group in groups.items():
        (first, best), records = group[0], [record for record, _ in group]
        values = (_mean(_values(records, "score")), best, first.baseline, *mean_gain(records))
        rows.append(TargetRow(task, cell, target, first.metric, *values, size=first.size))
    return rows


def overall(records: Sequence[RunRecord], reference: str | None = None) -> list[OverallRow]:
    """Compute a row for each size and cell over the complete tasks, the smallest size and best rank first.

    Ranks are never averaged over sizes: the ranks of a cell on one task at two sizes depend on each other, so
    a test that counted both would find differences between equal cells too often.

    A task is complete if each cell has a score on it. A cell without any score has no rank, and does not
    count: a failed run shows neither that a cell is worse nor that another one is better.

    Args:
        records: All runs.
        reference: Label of the cell with which the others are compared; None for no such cell.
    """
    by_size: dict[int, list[RunRecord]] = {}
    for record in records:
        by_size.setdefault(record.group.size, []).append(record)
    return [row for _, own in sorted(by_size.items()) for row in _overall_at_size(own, reference)]


def _overall_at_size(records: Sequence[RunRecord], reference: str | None) -> list[OverallRow]:
    tasks, ranked, draws = mean_rank_draws(records)
    rows = []
    for cell in dict.fromkeys(record.cell for record in records):
        own = [record for record in records if record.cell == cell and record.task in tasks]
        ranks: dict[str, float | None] = {"rank": None, "low": None, "high": None}
        if draws and cell in ranked:
            index = ranked.index(cell)
            ranks = _rank_fields(draws, index)
            if reference in ranked and cell != reference:
                ranks |= _reference_fields(draws, index, ranked.index(reference))
        rows.append(_overall_row(cell, records[0].size, own, len(tasks), ranks))
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0.0))


def mean_rank_draws(records: Sequence[RunRecord]) -> tuple[list[str], list[str], RankDraws | None]:
    """The complete tasks, the cells with a score, and their mean ranks over these tasks; see `overall`.

    All records have the same size.

    Tasks are sorted, so that bootstrap draws do not depend on the order of the records. The mean ranks are
    None without a complete task.
    """
    groups = group_records(records)
    scored = {(task, cell): runs for (task, cell, _), runs in groups.items() if _values(runs, "score")}
    have_scores = {cell for _, cell in scored}
    cells = list(dict.fromkeys(group.cell for group in groups if group.cell in have_scores))
    tasks = sorted({task for task, _ in scored})
    tasks = [task for task in tasks if all((task, cell) in scored for cell in cells)]
    costs = [_costs([scored[task, cell] for cell in cells]) for task in tasks]
    return tasks, cells, draw_ranks(costs) if costs else None


def _overall_row(
    cell: str, size: int | None, own: Sequence[RunRecord], tasks: int, ranks: dict[str, float | None]
) -> OverallRow:
    return OverallRow(
        cell=cell,
        tasks=tasks,
        solved=sum(record.solved for record in own),
        solvable=sum(record.threshold is not None for record in own),
        runs=len(own),
        seconds=math.fsum(_values(own, "seconds")),
        size=size,
        **ranks,
    )


def _rank_fields(draws: RankDraws, index: int) -> dict[str, float | None]:
    low, high = draws.interval(index) or (None, None)
    fields = {"rank": draws.rank(index), "low": low, "high": high}
    if len(draws.sums) < 2:
        return fields
    low, high = draws.permutations.rank_gap_interval(index) or (None, None)
    return {
        **fields,
        "rank_gap": draws.permutations.rank_gap(index),
        "rank_gap_low": low,
        "rank_gap_high": high,
    }


def _reference_fields(draws: RankDraws, index: int, reference: int) -> dict[str, float | None]:
    low, high = draws.permutations.reference_interval(index, reference) or (None, None)
    return {
        "rank_difference": draws.permutations.difference(index, reference),
        "rank_difference_low": low,
        "rank_difference_high": high,
    }


def _ranks_by_group(
    groups: Mapping[RunGroup, Sequence[RunRecord]],
) -> dict[tuple[str, str, int], float]:
    """Ranks of the cells on each task at each size."""
    compared: dict[tuple[str, int], list[RunGroup]] = {}
    for group in groups:
        compared.setdefault((group.task, group.size), []).append(group)
    ranks: dict[tuple[str, str, int], float] = {}
    for cells in compared.values():
        own = rank_costs(mean_costs(_costs([groups[group] for group in cells])))[0]
        ranks.update(zip(cells, map(float, own), strict=True))
    return ranks


def _costs(groups: Sequence[Sequence[RunRecord]]) -> Array:
    """Scores of cells on one task, ``(seeds, cells)``, with the sign chosen so that lower is better.

    NaN stands for a run without a score.
    """
    seeds = sorted({record.seed for group in groups for record in group}, key=str)
    sign = -1.0 if groups[0][0].higher_is_better else 1.0
    costs = np.full((len(seeds), len(groups)), np.nan)
    for cell, group in enumerate(groups):
        for record in group:
            if record.score is not None:
                costs[seeds.index(record.seed), cell] = sign * record.score
    return costs


def group_records(records: Iterable[RunRecord]) -> dict[RunGroup, list[RunRecord]]:
    """The records of each group, in the order of its first record."""
    groups: dict[RunGroup, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
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
