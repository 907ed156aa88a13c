"""What the seeds say together: means, spreads, intervals, ranks.

Ranks of several cells on several tasks are averaged as in J. Demšar, "Statistical Comparisons of Classifiers
over Multiple Data Sets", JMLR 7, 2006, https://jmlr.org/papers/v7/demsar06a.html. Intervals are percentile
bootstraps, those of ranks stratified by task, as R. Agarwal et al., "Deep Reinforcement Learning at the Edge
of the Statistical Precipice", NeurIPS 2021, https://arxiv.org/abs/2108.13264, advise for few runs.

Which learning rate a cell gets on a task.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.comparison.jobs import Record

Array = np.ndarray[Any, Any]

RunRecord = dict[str, Any]

Row = dict[str, Any]

RESAMPLES = 2000

CONFIDENCE = 0.95

_SEED = 0  # of the bootstrap: the same results give the same intervals


def summarize(records: Sequence[RunRecord]) -> list[Row]:
    """A row for each task and cell, in the order in which they come.

    Args:
        records: Of all runs, in the form of ``results.json``.
    """
    groups = _groups(records)
    ranks = _ranks_by_pair(groups)
    return [_row(pair, group, ranks[pair]) for pair, group in groups.items()]


def _row(pair: tuple[str, str], group: Sequence[RunRecord], rank: float) -> Row:
    scores, first = _scores(group), group[0]
    high = first["higher_is_better"]
    best, worst = (max, min) if high else (min, max)
    low, top = interval(scores)
    return {
        "task": pair[0],
        "cell": pair[1],
        **{name: first[name] for name in ("parameters", "hidden", "lr", "steps", "metric")},
        "mean": _mean(scores),
        "spread": _deviation(scores),
        "low": low,
        "high": top,
        "best": best(scores, default=None),
        "worst": worst(scores, default=None),
        "rank": rank,
        "solved": sum(bool(record["solved"]) for record in group),
        "seeds": len(group),
        "lost": len(group) - len(scores),
        "seconds": _mean(_known(group, "seconds")),
        "steps_to_threshold": _mean(_known(group, "steps_to_threshold")),
        "seconds_to_threshold": _mean(_known(group, "seconds_to_threshold")),
        "symbols_per_s": _mean(_known(group, "symbols_per_s")),
    }


def overall(records: Sequence[RunRecord]) -> list[Row]:
    """A row for each cell over the tasks that all cells have, the best mean rank first."""
    groups = _groups(records)
    tasks, cells = (list(dict.fromkeys(pair[place] for pair in groups)) for place in (0, 1))
    columns = [
        [groups[task, cell] for cell in cells]
        for task in tasks
        if all((task, cell) in groups for cell in cells)
    ]
    rng = np.random.default_rng(_SEED)
    exact = [_ranks(column) for column in columns]
    drawn = [_resampled_ranks(column, rng) for column in columns]
    rows = [
        _overall_row(cell, place, [record for column in columns for record in column[place]], exact, drawn)
        for place, cell in enumerate(cells)
    ]
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"] or 0.0))


def _overall_row(
    cell: str, place: int, own: Sequence[RunRecord], exact: Sequence[Array], drawn: Sequence[Array]
) -> Row:
    """What is told of a cell: ``exact`` and ``drawn`` hold the ranks of all cells on each task."""
    low, high = _percentiles(np.mean([ranks[:, place] for ranks in drawn], axis=0)) if drawn else (None, None)
    return {
        "cell": cell,
        "rank": _mean([float(ranks[place]) for ranks in exact]),
        "low": low,
        "high": high,
        "tasks": len(exact),
        "solved": sum(bool(record["solved"]) for record in own),
        "solvable": sum(record["threshold"] is not None for record in own),
        "runs": len(own),
        "seconds": math.fsum(_known(own, "seconds")),
    }


def interval(scores: Sequence[float]) -> tuple[float | None, float | None]:
    """A 95 % percentile bootstrap interval of the mean; nothing for fewer than two scores."""
    if len(scores) < 2:
        return None, None
    return _percentiles(_resampled_means(np.asarray(scores), np.random.default_rng(_SEED)))


def _resampled_means(scores: Array, rng: np.random.Generator) -> Array:
    """Means of draws with replacement, ``(RESAMPLES,)``."""
    return scores[rng.integers(0, len(scores), (RESAMPLES, len(scores)))].mean(axis=1)  # type: ignore[no-any-return]


def _percentiles(values: Array) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def _ranks_by_pair(groups: Mapping[tuple[str, str], Sequence[RunRecord]]) -> dict[tuple[str, str], float]:
    """The rank of every cell among those of its task."""
    found: dict[tuple[str, str], float] = {}
    for task in dict.fromkeys(task for task, _ in groups):
        pairs = [pair for pair in groups if pair[0] == task]
        found.update(zip(pairs, map(float, _ranks([groups[pair] for pair in pairs])), strict=True))
    return found


def _ranks(groups: Sequence[Sequence[RunRecord]]) -> Array:
    """Ranks of cells on one task by their means."""
    return ranked(np.array([_costs(group).mean() for group in groups]))


def _resampled_ranks(groups: Sequence[Sequence[RunRecord]], rng: np.random.Generator) -> Array:
    """Ranks of cells on one task in each resample of their seeds, ``(RESAMPLES, cells)``."""
    return ranked(np.stack([_resampled_means(_costs(group), rng) for group in groups], axis=1))


def _costs(group: Sequence[RunRecord]) -> Array:
    """Scores as what is smaller for the better; where no run has a score, the worst there is."""
    scores = np.array(_scores(group) or [-math.inf if group[0]["higher_is_better"] else math.inf])
    return -scores if group[0]["higher_is_better"] else scores


def ranked(costs: Array) -> Array:
    """Ranks along the last axis, from 1 for the smallest; equals share the mean of their places.

    Args:
        costs: ``(N, cells)``; infinity for the worst.
    """
    smaller = (costs[..., None] > costs[..., None, :]).sum(-1)
    equal = (costs[..., None] == costs[..., None, :]).sum(-1)
    return smaller + (equal + 1) / 2  # type: ignore[no-any-return]


def _groups(records: Iterable[RunRecord]) -> dict[tuple[str, str], list[RunRecord]]:
    """Records by task and cell."""
    found: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        found.setdefault((record["task"], record["cell"]), []).append(record)
    return found


def _scores(group: Iterable[RunRecord]) -> list[float]:
    return _known(group, "score")


def _known(group: Iterable[RunRecord], name: str) -> list[float]:
    return [float(record[name]) for record in group if record[name] is not None]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    """Standard deviation, by n - 1."""
    mean = _mean(values)
    if mean is None or len(values) < 2:
        return None
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def choose_rate(records: Sequence[Record], rates: Sequence[float]) -> float:
    """The rate whose short run had the best validation: solved before unsolved, then by the loss.

    That is also how a run chooses the model that it keeps. The score would say less: where it counts right
    answers, and none of the runs has learnt to give them yet, it is a matter of chance.

    A rate at which training diverged is taken only if it did at all of them, and then the smallest; one in
    the middle if no run says anything.

    Args:
        records: Of the runs of the sweep.
        rates: The grid, in ascending order.
    """
    if finished := [record for record in records if record["status"] == "finished"]:
        return float(min(finished, key=_order)["lr"])
    if any(record["status"] == "diverged" for record in records):
        return rates[0]
    return rates[len(rates) // 2]


def _order(record: Record) -> tuple[bool, float, float]:
    """What is smaller for the better; of equal runs the smaller rate."""
    loss = math.inf if record["loss"] is None else float(record["loss"])
    return not record["solved"], loss, float(record["lr"])
