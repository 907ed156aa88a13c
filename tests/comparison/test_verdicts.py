"""Paired differences of two cells, and the verdicts of intervals."""

from __future__ import annotations

from statistics import fmean

import pytest
from comparison_records import RECORDS, record
from hypothesis import given
from hypothesis import strategies as st

from zoo.comparison.statistics import overall, summarize
from zoo.comparison.student import student_interval
from zoo.comparison.verdicts import Difference, paired_difference, verdict

SCORES = st.none() | st.floats(-1e3, 1e3)
RUNS = st.lists(SCORES, max_size=6)


def runs(cell, scores):
    return [record("copying", cell, seed, score) for seed, score in enumerate(scores)]


@given(RUNS, RUNS)
def test_only_seeds_of_both_cells_count(scores, others):
    pairs = [
        (score, other)
        for score, other in zip(scores, others, strict=False)
        if score is not None and other is not None
    ]
    values = [score - other for score, other in pairs]
    result = paired_difference(runs("gru", scores), runs("lem", others)[::-1])
    assert (result.seeds, result.mean) == (len(values), fmean(values) if values else None)
    assert (result.low, result.high) == (student_interval(values) or (None, None))


@given(RUNS, RUNS)
def test_the_opposite_difference_has_the_opposite_interval(scores, others):
    there = paired_difference(runs("gru", scores), runs("lem", others))
    back = paired_difference(runs("lem", others), runs("gru", scores))
    if there.mean is not None:
        assert back.mean == pytest.approx(-there.mean, abs=1e-9)
    if there.low is not None and there.high is not None:
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-9)
        opposite = verdict(back.low, back.high, higher_is_better=False)
        assert verdict(there.low, there.high) == opposite or 0 in (there.low, there.high)


def test_difference_that_no_file_can_hold_is_none():
    assert paired_difference(runs("gru", [1e100] * 2), runs("lem", [-1e100] * 2)) == Difference(
        None, None, None, 2
    )


@pytest.mark.parametrize(
    ("low", "high", "higher", "word"),
    [
        (0.1, 0.2, True, "better"),
        (0.1, 0.2, False, "worse"),
        (-0.2, -0.1, True, "worse"),
        (-0.2, -0.1, False, "better"),
        (0.0, 0.2, True, "no"),
        (-0.2, 0.0, False, "no"),
        (0.0, 0.0, True, "no"),
        (None, None, True, "–"),
        (None, 0.1, True, "–"),
    ],
)
def test_verdict_is_clear_if_the_interval_excludes_zero(low, high, higher, word):
    assert verdict(low, high, higher) == word


@pytest.mark.parametrize("reference", ["gru", "lem"])
def test_rows_have_differences_to_the_reference(reference):
    other = {"gru": "lem", "lem": "gru"}[reference]
    for row in summarize(RECORDS, reference):
        of_task = {
            cell: [r for r in RECORDS if (r.task, r.cell) == (row.task, cell)] for cell in (reference, other)
        }
        expected = paired_difference(of_task[other], of_task[reference])
        shown = row.difference, row.difference_low, row.difference_high
        assert shown == (
            (None,) * 3 if row.cell == reference else (expected.mean, expected.low, expected.high)
        )
    for row in overall(RECORDS, reference):
        assert row.rank_difference == (None if row.cell == reference else 0.0), "1 and 2 on one task each"
        assert row.rank_difference_low is row.rank_difference_high is None, "two tasks are too few"


@pytest.mark.parametrize("reference", [None, "lru"])
def test_rows_without_a_reference_have_no_difference(reference):
    assert {row.difference for row in summarize(RECORDS, reference)} == {None}
    assert {row.rank_difference for row in overall(RECORDS, reference)} == {None}
    assert summarize(RECORDS, reference) == summarize(RECORDS)
