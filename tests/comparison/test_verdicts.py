"""Paired differences of two cells, and the verdicts of intervals."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np
import pytest
from comparison_records import RECORDS, record
from hypothesis import given
from hypothesis import strategies as st

from zoo.comparison.statistics import overall, summarize
from zoo.comparison.student import student_interval, student_tails
from zoo.comparison.verdicts import (
    VERDICT_TEXTS,
    Difference,
    paired_difference,
    verdict,
    verdict_sentences,
)

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
    assert result.seeds == len(values)
    assert (result.mean is None) is not bool(values)
    if values:
        assert result.mean == pytest.approx(fmean(values), abs=1e-8)
    if result.low is not None:
        assert (result.low, result.high) == pytest.approx(student_interval(values), abs=1e-8)
    elif len(values) > 1:
        assert max(values) - min(values) < 1e-8
        assert result.is_constant


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=5),
    st.sampled_from([0.0, 1.0, -1.0, 0.125, 1e3]),
    st.integers(0, 4),
    st.booleans(),
)
def test_equal_differences_have_neither_interval_nor_verdict(scores, shift, noisy, is_higher):
    """0.1 + 0.2 is not 0.3, and 1 less 0.999 in two seeds says nothing about the others."""
    others = [score + shift for score in scores]
    noisy %= len(others)
    for steps in (0, 1, 2):  # the rounding of one of the scores
        others[noisy] = scores[noisy] + shift
        for _ in range(steps):
            others[noisy] = math.nextafter(others[noisy], math.inf if is_higher else -math.inf)
        result = paired_difference(runs("gru", others), runs("lem", scores))
        assert result.mean == pytest.approx(shift, abs=1e-9)
        assert result.low is result.high is None
        assert result.is_constant
        assert verdict(result.low, result.high) is None
    others[noisy] = scores[noisy] + shift + 1e-6
    assert paired_difference(runs("gru", others), runs("lem", scores)).low is not None


@given(st.dictionaries(st.text("abc", min_size=1), st.sampled_from([*VERDICT_TEXTS]), max_size=6))
def test_sentences_name_every_cell_once_and_the_clear_ones_first(verdicts):
    sentences = list(verdict_sentences(verdicts))
    texts = [text for word, text in VERDICT_TEXTS.items() if word in verdicts.values()]
    assert [sentence.partition(":")[0] for sentence in sentences] == texts
    named = [name for sentence in sentences for name in sentence.partition(": ")[2].rstrip(".").split(", ")]
    assert sorted(named) == sorted(verdicts)


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
        (0.0, 0.2, True, "unclear"),
        (-0.2, 0.0, False, "unclear"),
        (0.0, 0.0, True, "unclear"),
        (None, None, True, None),
        (None, 0.1, True, None),
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


def integrated_tails(value, degrees):
    """The integral of Student's density beyond a value, by the arctangent of x / sqrt(degrees)."""
    points, weights = np.polynomial.legendre.leggauss(80)
    begin = math.atan(abs(value) / math.sqrt(degrees))
    middle, half = (math.pi / 2 + begin) / 2, (math.pi / 2 - begin) / 2
    area = half * weights @ np.cos(middle + half * points) ** (degrees - 1)
    return 2 * area * math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)


@given(st.floats(-1e4, 1e4), st.integers(1, 60))
def test_tails_of_student_are_the_integral_of_the_density(value, degrees):
    assert student_tails(value, degrees) == pytest.approx(integrated_tails(value, degrees), abs=1e-12)


@given(st.lists(st.integers(-20, 20), max_size=9))
def test_p_value_is_the_one_of_the_t_test(differences):
    result = paired_difference(runs("gru", differences), runs("lem", [0] * len(differences)))
    if len(set(differences)) < 2:
        assert result.p_value is None
    else:
        ratio = fmean(differences) / (stdev(differences) / math.sqrt(len(differences)))
        expected = integrated_tails(ratio, len(differences) - 1)
        assert result.p_value == pytest.approx(expected, rel=2e-3)  # the table of quantiles has four digits
