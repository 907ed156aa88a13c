"""Sweep the learning rates of a comparison, with the search of :mod:`zoo.training.rate_search` for each
group of runs: a cell on a task at one size.

A large rate may succeed with one seed and fail with the next. So zoo repeats the run of the chosen rate with
another seed, and a rate counts by its worse run. If the second run fails, the next rate is chosen and
repeated. At a rate of 0.03, two layers of Mamba's block with 20 units learned to add with the seed of the
sweep, and with none of the three seeds that were compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.training.rate_search import (
    choose_learning_rate,
    is_on_plateau,
    longest_trials,
    next_trials,
    rate_beyond,
    worse_trials,
)

if TYPE_CHECKING:
    from zoo.comparison.plan import Plan
    from zoo.comparison.records import RunGroup, RunRecord, SummaryRow
    from zoo.comparison.results import Comparison

SweepRun = tuple[float, int]
"""A learning rate, and which of the two seeds of the sweep: 0 or 1."""


def next_runs(
    plan: Plan, group: RunGroup, records: Sequence[RunRecord]
) -> tuple[int, tuple[SweepRun, ...]] | None:
    """The next runs of the sweep of a group and their updates; None if it is decided or its rounds are over.

    Args:
        plan: The plan.
        group: Task, cell and size.
        records: The runs of the sweep of this group so far.
    """
    trials = worse_trials(records)
    search = next_trials(
        plan.rates,
        lambda doublings: plan.sweep_run_steps(group, doublings),
        plan.sweep_rounds,
        trials,
        choose_learning_rate,
    )
    if search is not None:
        steps, rates = search
        return steps, tuple((rate, 0) for rate in rates)
    repeats = len(records) - len(trials)
    if repeats < plan.sweep_rounds and len(plan.rates) > 1 and not is_on_plateau(longest_trials(trials)):
        rate = decided_rate(plan, records)
        runs = [record for record in longest_trials(records) if record.lr == rate]
        if len(runs) == 1 and runs[0].status == "finished":
            return runs[0].steps or 0, ((rate, 1),)
    return None


def decided_rate(plan: Plan, records: Sequence[RunRecord]) -> float:
    """The rate that the longest runs of a sweep have chosen; a rate counts by its worse run."""
    return choose_learning_rate(worse_trials(longest_trials(records)), plan.rates)


def max_stages(plan: Plan) -> int:
    """The largest number of stages of a sweep: the grid, its continuations and the repeated runs."""
    return 2 * plan.sweep_rounds + 1


def verdict(records: Sequence[RunRecord], chosen: float | None) -> str:
    """``"plateau"`` or ``"edge"`` if a sweep has not decided; empty if it has, or there was none."""
    swept = longest_trials(records)
    rates = sorted({record.lr for record in swept if record.lr is not None})
    if len(rates) < 2 or chosen is None or all(record.status != "finished" for record in swept):
        return ""
    if is_on_plateau(swept):
        return "plateau"
    return "edge" if rate_beyond(rates, chosen) else ""


def sweep_verdict(results: Comparison, row: SummaryRow) -> str:
    """``"plateau"`` or ``"edge"`` if the sweep of a row has not decided its learning rate; else empty."""
    swept = [record for record in results.sweep if record.group == row.group]
    return verdict(swept, row.lr)


def groups_with_verdict(results: Comparison, word: str) -> list[str]:
    """The groups of runs whose sweep ended with ``"edge"`` or ``"plateau"``, such as ``gru on adding``."""
    return [results.group_text(row.group) for row in results.summary if sweep_verdict(results, row) == word]
