"""The sweep of learning rates: short runs at each rate of a grid, continued while they do not decide.

A sweep that ends on a plateau decides by chance, and a rate at the edge of the grid may be far from the best.
So a round first doubles the length of the runs while no rate is better than the memoryless baseline, and then
adds a rate beyond the grid while the best rate is at its edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.comparison.plan import Plan
    from zoo.comparison.results import RunRecord

MIN_PROGRESS = 0.05
"""Share of the way from the baseline to the threshold from which a run has left the plateau."""

Pair = tuple[str, str]
Runs = tuple[int, tuple[float, ...]]
"""The number of updates, and learning rates."""


def next_runs(plan: Plan, pair: Pair, records: Sequence[RunRecord]) -> Runs | None:
    """The next runs of the sweep of a pair; None if it has decided, or its rounds are over.

    Args:
        plan: The plan.
        pair: Task and cell.
        records: The runs of the sweep of this pair so far.
    """
    if len(plan.rates) < 2:
        return None
    rates, doublings = plan.rates, 0
    for done in range(plan.sweep_rounds + 1):
        steps = plan.sweep_run_steps(*pair, doublings)
        current = [record for record in records if record.steps == steps and record.lr in rates]
        if missing := tuple(rate for rate in rates if rate not in {record.lr for record in current}):
            return steps, missing
        if done == plan.sweep_rounds:
            return None
        if is_on_plateau(current) and steps < plan.sweep_run_steps(*pair, doublings + 1):
            doublings += 1
        elif beyond := rate_beyond(rates, choose_learning_rate(current, rates)):
            rates = tuple(sorted((*rates, beyond)))
        else:
            return None
    return None


def decided_rate(plan: Plan, records: Sequence[RunRecord]) -> float:
    """The rate that the longest runs of a sweep have chosen."""
    return choose_learning_rate(longest_runs(records), plan.rates)


def longest_runs(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The records of the longest runs of a sweep; the others ended on a plateau."""
    most = max((record.steps or 0 for record in records), default=0)
    return [record for record in records if (record.steps or 0) == most]


def rate_beyond(rates: Sequence[float], best: float) -> float | None:
    """The rate beyond a grid whose best rate is at its edge; None if it lies inside."""
    if best not in (rates[0], rates[-1]):
        return None
    edge, inner = (rates[0], rates[1]) if best == rates[0] else (rates[-1], rates[-2])
    return float(f"{edge * edge / inner:.6g}")


def is_on_plateau(records: Sequence[RunRecord]) -> bool:
    """Whether no run is better than the memoryless baseline; False if that is unknown."""
    finished = [record for record in records if record.status == "finished"]
    return bool(finished) and not any(map(_has_left_plateau, finished))


def _has_left_plateau(record: RunRecord) -> bool:
    if record.baseline is None:
        return True
    if record.score is None:
        return False
    default = 1.0 if record.higher_is_better else 0.0
    way = (default if record.threshold is None else record.threshold) - record.baseline
    return way != 0 and (record.score - record.baseline) / way >= MIN_PROGRESS


def verdict(records: Sequence[RunRecord], chosen: float | None) -> str:
    """``"plateau"`` or ``"edge"`` if a sweep has not decided; empty if it has, or there was none."""
    swept = longest_runs(records)
    rates = sorted({record.lr for record in swept if record.lr is not None})
    if len(rates) < 2 or chosen is None:
        return ""
    if is_on_plateau(swept):
        return "plateau"
    return "edge" if rate_beyond(rates, chosen) else ""


def choose_learning_rate(records: Sequence[RunRecord], rates: Sequence[float]) -> float:
    """Choose the rate whose short run had the best validation: solved before unsolved, then the lowest loss.

    A run chooses its best model by the same criterion. The score is a worse one: if it is an accuracy and no
    run has learned the task yet, scores differ by chance.

    Rates at which training diverged are skipped. If it diverged at all of them, the smallest is chosen; if no
    run has a result, the middle one.

    Args:
        records: Runs of the sweep.
        rates: The grid, in ascending order.
    """
    if finished := [record for record in records if record.status == "finished"]:
        return float(min(finished, key=_rate_order).lr or 0.0)
    if any(record.status == "diverged" for record in records):
        return rates[0]
    return rates[len(rates) // 2]


def _rate_order(record: RunRecord) -> tuple[bool, float, float]:
    """Sort key, best first; the smaller rate among equal runs."""
    loss = math.inf if record.loss is None else record.loss
    return not record.solved, loss, record.lr or 0.0
