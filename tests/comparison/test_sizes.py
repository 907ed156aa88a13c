"""Comparisons at several sizes: plans, runs, tables, verdicts and the order of the cells."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from comparison_records import PLAN, record, results
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.comparison.plan import CompareRequest, Sizes, read_plan, read_sizes, sizes_text
from zoo.comparison.rank_sentences import rank_methods, rank_sources
from zoo.comparison.result_warnings import list_warnings
from zoo.comparison.results import Comparison, make_record, with_worst_scores
from zoo.comparison.setup_description import describe_setup
from zoo.comparison.size_order import pair_orders
from zoo.comparison.statistics import summarize
from zoo.comparison.student import student_tails
from zoo.comparison.table_notes import is_near_baseline
from zoo.comparison.tables import make_tables
from zoo.comparison.workers import SerialExecutor
from zoo.errors import CheckpointError, UsageError
from zoo.storage import PLAN_FILE
from zoo.training import Interrupted

CELLS = "gru", "lem", "lru"
TWO_SIZES = {**PLAN, "size": {"params": [100, 400]}}


def at_sizes(scores, task="copying", **more):
    """Records of scores by cell and size, each a list over the seeds."""
    return [
        record(task, cell, seed, score, size=size, parameters=size + len(cell), **more)
        for cell, by_size in scores.items()
        for size, over_seeds in by_size.items()
        for seed, score in enumerate(over_seeds)
    ]


# ---- the request and the plan -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["params", "hidden"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1000, 1000], "has 1,000 twice; give each size once"),
        ((4000, 1000), "has 4,000 before 1,000; give the sizes in ascending order"),
        ([100, 4000, 1000], "has 4,000 before 1,000; give the sizes in ascending order"),
        ([], "is empty; give one size or more"),
        ([1000, "abc"], "is 'abc'; expected an integer from 1"),
        ("1000", "is '1000'; expected an integer from 1"),
        ([0, 3], "is 0; expected an integer from 1"),
        ([1000, 4000.5], "is 4000.5; expected an integer from 1"),
        ([True], "is True; expected an integer from 1"),
        ([[1, 2]], r"is \[1, 2\]; expected an integer from 1"),
    ],
)
def test_wrong_sizes_raise(name, value, words):
    with pytest.raises(UsageError, match=f"^compare: {name} {words}"):
        CompareRequest(**{name: value})


def test_both_kinds_of_sizes_raise():
    words = "compare: `params` and `hidden` are both given; give one of them."
    with pytest.raises(UsageError, match=f"^{words}$"):
        CompareRequest(params=[100, 400], hidden=[8, 16])


@given(st.sets(st.integers(1, 10**6), min_size=1, max_size=5), st.sampled_from(["params", "hidden"]))
def test_sizes_survive_json(numbers, kind):
    ascending = sorted(numbers)
    for value in (ascending, tuple(ascending), np.array(ascending)):
        sizes = CompareRequest(**{kind: value}).sizes
        assert sizes == Sizes(kind, tuple(ascending))
    assert read_sizes(json.loads(json.dumps(sizes.to_json()))) == sizes
    assert CompareRequest(**{kind: ascending[0]}).sizes == Sizes(kind, (ascending[0],))
    added = sizes.with_others([*ascending, 7])
    assert added.numbers[: len(ascending)] == sizes.numbers, "the order in which they were added"
    assert set(added.numbers) == {*numbers, 7}


def test_text_of_sizes():
    assert sizes_text("params", [4000, 1000, 16_000]) == "1,000, 4,000 and 16,000 params"
    assert str(Sizes("hidden", (16,))) == "16 hidden"


# ---- tables -------------------------------------------------------------------------------------------

SCORES = st.lists(
    st.lists(st.lists(st.integers(0, 8), min_size=2, max_size=2), min_size=2, max_size=2),
    min_size=3,
    max_size=3,
)
"""Scores in eighths, with ties: of three cells, at two sizes, with two seeds."""


def random_records(scores, other):
    """Two tasks, of which higher scores and lower scores are better."""
    by_cell, by_cell_other = (
        {
            cell: {size: [value / 8 for value in seeds] for size, seeds in zip((100, 400), rows, strict=True)}
            for cell, rows in zip(CELLS, table, strict=True)
        }
        for table in (scores, other)
    )
    return [*at_sizes(by_cell), *at_sizes(by_cell_other, "adding", high=False)]


@settings(max_examples=8)
@given(SCORES, SCORES, st.sampled_from([None, "gru"]))
def test_each_size_has_the_tables_of_its_own_comparison(scores, other, reference):
    """Ranks, verdicts, marks and notes of a size do not depend on the other sizes."""
    records = random_records(scores, other)
    both = results(records, plan={**TWO_SIZES, "reference": reference})
    for size in both.sizes:
        alone = [each for each in records if each.size == size]
        expected = results(alone, plan={**PLAN, "size": {"params": size}, "reference": reference})
        assert both.at_size(size).table() == expected.table()
        assert both.at_size(size).overall == expected.overall
        titled = [table for table in make_tables(both) if table.title.endswith(f", {size} params")]
        originals = make_tables(expected)
        assert [table.title.removesuffix(f", {size} params") for table in titled] == [
            table.title for table in originals
        ]
        for table, original in zip(titled, originals, strict=True):
            assert (table.columns, table.rows, table.note) == (original.columns, original.rows, original.note)
    names = [table.name for table in make_tables(both)]
    assert len(set(names)) == len(names) == 3 + 2 * 3


def clear_signs(differences, higher_is_better, pairs):
    """The sign of the difference of two cells at each size; 0 if it is not clear at 5 % for all pairs."""
    signs = []
    for row in differences:
        spread = np.std(row, ddof=1) / len(row) ** 0.5
        p_value = student_tails(row.mean() / spread, len(row) - 1) if spread > 1e-9 else 1.0
        signs.append(np.sign(row.mean()) * (1 if higher_is_better else -1) * (p_value <= 0.05 / pairs))
    return signs


PAIRS = [("gru", "lem"), ("gru", "lru"), ("lem", "lru")]


NEAR_OR_FAR = st.lists(
    st.lists(
        st.builds(
            lambda level, noise: [level + each for each in noise],
            st.sampled_from([0, 8]),
            st.lists(st.integers(0, 1), min_size=3, max_size=3),
        ),
        min_size=2,
        max_size=2,
    ),
    min_size=3,
    max_size=3,
)
"""Scores in sixteenths of three cells, at two sizes, with three seeds, with clear and unclear differences."""


@settings(max_examples=40)
@given(NEAR_OR_FAR, st.booleans(), st.sampled_from([None, "gru", "lru"]))
def test_order_of_a_pair_changes_if_each_cell_has_the_better_mean_at_a_size(
    scores, higher_is_better, reference
):
    """Clear differences are corrected for the number of pairs, which are those with the reference cell."""
    by_cell = {
        cell: {size: [value / 16 for value in row] for size, row in zip((100, 400), rows, strict=True)}
        for cell, rows in zip(CELLS, scores, strict=True)
    }
    records = at_sizes(by_cell, high=higher_is_better)
    compared = SimpleNamespace(
        cells=CELLS,
        sizes=[100, 400],
        reference=reference,
        summary=summarize(records),
        section=lambda _: {"copying": {"higher_is_better": higher_is_better}},
        runs_of_group=lambda group: [each for each in records if each.group == group],
    )
    orders = {order.cells: order for order in pair_orders(compared, "copying")}
    assert list(orders) == [pair for pair in PAIRS if reference is None or reference in pair]

    def sizes_by_sign(signs):
        return tuple(
            [size for size, own in zip((100, 400), signs, strict=True) if own == wanted] for wanted in (1, -1)
        )

    for pair, order in orders.items():
        one, other = (np.array(scores[CELLS.index(cell)]) / 16 for cell in pair)
        signs = np.sign((one - other).mean(axis=1)) * (1 if higher_is_better else -1)
        assert order.sizes == sizes_by_sign(signs)
        assert order.changes == (signs[0] * signs[1] < 0)
        clear = sizes_by_sign(clear_signs(one - other, higher_is_better, len(orders)))
        assert order.clear_sizes == (clear if order.changes else ([], []))


GRU = {100: [0.8, 0.81, 0.82], 400: [0.5, 0.51, 0.55]}
LEM = {100: [0.5, 0.52, 0.51], 400: [0.9, 0.92, 0.91]}
LRU = {100: [0.1, 0.9, 0.2], 400: [0.52, 0.54, 0.52]}


def test_table_of_sizes_has_a_column_for_each_size():
    table, *others = make_tables(results(at_sizes({"gru": GRU, "lem": LEM}), plan=TWO_SIZES))
    assert [each.title for each in others] == [
        "copying (delay=2), 100 params",
        "copying (delay=2), 400 params",
    ]
    assert table.title == "copying (delay=2): scores by size"
    text = table.as_text()
    assert text.headings == ("cell", "scope", "100 params", "400 params")
    assert text.rows == (
        ("lem", "mixer", "0.51 ± 0.01", "0.91 ± 0.01"),
        ("gru", "recurrence", "0.81 ± 0.01", "0.52 ± 0.026"),
    ), "the best at the largest size first"
    assert [[entry.shade for entry in row[2:]] for row in table.rows] == [[0.0, 1.0], [1.0, 0.0]]
    assert text.legend == (
        "accuracy, higher is better; without memory 0.125; solved at 0.99 (Someone 1999). A column has the "
        "mean score over the seeds ± standard deviation at this size. Best mean: gru at 100 params; lem at "
        "400 params. Clear changes of order: gru is clearly better than lem at 100 params, and lem than gru "
        "at 400 params. Verdicts are in the tables of each size."
    )


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ({"gru": GRU, "lru": LRU}, "Changes of order that may be chance: gru and lru."),
        (
            {"gru": GRU, "lem": LEM, "lru": LRU},
            "and lem than gru at 400 params. Changes of order that may be chance: gru and lru.",
        ),
        (
            {"gru": GRU, "lem": {100: [0.1], 400: [0.2]}},
            "gru at 100 and 400 params. The order of the cells is the same at all sizes.",
        ),
        ({"gru": LEM, "lem": GRU}, "lem is clearly better than gru at 100 params, and gru than lem at 400"),
        (
            {f"c{n}": {100: [n / 99], 400: [1 - n / 99]} for n in range(5)},
            "chance: c0 and c1, c0 and c2, c0 and c3, c0 and c4, c1 and c2, c1 and c3, 4 other pairs.",
        ),
    ],
)
def test_changes_of_order_are_stated(scores, sentence):
    table = make_tables(results(at_sizes(scores), plan=TWO_SIZES))[0]
    assert sentence in table.note


@pytest.mark.parametrize(
    "lem",
    [
        {100: [0.6], 400: [None]},
        {100: [0.6]},
        {100: [0.5], 400: [0.6]},
        {100: [0.6], 400: [0.5]},
    ],
    ids=["failed", "missing", "tie at 100", "tie at 400"],
)
def test_order_is_the_same_only_if_each_pair_has_one_at_each_size(lem):
    scores = {"gru": {100: [0.5], 400: [0.5]}, "lem": lem, "lru": {100: [0.1], 400: [0.1]}}
    note = make_tables(results(at_sizes(scores), plan=TWO_SIZES))[0].note
    assert "Best mean" in note
    assert "order" not in note


def test_reference_restricts_changes_of_order_to_its_pairs():
    scores = {"gru": GRU, "lem": LEM, "lru": {100: [0.1, 0.1, 0.1], 400: [0.2, 0.2, 0.2]}}
    for reference, sentence in (
        ("lru", "The order of lru and each other cell is the same at all sizes."),
        ("gru", "Clear changes of order, corrected for 2 pairs of cells: gru is clearly better than lem at"),
        (None, "Clear changes of order, corrected for 3 pairs of cells: gru is clearly better than lem at"),
    ):
        both = results(at_sizes(scores), plan={**TWO_SIZES, "reference": reference})
        note = make_tables(both)[0].note
        assert sentence in note
        assert ("clearly" in note) == ("clearly" in sentence)


def test_one_cell_has_no_order():
    assert "order" not in make_tables(results(at_sizes({"gru": GRU}), plan=TWO_SIZES))[0].note


def test_missing_and_failed_cells_come_last():
    scores = {"lru": {100: [0.4]}, "gru": {100: [0.5], 400: [None]}, "lem": {100: [0.6], 400: [0.4]}}
    failed = [replace(each, status="failed") if each.score is None else each for each in at_sizes(scores)]
    table = make_tables(results(failed, plan=TWO_SIZES))[0]
    assert [row[0].value for row in table.rows] == ["lem", "lru", "gru"]
    assert [row[3].text for row in table.rows] == ["0.4", "–", "failed"]
    assert table.marks == "† Runs that failed: 1 of 1 of gru on copying at 400 params. They have no score."


def test_mean_ranks_by_size_pool_no_sizes():
    """Two cells on one task at six sizes would have a verdict if each size counted as a task."""
    sizes = {size: [0.5 + size / 1000] for size in range(100, 700, 100)}
    better = {size: [score + 0.1 for score in scores] for size, scores in sizes.items()}
    records = [
        each
        for task in ("copying", "adding")
        for each in at_sizes({"gru": sizes, "lem": better}, task, high=True)
    ]
    both = results(records, plan={**PLAN, "size": {"params": list(sizes)}})
    assert [(row.cell, row.rank, row.tasks, row.size) for row in both.overall] == [
        (cell, rank, 2, size) for size in sizes for cell, rank in (("lem", 1.0), ("gru", 2.0))
    ]
    assert {row.rank_gap_low for row in both.overall} == {None}, "two tasks are too few for a verdict"
    table = make_tables(both)[0]
    assert table.title == "All tasks: mean rank by size"
    assert [[entry.text or entry.value for entry in row] for row in table.rows] == [
        ["lem", "mixer", *["1.00"] * 6],
        ["gru", "recurrence", *["2.00"] * 6],
    ]
    assert "Best mean rank: lem at 100, 200, 300, 400, 500 and 600 params. Verdicts" in table.note
    assert "They count each task once" in table.note


def test_table_of_mean_ranks_names_tasks_left_out_and_unfinished_runs():
    """A cell that failed on a task at one size leaves the task out there only."""
    scores = {"gru": {100: [0.5], 400: [0.5]}, "lem": {100: [0.6], 400: [None]}}
    failed = [replace(each, status="failed") if each.score is None else each for each in at_sizes(scores)]
    complete = {"gru": {100: [0.5], 400: [0.5]}, "lem": {100: [0.6], 400: [0.7]}}
    table = make_tables(results([*failed, *at_sizes(complete, "adding")], plan=TWO_SIZES))[0]
    assert "At 400 params, 1 task without a score of each cell does not count." in table.note
    assert table.note.count("not count.") == 1
    assert [[entry.text for entry in row[2:]] for row in table.rows] == [["1.00", "1.00 †"], ["2.00", "2.00"]]
    assert table.marks == "† Runs that failed: 1 of 1 of lem on copying at 400 params. They have no score."


def test_methods_of_mean_ranks_hold_for_one_size_each():
    seeds = {size: [0.5, 0.6, 0.7] for size in (100, 400)}
    records = [each for task in ("copying", "adding") for each in at_sizes({"gru": seeds, "lem": GRU}, task)]
    both = results(records, plan=TWO_SIZES)
    cite = "[{0.title}]".format
    one = list(rank_methods(both.at_size(400), cite))
    assert len(one) == 1
    last = "Mean ranks and their verdicts hold for one size each, and count each task once."
    assert list(rank_methods(both, cite)) == [*one, last]
    assert rank_sources(both) == rank_sources(both.at_size(400)) != []
    without_ranks = results(at_sizes({"gru": seeds, "lem": GRU}), plan=TWO_SIZES)
    assert list(rank_methods(without_ranks, cite)) == []
    lost = [replace(each, score=None) if each.size == 400 else each for each in records]
    partial = results(lost, plan=TWO_SIZES)
    assert list(rank_methods(partial.at_size(400), cite)) == []
    assert list(rank_methods(partial, cite)) == [f"At 100 params, m{one[0][1:]}", last]
    assert rank_sources(partial) == rank_sources(both), "the smaller size cites them"


@given(st.integers(1, 3))
def test_a_single_ranked_cell_has_no_methods_of_ranks(others):
    """A mean rank of one cell is always 1; the other cells failed on all tasks."""
    seeds = {size: [0.5, 0.6, 0.7] for size in (100, 400)}
    lost = {f"cell{number}": {size: [None] * 3 for size in (100, 400)} for number in range(others)}
    records = [each for task in ("copying", "adding") for each in at_sizes({"gru": seeds, **lost}, task)]
    records = [replace(each, status="failed") if each.score is None else each for each in records]
    both = results(records, plan=TWO_SIZES)
    assert list(rank_methods(both, str)) == list(rank_methods(both.at_size(100), str)) == []
    assert rank_sources(both) == []


RATES = st.dictionaries(
    st.sampled_from(CELLS), st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1
)
"""The number of the best rate of a sweep of three, by cell, at two sizes."""


@given(RATES)
def test_table_of_learning_rates_marks_the_edges_of_sweeps(best):
    grid = 0.001, 0.01, 0.1
    chosen = {
        (cell, size): number
        for cell, numbers in best.items()
        for size, number in zip((100, 400), numbers, strict=True)
    }
    runs = [
        record("copying", cell, 0, 0.5 + len(cell) / 100, size=size, lr=grid[number])
        for (cell, size), number in chosen.items()
    ]
    more = {"baseline": 0.125, "steps": 10}
    sweep = [
        record("copying", cell, 9, 0.9 - abs(number - each) / 10, size=size, lr=lr, **more)
        for (cell, size), number in chosen.items()
        for each, lr in enumerate(grid)
    ]
    swept = results(runs, plan=TWO_SIZES, sweep=sweep)
    scores, rates = make_tables(swept)[:2]
    assert rates.title == "copying (delay=2): learning rates by size"
    assert [row[0].value for row in rates.rows] == [row[0].value for row in scores.rows]
    assert {row[0].value: [entry.text for entry in row[2:]] for row in rates.rows} == {
        cell: [f"{grid[number]:g}{'' if number == 1 else ' edge'}" for number in numbers]
        for cell, numbers in best.items()
    }
    assert ("edge: " in rates.note) == any(number != 1 for number in chosen.values())
    assert not any("learning rates" in table.title for table in make_tables(results(runs, plan=TWO_SIZES)))


@pytest.mark.parametrize(
    ("gru", "sizes"),
    [
        ({100: [0.13], 400: [0.5]}, "100 params"),
        ({100: [0.13], 400: [0.12]}, "100 and 400 params"),
        ({100: [0.5], 400: [0.6]}, ""),
    ],
)
def test_sizes_near_the_score_without_memory_are_named(gru, sizes):
    records = at_sizes({"gru": gru, "lem": {100: [0.1], 400: [0.11]}})
    note = make_tables(results(records, plan=TWO_SIZES))[0].note
    sentence = (
        "the best mean is near the score without memory or worse, so the order of the cells may be chance."
    )
    assert (f"At {sizes}, {sentence}" if sizes else "Verdicts") in note
    assert note.count("chance") == bool(sizes)


def test_number_of_examples_comes_from_a_run_with_a_score():
    """Without it, a score that is better by chance is a result."""
    scores = {"lem": {100: [None]}, "gru": {100: [0.18]}}
    for examples, is_chance in ((10, True), (10_000, False)):
        records = [
            replace(each, examples=None if each.score is None else examples) for each in at_sizes(scores)
        ]
        compared = results(records)
        (row,) = (row for row in compared.summary if row.cell == "gru")
        assert is_near_baseline(compared, row) == is_chance
        assert not is_near_baseline(compared, replace(row, cell="other")), "a mean without runs"


def test_warning_of_fixed_sizes_holds_for_all_sizes():
    cells = {"lem": {"fixed_size_options": {"order": 16}}}
    (sentence,) = (
        each
        for each in list_warnings(results(at_sizes({"lem": LEM}), plan=TWO_SIZES, cells=cells))
        if "order=16" in each
    )
    assert sentence == (
        "These sizes do not change with H, and may be too large or too small at some of the sizes compared: "
        "lem (order=16). A comparison has one value of an option at all sizes; set it with "
        "`--set CELL.OPTION=N`."
    )


def test_baselines_of_a_data_set_are_rows_at_all_sizes():
    info = {"name": "load", "summary": "", "options": {}, "metric": "mae", "higher_is_better": False}
    info |= {"baseline": 0.3, "threshold": None, "threshold_source": ""}
    baselines = {
        name: {"value": value, "low": None, "high": None} for name, value in (("last", 0.3), ("mean", 0.7))
    }
    records = at_sizes({"gru": {100: [0.5], 400: [0.2]}}, "load", high=False, metric="mae")
    both = results(records, plan=TWO_SIZES, tasks={"load": {**info, "baselines": baselines}})
    table = make_tables(both)[0]
    assert [[entry.text or entry.value for entry in row] for row in table.rows] == [
        ["gru", "recurrence", "0.5", "0.2"],
        ["last", "baseline", "0.3", "0.3"],
        ["mean", "baseline", "0.7", "0.7"],
    ]
    assert [entry.hatched for entry in table.rows[0][2:]] == [True, False], "no better than the best baseline"


@pytest.mark.parametrize("form", ["text", "markdown", "html", "csv", "latex"])
def test_every_form_has_all_sizes(form):
    both = results(at_sizes({"gru": GRU, "lem": LEM}), plan=TWO_SIZES)
    text = both.table(form, columns=["lr"])
    assert all(text.count(score) == 2 for score in ("0.51 ", "0.91 ", "0.81 ", "0.52 ")), "by size and at it"
    assert "100 params" in text
    assert ("lr" in text, "training s" in text) == (True, False)


def test_sentences_name_the_size():
    scores = {"gru": {100: [0.5, 0.5], 400: [None, 0.6]}}
    records = [replace(each, steps_to_threshold=3) for each in at_sizes(scores)]
    records = [replace(each, status="failed", error="no") if each.score is None else each for each in records]
    sweep = [
        record("copying", "gru", 9, 0.5, size=size, lr=lr, loss=1 / lr)
        for size in (100, 400)
        for lr in (0.01, 0.1)
    ]
    sentences = list(list_warnings(results(records, sweep, plan=TWO_SIZES)))
    assert any(each.startswith("gru on copying at 400 params failed (") for each in sentences)
    assert any(
        each.startswith("gru on copying at 100 params: 2 runs reached the threshold") for each in sentences
    )
    one = list_warnings(results([each for each in records if each.size == 100], plan=PLAN))
    assert any(each.startswith("gru on copying: 2 runs reached the threshold") for each in one)


def test_budget_of_each_size_is_its_own():
    sizes = {"gru": {100: [0.5], 400: [0.5]}}
    records = [replace(each, parameters=101) for each in at_sizes(sizes)]
    (sentence,) = (each for each in list_warnings(results(records, plan=TWO_SIZES)) if "nearest" in each)
    assert sentence == "gru on copying has 101 parameters, the number nearest to 400 that its sizes allow."


def test_equal_models_at_several_budgets_are_noted():
    records = at_sizes({"gru": {100: [0.5], 400: [0.5]}, "lem": {100: [0.5], 400: [0.5]}})
    records = [replace(each, hidden=9 if (each.cell, each.size) == ("lem", 400) else 8) for each in records]
    (sentence,) = (each for each in list_warnings(results(records, plan=TWO_SIZES)) if "same model" in each)
    assert sentence.startswith(
        "gru on copying has 8 hidden units at each of the budgets 100 and 400, so it is"
    )


def test_setup_names_all_sizes():
    first = next(iter(describe_setup(results(plan={**TWO_SIZES, "size": {"params": [4000, 1000]}}))))
    assert "about 1,000 or 4,000 parameters each, the learning rate of each cell, task and size" in first


def test_worst_score_is_of_the_same_size():
    records = at_sizes({"gru": {100: [0.2, None], 400: [0.7, None]}}, status="diverged")
    assert [each.score for each in with_worst_scores(records)] == [0.2, 0.2, 0.7, 0.7]


def test_unknown_size_raises():
    both = results(at_sizes({"gru": GRU}), plan=TWO_SIZES)
    with pytest.raises(UsageError, match=r"^Comparison.at_size: size is 200; expected one of 100, 400\.$"):
        both.at_size(200)
    with pytest.raises(UsageError, match=r"^Comparison.at_size: size is '100'; expected an integer\.$"):
        both.at_size("100")


# ---- stored files -------------------------------------------------------------------------------------


def without_sizes(value):
    """JSON values as before records had sizes."""
    if isinstance(value, dict):
        return {name: without_sizes(each) for name, each in value.items() if name != "size"}
    return [without_sizes(each) for each in value] if isinstance(value, list) else value


def test_results_of_one_size_without_its_name_are_read(tmp_path):
    now = results()
    stored = {"format": 1, **now.metadata}
    for name in ("runs", "sweep", "summary", "overall", "targets"):
        stored[name] = without_sizes([vars(each) for each in getattr(now, name)])
    (tmp_path / "results.json").write_text(json.dumps(stored), encoding="utf-8")
    old = Comparison(tmp_path)
    assert (old.runs, old.summary, old.overall) == (now.runs, now.summary, now.overall)
    assert old.sizes == [100]
    assert old.table() == now.table()


@pytest.mark.parametrize("size", [3, "params", {}, {"params": "3"}, {"params": [3, None]}, {"cells": 3}, [3]])
def test_damaged_sizes_raise(size):
    with pytest.raises(CheckpointError, match=r"plan: size is .*; expected integers by params or hidden"):
        results(plan={**PLAN, "size": size})


# ---- runs ---------------------------------------------------------------------------------------------

TINY = {"delay": 2, "length": 2}
RUNS = {"options": {"copying": TINY}, "seeds": 2, "steps": 4, "batch": 4, "eval_batches": 1, "jobs": 0}
RATES = {"lr_grid": (0.001, 0.01)}


def same(records):
    """Records by path without times, and without the paths, which differ by the size that came first."""
    timeless = dict.fromkeys(("seconds", "symbols_per_s", "seconds_to_threshold"), 0)
    named = [(each.group, each.seed, each.lr, replace(each, path="", **timeless)) for each in records]
    return sorted(named, key=lambda item: item[:3])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two cells on a task and on a table at two sizes, with a sweep."""
    folder = tmp_path_factory.mktemp("sizes")
    rows = [f"{np.sin(step / 3):.3f},{np.cos(step / 4):.3f}" for step in range(120)]
    (folder / "load.csv").write_text("\n".join(["a,b", *rows]) + "\n", encoding="utf-8")
    table = {"data": folder / "load.csv", "target": "a,b", "horizon": 2, "context": 4}
    with zoo.kernels.pure_python():
        return zoo.compare(
            ["vanilla", "gru"], "copying", out=folder / "runs", hidden=[3, 5], **table, **RUNS, **RATES
        )


