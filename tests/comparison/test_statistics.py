"""Statistics over seeds, and the choice of a learning rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparison_records import RECORDS, record
from hypothesis import given
from hypothesis import strategies as st

from zoo.comparison.statistics import overall, summarize
from zoo.comparison.student import student_interval
from zoo.training.rate_search import choose_learning_rate


def test_summary_has_row_per_task_and_cell():
    rows = summarize(RECORDS)
    assert [(row.task, row.cell) for row in rows] == [
        ("copying", "gru"),
        ("copying", "lem"),
        ("adding", "gru"),
        ("adding", "lem"),
    ]
    gru, lem = rows[0], rows[1]
    assert (gru.mean, gru.spread) == (pytest.approx(0.7), pytest.approx(np.std([0.5, 0.9], ddof=1)))
    assert (gru.best, gru.worst, gru.rank, lem.rank) == (0.9, 0.5, 2.0, 1.0)
    assert (gru.solved, gru.seeds, gru.unscored) == (1, 2, 0)
    assert (gru.steps_to_threshold, gru.seconds_to_threshold, gru.symbols_per_s) == (4.0, 0.5, 100.0)


def test_lower_is_better_reverses_ranks():
    gru, lem = summarize(RECORDS)[2:]
    assert (gru.best, gru.worst, gru.rank) == (0.01, 0.03, 1.0)
    assert (lem.best, lem.worst, lem.rank) == (0.1, 0.2, 2.0)
    assert gru.seconds == 3.0
    assert gru.steps_to_threshold is None


def test_one_seed_has_no_spread():
    (row,) = summarize(RECORDS[:1])
    assert (row.mean, row.spread, row.low, row.high, row.rank) == (0.5, None, None, None, 1.0)


def test_runs_without_score():
    lost = record("copying", "lem", 0, None, status="failed")
    rows = summarize([*RECORDS[:2], lost, record("copying", "lru", 0, 0.1)])
    assert [(row.cell, row.mean, row.unscored, row.rank) for row in rows] == [
        ("gru", pytest.approx(0.7), 0, 1.0),
        ("lem", None, 1, 3.0),
        ("lru", 0.1, 0, 2.0),
    ]
    assert overall([lost])[0].rank is None
    assert summarize([]) == overall([]) == []


def test_overall_ranks():
    rows = overall(RECORDS)
    assert [(row.cell, row.rank, row.tasks, row.runs) for row in rows] == [
        ("gru", 1.5, 2, 4),
        ("lem", 1.5, 2, 4),
    ]
    intervals = [(row.low, row.high, row.rank_gap, row.rank_gap_low) for row in rows]
    assert intervals == [(None, None, 0.0, None)] * 2
    assert (rows[0].solved, rows[0].solvable, rows[0].seconds) == (1, 4, 10.0)
    text = [record("text", cell, 0, 1.5, high=False, threshold=None) for cell in ("gru", "lem")]
    assert [(row.solvable, row.runs) for row in overall([*RECORDS, *text])] == [(4, 5), (4, 5)]


def test_overall_uses_only_tasks_of_all_cells():
    rows = overall([*RECORDS, record("dyck", "gru", 0, 0.1)])
    assert [row.tasks for row in rows] == [2, 2]
    apart = overall([RECORDS[0], RECORDS[6]])
    assert [(row.cell, row.rank, row.low, row.tasks) for row in apart] == [
        ("gru", None, None, 0),
        ("lem", None, None, 0),
    ]


def grid(tasks, cells, seeds):
    """Records of cells whose scores rise in their order."""
    return [
        record(f"t{task}", cell, seed, 0.5 + 0.1 * index + 0.01 * seed)
        for task in range(tasks)
        for index, cell in enumerate(cells)
        for seed in range(seeds)
    ]


def failed(records, cell, tasks):
    """The records, without the scores of a cell on some tasks."""
    return [
        replace(each, score=None, status="failed") if each.cell == cell and each.task in tasks else each
        for each in records
    ]


@pytest.mark.parametrize("reference", [None, "a", "b"])
@pytest.mark.parametrize("cell", ["a", "c"])
@pytest.mark.parametrize(("tasks", "seeds"), [(1, 1), (3, 3), (7, 2)])
def test_cell_without_any_score_has_no_rank_and_changes_no_other(cell, tasks, seeds, reference):
    records = failed(grid(tasks, "abcd", seeds), cell, [f"t{task}" for task in range(tasks)])
    *rows, last = overall(records, reference)
    assert rows == overall([each for each in records if each.cell != cell], reference)
    assert (last.cell, last.runs, last.tasks) == (cell, tasks * seeds, tasks)
    assert last.rank is last.low is last.rank_gap is last.rank_difference is last.rank_difference_low is None


@pytest.mark.parametrize("reference", [None, "a", "b"])
@pytest.mark.parametrize("cell", ["a", "c"])
@pytest.mark.parametrize("lost", [["t0"], ["t1", "t4"]])
def test_task_on_which_a_cell_has_no_score_does_not_count(cell, lost, reference):
    """It would count as the worst rank, so a crash of the reference would make other cells better."""
    records = failed(grid(6, "abcd", 2), cell, lost)
    rows = overall(records, reference)
    assert rows == overall([each for each in records if each.task not in lost], reference)
    assert {row.tasks for row in rows} == {6 - len(lost)}


def test_clear_winner_has_degenerate_rank_interval():
    many = [record("t", "a", seed, 0.9 + 0.01 * seed) for seed in range(5)]
    many += [record("t", "b", seed, 0.1 + 0.01 * seed) for seed in range(5)]
    a, b = overall(many)
    assert (a.cell, a.low, a.high, a.rank_gap) == ("a", 1.0, 1.0, -1.0)
    assert (b.cell, b.low, b.high, b.rank_gap) == ("b", 2.0, 2.0, 1.0)
    assert (b.rank_gap_low, b.rank_gap_high) == (None, None), "one task gives no verdict"


def test_intervals_do_not_depend_on_the_order_of_the_records():
    rng = np.random.default_rng(0)
    records = [
        record(task, cell, seed, rng.random(), high=task != "t1")
        for task in ("t0", "t1", "t2", "t3")
        for cell in "abcd"
        for seed in range(3)
    ]
    rows = overall(records)
    assert all(1.0 <= row.low <= row.rank <= row.high <= 4.0 for row in rows)
    shuffled = [records[index] for index in rng.permutation(len(records))]
    assert sorted(overall(shuffled), key=lambda row: row.cell) == sorted(rows, key=lambda row: row.cell)


def test_a_failed_run_is_left_out_of_the_draws():
    """Its cell has the mean of the other seeds of a draw, or of all seeds if the draw has no other."""
    records = [
        record(f"t{task}", cell, seed, score)
        for task in range(3)
        for cell, score in (("a", 0.9), ("b", 0.1), ("c", 0.5))
        for seed in range(3)
    ]
    failed = [
        record(run.task, run.cell, run.seed, None, status="failed")
        if (run.cell, run.seed) == ("a", 1)
        else run
        for run in records
    ]
    assert [(row.cell, row.low, row.high) for row in overall(failed)] == [
        ("a", 1.0, 1.0), ("c", 2.0, 2.0), ("b", 3.0, 3.0),
    ]  # fmt: skip


def test_two_seeds_have_no_interval():
    two = [record("t", "a", seed, score) for seed, score in enumerate((0.5, 0.9))]
    (row,) = summarize(two)
    assert (row.low, row.high) == (None, None)
    (row,) = summarize([*two, record("t", "a", 2, 0.7)])
    assert (row.low, row.high) == student_interval([0.5, 0.9, 0.7])


def test_student_interval_is_wide_for_few_values():
    assert student_interval([1.0]) is None
    assert student_interval([1.0, 3.0]) == pytest.approx((2 - 12.706, 2 + 12.706))
    assert student_interval([1.0, 1.0]) == (1.0, 1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_student_interval_contains_the_mean(values):
    low, high = student_interval(values)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert low - slack <= np.mean(values) <= high + slack


def test_student_interval_contains_the_true_mean_in_95_percent():
    samples = np.random.default_rng(1).normal(size=(2000, 3)).tolist()
    share = np.mean([low <= 0 <= high for low, high in map(student_interval, samples)])
    assert share == pytest.approx(0.95, abs=0.015)


# ---- the sweep ----------------------------------------------------------------------------------------


RATES = (0.001, 0.01, 0.1)


def swept(*losses, solved=(False,) * 3, status=("finished",) * 3):
    return [
        record("t", "a", 0, 0.5, lr=lr, loss=loss, solved=done, status=state)
        for loss, lr, done, state in zip(losses, RATES, solved, status, strict=True)
    ]


@pytest.mark.parametrize(
    ("records", "rate"),
    [
        (swept(0.5, 0.1, 0.9), 0.01),
        (swept(0.5, 0.1, 0.9, solved=(True, False, False)), 0.001),
        (swept(0.5, 0.1, 0.9, solved=(True, False, True)), 0.001),
        (swept(0.5, 0.5, 0.5), 0.001),
        (swept(0.2, 0.1, 0.05, status=("finished", "finished", "diverged")), 0.01),
        (swept(0.2, 0.1, 0.05, status=("diverged", "failed", "diverged")), 0.001),
        (swept(None, None, None, status=("failed",) * 3), 0.01),
        ([], 0.01),
    ],
)
def test_choose_learning_rate(records, rate):
    assert choose_learning_rate(records, RATES) == rate


def test_single_rate_is_chosen():
    assert choose_learning_rate([], (0.5,)) == 0.5
