"""The sweep of learning rates of a comparison: a search of :mod:`zoo.training.rate_search` for every pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.training.rate_search import (
    Runs,
    choose_learning_rate,
    is_on_plateau,
    longest_trials,
    next_trials,
    rate_beyond,
)

if TYPE_CHECKING:
    from zoo.comparison.plan import Plan
    from zoo.comparison.results import RunRecord

Pair = tuple[str, str]


def next_runs(plan: Plan, pair: Pair, records: Sequence[RunRecord]) -> Runs | None:
    """The next runs of the sweep of a pair; None if it has decided, or its rounds are over.

    Args:
        plan: The plan.
        pair: Task and cell.
        records: The runs of the sweep of this pair so far.
    """
    return next_trials(
        plan.rates,
        lambda doublings: plan.sweep_run_steps(*pair, doublings),
        plan.sweep_rounds,
        records,
        choose_learning_rate,
    )


def decided_rate(plan: Plan, records: Sequence[RunRecord]) -> float:
    """The rate that the longest runs of a sweep have chosen."""
    return choose_learning_rate(longest_trials(records), plan.rates)


def verdict(records: Sequence[RunRecord], chosen: float | None) -> str:
    """``"plateau"`` or ``"edge"`` if a sweep has not decided; empty if it has, or there was none."""
    swept = longest_trials(records)
    rates = sorted({record.lr for record in swept if record.lr is not None})
    if len(rates) < 2 or chosen is None:
        return ""
    if is_on_plateau(swept):
        return "plateau"
    return "edge" if rate_beyond(rates, chosen) else ""