def vanilla_on_copying(comparison):
    return [run for run in comparison.runs if (run.task, run.cell) == ("copying", "vanilla")]


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the comparison of the task that a test may change."""
    folder = shutil.copytree(made.path.parent, tmp_path / "copy")
    path = folder / "runs" / PLAN_FILE
    path.write_text(path.read_text().replace(str(made.path.parent), str(folder)))
    return folder / "runs"


def test_every_run_has_its_size(made):
    assert (made.tasks, made.cells, made.sizes) == (["copying", "load"], ["vanilla", "gru"], [3, 5])
    assert len(made.runs) == 2 * 2 * 2 * 2
    for run in (*made.runs, *made.sweep):
        config = zoo.Run(made.path / run.path).config
        assert (run.status, run.hidden, config.hidden) == ("finished", run.size, run.size)
        assert run.path.split("/")[-1].startswith("hidden5-") == (run.size == 5), "the first size has no name"
    with (made.path / "results.csv").open(encoding="utf-8") as file:
        assert [row["size"] for row in csv.DictReader(file)] == [str(run.size) for run in made.runs]
    assert "--hidden 3,5 " in made.metadata["command"]


def test_rate_is_chosen_for_each_size(made):
    groups = {run.group for run in made.runs}
    assert len(groups) == 8
    for group in groups:
        swept = [run.lr for run in made.sweep if run.group == group]
        assert sorted(swept) == [0.001, 0.01]
        assert len({run.lr for run in made.runs if run.group == group}) == 1


def test_targets_and_baselines_are_of_each_size(made):
    assert [(row.size, row.cell, row.target) for row in made.targets] == [
        (size, cell, target) for size in (3, 5) for cell in ("vanilla", "gru") for target in "ab"
    ]
    titles = [table.title for table in make_tables(made)]
    assert {"load: each target, 3 hidden", "load: each target, 5 hidden"} <= set(titles)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("order", [(3, 5), (5, 3)])
def test_size_that_is_added_later_gives_the_same_results(made, tmp_path, order):
    """No run is repeated, whichever size was first."""
    given = {**RUNS, **RATES, "out": tmp_path / "out"}
    first = zoo.compare("vanilla", "copying", hidden=order[0], **given)
    assert {run.path.split("/")[-1].split("-")[0] for run in first.runs} <= {"lr0.001", "lr0.01"}
    jobs = []

    class Recording(SerialExecutor):
        def map(self, received, on_event):
            listed = list(received)
            jobs.extend(listed)
            return super().map(listed, on_event)

    out = tmp_path / "out"
    both = zoo.compare(out=out, hidden=order[1], engine=Recording(out))
    assert {job["size"] for job in jobs if job["kind"] != "compile"} == {order[1]}
    assert both.plan["size"] == {"hidden": list(order)}
    assert [run for run in both.runs if run.size == order[0]] == first.runs
    assert same(both.runs) == same(vanilla_on_copying(made))
    finished = zoo.compare(out=out, hidden=[3, 5], engine=Recording(out))
    assert finished.runs == both.runs


@pytest.mark.usefixtures("plain_python")
def test_interrupted_comparison_is_resumed_at_every_size(made, tmp_path):
    given = {**RUNS, **RATES, "out": tmp_path / "out"}

    def stop(event):
        if event["event"] == "job_done" and event["record"].get("size") == 5 and event["stage"] == "runs":
            raise Interrupted(2, tmp_path)

    with pytest.raises(Interrupted):
        zoo.compare("vanilla", "copying", hidden=[3, 5], on_event=stop, **given)
    partial = zoo.Comparison(tmp_path / "out")
    assert 0 < len(partial.runs) < 4
    assert partial.table(), "tables with missing runs"
    whole = zoo.compare(out=tmp_path / "out", jobs=0)
    assert same(whole.runs) == same(vanilla_on_copying(made))


class Idle:
    """An executor that expects no job."""

    def map(self, jobs, on_event):
        assert list(jobs) == []
        return iter(())


def test_finished_comparison_is_read_and_another_reference_needs_no_run(copy, made):
    finished = zoo.compare(out=copy, engine=Idle())
    assert finished.runs == made.runs
    compared = zoo.compare(out=copy, hidden=5, reference="gru", engine=Idle())
    assert {(row.cell, row.size) for row in compared.summary if row.difference is not None} == {
        ("vanilla", 3),
        ("vanilla", 5),
    }


@pytest.mark.parametrize("is_old", [False, True])
def test_plan_without_names_of_sizes_is_read(copy, is_old):
    """A plan of one size from before plans had several is extended by another size."""
    path = copy / PLAN_FILE
    plan = json.loads(path.read_text(encoding="utf-8"))
    plan["size"] = {"hidden": 3}
    for cells in plan["settled"].values():
        for cell, sizes in cells.items():
            cells[cell] = sizes["3"] if is_old else {"3": sizes["3"]}
    path.write_text(json.dumps(plan), encoding="utf-8")
    for file in copy.glob("runs/*/*/*/result.json"):
        file.write_text(
            json.dumps(without_sizes(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8"
        )
    assert {group.size for group in read_plan(copy).run_sizes} == {3}
    assert zoo.compare(out=copy, engine=Idle()).sizes == [3]
    assert zoo.compare(out=copy, hidden=5, engine=Idle()).sizes == [3, 5]


class Diverging:
    """An executor with jobs that all diverge at once."""

    def map(self, jobs, on_event):
        for job in jobs:
            yield job, vars(make_record(job, "diverged", error="not done"))


def plan_of(out, cells, seeds=1, **changes):
    zoo.compare(cells, "copying", out=out, jobs=0, engine=Diverging(), seeds=seeds, lr=0.1, **changes)
    return read_plan(out)


def test_blocks_and_stacks_have_parts_at_each_size(tmp_path):
    plan = plan_of(tmp_path / "a", ["gru", ["gru", "prenorm(lstm)"]], params=[600, 2400])
    parts = zoo.Comparison(tmp_path / "a")
    assert len(plan.run_sizes) == 4
    for group, run_size in plan.run_sizes.items():
        assert run_size.parameters == pytest.approx(group.size, rel=0.1)
        assert sum(parts.parameter_parts(group).values()) == run_size.parameters
    columns = [column.label for table in make_tables(parts) for column in table.columns]
    assert columns.count("of blocks") == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"params": [20, 2000]},
            "compare: gru on copying has at least 35 parameters, more than the 20 of `params`; give "
            "`params=35` or more, or leave out the cell or this size.",
        ),
        (
            {"params": 20},
            "compare: gru on copying has at least 35 parameters, more than the 20 of `params`; give "
            "`params=35` or more, or leave out the cell.",
        ),
    ],
)
def test_sizes_that_are_too_small_raise(tmp_path, changes, words):
    with pytest.raises(UsageError) as error:
        plan_of(tmp_path, "gru", **changes)
    assert re.sub(r"\d\d(?= param| or more)|(?<==)\d\d", "35", str(error.value)) == words


def test_cell_that_is_too_large_for_a_stored_size_raises(tmp_path):
    plan_of(tmp_path / "a", "vanilla", params=[60, 2000])
    with pytest.raises(UsageError) as error:
        plan_of(tmp_path / "a", "lstm")
    assert re.fullmatch(
        r"compare: lstm on copying has at least \d+ parameters, more than the 60 of `params` that the "
        r"comparison has; leave out the cell, or start another comparison with larger sizes with another "
        r"`out`\.",
        str(error.value),
    )


def test_other_kind_of_size_is_another_comparison(copy):
    words = re.escape("holds another comparison (size: hidden 3, 5 -> params 100, 400); restore its")
    with pytest.raises(CheckpointError, match=words) as error:
        zoo.compare(out=copy, params=[100, 400], engine=Idle())
    assert str(error.value).endswith("Only cells, tasks, sizes and seeds may be added.")


def test_number_of_runs_counts_sizes(tmp_path):
    with pytest.raises(UsageError, match=r"^compare: 36,000 runs; expected at most 30,000"):
        plan_of(tmp_path, "vanilla", hidden=[3, 4, 5], seeds=12_000)
