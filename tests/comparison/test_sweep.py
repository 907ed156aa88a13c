"""The sweep of learning rates: longer runs on a plateau, and rates beyond the grid."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from comparison_records import record
from hypothesis import assume, given
from hypothesis import strategies as st

import zoo
from zoo.comparison.plan import Plan, RunSize, Sizes
from zoo.comparison.records import RunGroup
from zoo.comparison.sweep import decided_rate, max_stages, next_runs, verdict
from zoo.errors import UsageError
from zoo.training.rate_search import CHANCE_ERRORS, is_on_plateau, rate_beyond

PAIR = "adding", "gru"
GROUP = RunGroup(*PAIR, 8)
PLAN = Plan(
    cells={},
    tasks={},
    seeds=1,
    sizes=Sizes("hidden", (8,)),
    length=("steps", 100),
    rates=(0.001, 0.003, 0.01),
    sweep_steps=None,
    sweep_rounds=3,
    settings={},
    run_sizes={GROUP: RunSize(8, 100, 100)},
)


KNOWN = {"baseline": 1 / 6, "threshold": 0.01}


def swept(losses, steps=20, score=0.1, seed=9, **more):
    """Records of a sweep: the loss by learning rate."""
    return [
        record(*PAIR, seed, score, high=False, lr=lr, loss=loss, steps=steps, **KNOWN, **more)
        for lr, loss in losses.items()
    ]


def first(steps, *rates):
    """Runs with the first seed."""
    return steps, tuple((rate, 0) for rate in rates)


GRID = {0.001: 3.0, 0.003: 1.0, 0.01: 2.0}
LOW = {0.001: 1.0, 0.003: 2.0, 0.01: 3.0}
HIGH = {0.001: 3.0, 0.003: 2.0, 0.01: 1.0}


def test_first_runs_have_the_rates_of_the_grid():
    assert next_runs(PLAN, GROUP, []) == first(20, *PLAN.rates)
    assert next_runs(PLAN, GROUP, swept(GRID)[1:]) == first(20, 0.001), "an interrupted sweep is completed"
    assert next_runs(dataclasses.replace(PLAN, rates=(0.1,)), GROUP, []) is None


def test_best_rate_inside_is_repeated_and_ends_the_sweep():
    assert next_runs(PLAN, GROUP, swept(GRID)) == (20, ((0.003, 1),))
    records = swept(GRID) + swept({0.003: 1.5}, seed=10)
    assert next_runs(PLAN, GROUP, records) is None
    assert decided_rate(PLAN, records) == 0.003


def test_smallest_rate_that_was_tried_is_chosen_if_training_diverged_at_all() -> None:
    records = [record("t", "a", 0, None, lr=lr, steps=400, status="diverged") for lr in (0.01, 0.003, 0.0009)]
    assert decided_rate(PLAN, records) == 0.0009
    assert verdict(records, 0.0009) == ""
    without_rounds = dataclasses.replace(PLAN, sweep_rounds=0)
    assert next_runs(without_rounds, GROUP, swept(GRID)) is None


@pytest.mark.parametrize(
    "second", [{"losses": {0.003: 9.0}}, {"losses": {0.003: None}, "status": "diverged"}]
)
def test_rate_counts_by_its_worse_run(second):
    records = swept({**GRID, 0.0333333: 3.0}) + swept(**second, seed=10)
    assert decided_rate(PLAN, records) == 0.01
    assert next_runs(PLAN, GROUP, records) == (20, ((0.01, 1),)), "the next best rate is repeated, too"
    assert next_runs(PLAN, GROUP, records + swept({0.01: 2.5}, seed=10)) is None


def test_repeated_runs_are_bounded():
    once = dataclasses.replace(PLAN, sweep_rounds=1)
    records = swept({**GRID, 0.0333333: 3.0}) + swept({0.003: 9.0}, seed=10)
    assert next_runs(once, GROUP, records) is None
    assert max_stages(once) == 3


@pytest.mark.parametrize(("losses", "beyond"), [(LOW, 0.000333333), (HIGH, 0.0333333)])
def test_grid_extends_itself_beyond_its_edge(losses, beyond):
    assert next_runs(PLAN, GROUP, swept(losses)) == first(20, beyond)
    worse = swept({**losses, beyond: 9.0})
    best = min(losses, key=losses.get)
    assert next_runs(PLAN, GROUP, worse) == (20, ((best, 1),)), "the best rate lies inside"
    assert verdict(worse, decided_rate(PLAN, worse)) == ""
    better = swept({**losses, beyond: 0.5})
    ((more, index),) = next_runs(PLAN, GROUP, better)[1]
    assert index == 0
    assert more == rate_beyond(sorted({**losses, beyond: 0.5}), beyond)


def test_rate_that_diverges_ends_the_extension():
    diverged = swept({0.0333333: None}, status="diverged", score=None)
    assert next_runs(PLAN, GROUP, swept(HIGH) + diverged) == (20, ((0.01, 1),))
    assert decided_rate(PLAN, swept(HIGH) + diverged) == 0.01
    assert verdict(swept(HIGH) + diverged, 0.01) == ""


def test_rounds_are_bounded():
    once = dataclasses.replace(PLAN, sweep_rounds=1)
    records = swept({**HIGH, 0.0333333: 0.5})
    assert next_runs(once, GROUP, records) == (20, ((0.0333333, 1),))
    assert verdict(records, decided_rate(once, records)) == "edge"
    assert next_runs(dataclasses.replace(PLAN, sweep_rounds=0), GROUP, swept(HIGH)) is None


def test_runs_get_longer_on_a_plateau():
    flat = swept(HIGH, score=0.166)
    assert is_on_plateau(flat)
    assert next_runs(PLAN, GROUP, flat) == first(40, *PLAN.rates)
    longer = flat + swept(HIGH, 40, score=0.166)
    assert next_runs(PLAN, GROUP, longer) == first(80, *PLAN.rates)
    assert next_runs(PLAN, GROUP, longer + swept(GRID, 80)) == (80, ((0.003, 1),))
    assert decided_rate(PLAN, longer + swept(GRID, 80)) == 0.003, "short runs do not count"
    whole = longer + swept(HIGH, 80, score=0.166)
    assert next_runs(PLAN, GROUP, whole) == first(100, *PLAN.rates), "at most the length of a run"
    assert next_runs(PLAN, GROUP, whole + swept(HIGH, 100, score=0.166)) is None
    assert verdict(whole, 0.01) == "plateau"


def test_edge_is_extended_after_the_plateau():
    records = swept(GRID, score=0.166) + swept(HIGH, 40)
    assert next_runs(PLAN, GROUP, records) == first(40, 0.0333333)


def test_plateau_is_relative_to_threshold_or_perfect_score():
    base = record("copying", "gru", 0, 0.15, baseline=0.125, threshold=0.99)
    assert is_on_plateau([base])
    assert not is_on_plateau([base, dataclasses.replace(base, score=0.2)])
    assert not is_on_plateau([dataclasses.replace(base, score=0.2, threshold=None)])
    assert not is_on_plateau([dataclasses.replace(base, baseline=None)]), "of a data set"
    assert not is_on_plateau([dataclasses.replace(base, status="failed", score=None)]), "nothing is known"


@given(st.floats(0.05, 0.95), st.integers(16, 20_000), st.floats(0, 6), st.sampled_from([None, 0.98, 0.999]))
def test_accuracy_leaves_the_plateau_beyond_its_standard_errors(baseline, examples, errors, threshold):
    """In runs that learned nothing, an accuracy is a binomial share."""
    score = min(1.0, baseline + errors * math.sqrt(baseline * (1 - baseline) / examples))
    trial = record("parity", "gru", 0, score, baseline=baseline, threshold=threshold, examples=examples)
    by_share = is_on_plateau([dataclasses.replace(trial, examples=None)])
    assume(score < 1)
    assume(abs(errors - CHANCE_ERRORS) > 1e-6)
    assert is_on_plateau([trial]) == (by_share or errors < CHANCE_ERRORS)


def test_runs_that_learn_nothing_rarely_leave_the_plateau():
    rng = np.random.default_rng(0)
    scores = rng.binomial(512, 0.5, 2000) / 512
    trials = [record("parity", "gru", 0, s, baseline=0.5, threshold=0.9, examples=512) for s in scores]
    assert sum(not is_on_plateau([trial]) for trial in trials) < 0.005 * len(trials)
    without = [dataclasses.replace(trial, examples=None) for trial in trials]
    assert sum(not is_on_plateau([trial]) for trial in without) > 0.1 * len(trials)


def test_errors_have_no_chance_margin():
    trial = record("adding", "gru", 0, 0.15, high=False, examples=4, **KNOWN)
    assert not is_on_plateau([trial])


def test_a_comparison_continues_its_sweep_and_resumes_it(tmp_path):
    given = {
        "options": {"copying": {"delay": 2, "length": 2}},
        "seeds": 1,
        "params": 150,
        "steps": 8,
        "batch": 4,
    }
    with zoo.kernels.pure_python():
        made = zoo.compare(
            "vanilla", "copying", out=tmp_path, jobs=0, eval_batches=1, sweep_rounds=2, **given
        )
    assert made.metadata["plan"]["sweep_rounds"] == 2
    assert "--sweep-rounds 2" in made.metadata["command"]
    first = [run.lr for run in made.sweep if run.steps == 2][:3]
    assert first == [0.0003, 0.001, 0.003]
    assert len(made.sweep) > len(first)
    longest = [run for run in made.sweep if run.steps == max(run.steps for run in made.sweep)]
    assert made.runs[0].lr == decided_rate(PLAN, longest)

    class Idle:
        def map(self, jobs, on_event):
            assert list(jobs) == []
            return iter(())

    resumed = zoo.compare(out=tmp_path, engine=Idle())
    assert (resumed.sweep, resumed.runs) == (made.sweep, made.runs)


def test_invalid_number_of_rounds():
    with pytest.raises(UsageError, match="sweep_rounds is -1"):
        zoo.compare("vanilla", "copying", sweep_rounds=-1)
