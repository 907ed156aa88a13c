"""The tables, warnings and setup description of a comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from comparison_records import METADATA, PLAN, RECORDS, TASKS, record, results

from zoo.comparison.records import TargetRow
from zoo.comparison.result_warnings import list_warnings
from zoo.comparison.results import Comparison, write_results
from zoo.comparison.setup_description import describe_setup
from zoo.comparison.statistics import overall, summarize
from zoo.comparison.tables import make_tables, overall_table
from zoo.errors import CheckpointError, UsageError


def in_form(form: str) -> str:
    return results().table(form)


def text_tables(*arguments, **changes):
    return [table.as_text() for table in make_tables(results(*arguments, **changes))]


def test_overall_table_and_table_per_task():
    every, copying, adding = text_tables()
    headings = ("cell", "scope", "mean rank", "95 %", "rank gap", "copying", "adding", "solved", "training s")
    assert every.headings == headings
    assert every.rows[0] == ("gru", "recurrence", "1.50", "–", "0.0", "0.7", "0.02", "1/4", "10")
    assert every.legend.endswith(
        "gru and lem share the best mean rank. An interval needs 3 tasks or 3 seeds. A verdict on 2 cells "
        "needs 6 tasks."
    )
    assert copying.title == "copying (delay=2)"
    assert copying.headings[5] == "accuracy"
    lem, gru = copying.rows
    assert lem[:7] == ("lem", "mixer", "8", "100", "0.01", "0.9 ± 0.14", "–"), "no interval of two seeds"
    assert gru[7:] == ("0.5", "0.9", "1/2", "4", "0.5", "100", "2", "2")
    assert copying.legend == (
        "accuracy, higher is better; without memory 0.125; solved at 0.99 (Someone 1999). Cells, by paired "
        "differences over the seeds: lem has the best mean. Not clearly different: gru (2 seeds)."
    )
    assert adding.title == "adding"
    assert adding.legend == (
        "squared error, lower is better; without memory 0.1667. Cells, by paired differences over the seeds: "
        "gru has the best mean. Not clearly different: lem (2 seeds)."
    )
    assert [row[0] for row in adding.rows] == ["gru", "lem"], "the best first"
    assert adding.rows[0][9:12] == ("–", "–", "–"), "what has no threshold is solved by nobody"


def test_tables_sort_by_values_and_shade_the_mean():
    every, copying, _ = make_tables(results())
    lem, gru = copying.rows
    assert [lem[5].value, gru[5].value] == [pytest.approx(0.9), pytest.approx(0.7)]
    assert [lem[5].shade, gru[5].shade] == [1.0, 0.0]
    _, three, _ = make_tables(results([*RECORDS, record("copying", "gru", 2, 0.7)]))
    assert [three.rows[1][6].value, three.rows[1][6].text] == [pytest.approx(0.7), "0.2031 to 1.197"]
    assert [column.label for column in every.columns if column.heat] == ["copying", "adding"]
    assert overall_table(results(), with_solved=True).rows[0][5].text == "0.7 (1/2)"


def test_scores_at_chance_are_hatched():
    """A twentieth of the distance from the baseline, 0.125, to the threshold, 0.99, is 0.043."""
    scores = {"gru": 0.9, "lem": 0.17, "lru": 0.16, "s5": 0.05}
    records = [record("copying", cell, 0, score) for cell, score in scores.items()]
    every, copying, adding = make_tables(results([*records, *RECORDS[4:]]))
    shown = {row[0].value: (row[5].hatched, row[5].shade) for row in copying.rows}
    assert shown == {"gru": (False, 1.0), "lem": (False, 0.141), "lru": (True, None), "s5": (True, None)}
    assert [(row[0].value, row[5].hatched) for row in every.rows if row[5].hatched] == [
        ("lru", True),
        ("s5", True),
    ]
    assert [table.hatch for table in (every, copying, adding)] == [
        "no better than without memory",
        "no better than without memory",
        "",
    ]
    assert "no better" not in copying.as_text().plain_text(), "a terminal has no lines"
    (solved,) = make_tables(results([replace(records[2], solved=True)]))
    assert not solved.rows[0][5].hatched


@pytest.mark.parametrize(
    ("metric", "hatched"), [("accuracy", ["lem", "lru"]), ("squared_error", ["lem", "gru"])]
)
def test_scores_of_a_data_set_are_hatched_from_its_best_baseline_on(metric, hatched):
    higher_is_better = metric == "accuracy"
    info = {
        **TASKS["adding"],
        "metric": metric,
        "higher_is_better": higher_is_better,
        "baseline": 0.5,
        "baselines": {"mean": {"value": 0.5, "low": None, "high": None}},
    }
    records = [
        record("adding", cell, 0, score, high=higher_is_better)
        for cell, score in (("gru", 0.51), ("lem", 0.5), ("lru", 0.49))
    ]
    (table,) = make_tables(results(records, tasks={"adding": info}))
    assert [row[0].value for row in table.rows if any(entry.hatched for entry in row)] == hatched
    assert table.hatch == "no better than the best baseline"
    both = [*records, record("copying", "gru", 0, 0.1)]
    every, *_ = make_tables(results(both, tasks={"copying": TASKS["copying"], "adding": info}))
    assert every.hatch == "no better than without memory or than the best baseline"


@pytest.mark.parametrize(
    ("form", "beginning"),
    [("text", "All tasks\ncell"), ("markdown", "### All tasks"), ("html", "<table>"), ("csv", "cell,scope,")],
)
def test_comparison_writes_every_form(form, beginning):
    assert in_form(form).startswith(beginning)


def test_comparison_in_latex_has_a_table_per_task():
    assert in_form("latex").count(r"\begin{tabular}{ll") == 3
    lines = in_form("latex").splitlines()
    assert r"cell & scope & parameters & lr & squared error & 95 \% & solved \\" in lines
    assert r"cell & scope & mean rank & 95 \% & copying & adding & solved \\" in lines
    chosen = results().table("latex", columns=["H"]).splitlines()
    assert r"cell & H & accuracy \\" in chosen
    assert r"cell & copying & adding \\" in chosen
    with pytest.raises(UsageError, match=r"Comparison\.table: a column is 'h'; expected one of 'cell'"):
        results().table(columns=["h"])
    with pytest.raises(
        UsageError, match=r"Comparison\.table: form is 'pdf'; expected one of 'text', 'markdown'"
    ):
        in_form("pdf")


def test_narrow_terminal_leaves_out_spare_columns_in_order():
    copying = text_tables(RECORDS[:4])[0]
    spare = [copying.headings[column] for column in copying.spare]
    assert spare == ["symbols/s", "worst", "best", "s to solve", "steps to solve", "training s", "H", "95 %"]


def test_cells_are_compared_by_paired_differences():
    """The seeds differ much more than the cells, and each seed has the same order."""
    scores = {"gru": (0.2, 0.5, 0.8), "lem": (0.301, 0.599, 0.9), "lru": (0.29, 0.62, 0.85)}
    records = [
        record("copying", cell, seed, score)
        for cell, values in scores.items()
        for seed, score in enumerate(values)
    ]
    (table,) = text_tables(records)
    assert table.legend.endswith(
        "lem has the best mean. Clearly worse: gru (3 seeds). Not clearly different: lru (3 seeds)."
    )
    (table,) = text_tables([each for each in records if each.seed == 0])
    assert table.legend.endswith("Cells: lem has the best score. Verdicts need at least two seeds.")
    low = [replace(each, task="adding", higher_is_better=False, score=-each.score) for each in records]
    (table,) = text_tables(low)
    assert table.legend.endswith(
        "lem has the best mean. Clearly worse: gru (3 seeds). Not clearly different: lru (3 seeds)."
    )


@pytest.mark.parametrize(
    ("scores", "seeds", "sentence"),
    [
        ({"gru": 0.7, "lem": 0.7}, 2, "seeds: gru and lem share the best mean."),
        (
            {"gru": 0.7, "lem": 0.7, "lru": 0.6},
            2,
            "share the best mean. Without a verdict: lru (2 seeds, all differences are equal).",
        ),
        ({"gru": 0.7, "lem": 0.7, "lru": 0.7}, 1, "Cells: gru, lem and lru share the best score. Verdicts"),
    ],
)
def test_cells_with_equal_means_share_the_first_place(scores, seeds, sentence):
    records = [
        record("copying", cell, seed, score) for cell, score in scores.items() for seed in range(seeds)
    ]
    (table,) = text_tables(records)
    assert sentence in table.legend


@pytest.mark.parametrize(("best", "is_near"), [(0.12, True), (0.125, True), (0.16, True), (0.17, False)])
def test_order_of_cells_near_the_score_without_memory_may_be_chance(best, is_near):
    """A twentieth of the distance from the baseline, 0.125, to the threshold, 0.99, is 0.043."""
    records = [
        record("copying", cell, seed, best - n / 50)
        for n, cell in enumerate(("gru", "lem"))
        for seed in (0, 1)
    ]
    (table,) = text_tables(records)
    sentence = "near the score without memory or worse, so the order of the cells may be chance."
    assert table.legend.endswith(sentence) is is_near


def test_each_target_has_a_verdict():
    rows = [
        TargetRow("adding", "gru", "temp", "mase", 0.7, "last value", 0.5, -0.4, -0.5, -0.3),
        TargetRow("adding", "gru", "power", "mase", 0.35, "moving average", 0.5, 0.3, 0.2, 0.4),
    ]
    _, _, _, targets = (table.as_text() for table in make_tables(results(targets=rows)))
    assert targets.title == "adding: each target"
    assert targets.headings == ("target", "cell", "MASE", "best baseline", "its score", "gain", "clear")
    assert targets.rows == (
        ("temp", "gru", "0.7", "last value", "0.5", "-40.0% [-50.0%, -30.0%]", "worse"),
        ("power", "gru", "0.35", "moving average", "0.5", "+30.0% [+20.0%, +40.0%]", "better"),
    )
    latex = results(targets=rows).table("latex")
    assert r"target & cell & MASE & gain & clear \\" in latex
    with pytest.raises(CheckpointError, match="tasks lacks 'other', which a record names"):
        results(targets=[replace(rows[0], task="other")])


@pytest.mark.parametrize(
    ("higher_is_better", "gain", "unit"),
    [
        (True, "+5.0 points [-1.0, +11.0]", "the difference in score in percentage points"),
        (False, "+5.0% [-1.0%, +11.0%]", "the share by which score is lower"),
    ],
)
def test_gains_have_a_sign_and_a_unit(higher_is_better, gain, unit):
    info = {
        **METADATA["tasks"]["adding"],
        "metric": "score",
        "higher_is_better": higher_is_better,
        "baseline": 0.5,
        "baselines": {"mean": {"value": 0.5, "low": 0.4, "high": 0.6}},
    }
    gains = {"gain": 0.05, "gain_low": -0.01, "gain_high": 0.11}
    one = record("adding", "gru", 0, 0.55, metric="score", higher_is_better=higher_is_better, **gains)
    compared = results([one], tasks={"adding": info})
    (table,) = make_tables(compared)
    texts = {row[0].value: dict(zip(table.as_text().headings, row, strict=True)) for row in table.rows}
    assert (texts["gru"]["gain"].text, texts["gru"]["gain"].value) == (gain, 0.05)
    assert f"Gain over it: {unit}, with a 95 % interval. Not clearly better or worse: gru." in table.note
    assert all(gain in compared.table(form) for form in ("text", "markdown", "html"))
    assert texts["mean"]["gain"].text == "–"


def scored(seeds, tasks, reference=None, **shifts):
    """Records of cells whose scores differ by the same amounts for all tasks and seeds."""
    rng = np.random.default_rng(0)
    names = ("one", "two", "three", "four", "five", "six")
    tasks = {task: {**TASKS["copying"], "name": task} for task in names[:tasks]}
    luck = {(task, seed): rng.random() / 10 for task in tasks for seed in range(seeds)}
    records = [
        record(task, cell, seed, 0.5 + shift + luck[task, seed])
        for task in tasks
        for cell, shift in shifts.items()
        for seed in range(seeds)
    ]
    return results(records, tasks=tasks, plan={**PLAN, "reference": reference})


@pytest.mark.parametrize(
    ("seeds", "tasks", "sentences"),
    [
        (2, 3, "resamples 3 tasks and 2 seeds, the same for all cells."),
        (
            3,
            2,
            "resamples 3 seeds, the same for all cells. Tasks are not resampled, since that needs 3 of them. "
            "rank gap: how many ranks a cell is behind the best other cell. lem has the best mean rank. A "
            "verdict on 3 cells needs 3 tasks.",
        ),
        (
            2,
            3,
            "critical difference: in 95 % of comparisons of 3 equal cells on 3 tasks, no two cells differ by "
            "more. lem has the best mean rank. Clearly worse: lru. Not clearly worse: gru. The verdicts do",
        ),
        (
            2,
            1,
            "rank gap: how many ranks a cell is behind the best other cell. lem has the best mean rank. An "
            "interval needs 3 tasks or 3 seeds. A verdict on 3 cells needs 3 tasks.",
        ),
    ],
)
def test_overall_table_states_what_may_be_concluded(seeds, tasks, sentences):
    assert sentences in overall_table(scored(seeds, tasks, lem=0.3, gru=0.2, lru=0.1)).as_text().legend


def test_cells_that_are_equal_are_not_clearly_worse():
    table = overall_table(scored(3, 4, lem=0.3, gru=0.3, lru=0.1)).as_text()
    assert "lem and gru share the best mean rank. Clearly worse: lru. The" in table.legend
    assert [row[:5] for row in table.rows] == [
        ("lem", "mixer", "1.50", "1.5 to 1.5", "0.0 [-1.1, 1.1]"),
        ("gru", "recurrence", "1.50", "1.5 to 1.5", "0.0 [-1.1, 1.1]"),
        ("lru", "–", "3.00", "3.0 to 3.0", "1.5 [0.4, 2.0]"),
    ]


def with_headings(table):
    """The texts of the rows by cell and heading."""
    return {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}


@pytest.mark.parametrize(
    ("seeds", "tasks", "reference", "sentences", "differences"),
    [
        (
            2,
            3,
            "gru",
            "rank difference: the mean rank less the mean rank of gru, with an interval: in 95 % of "
            "comparisons of 3 equal cells on 3 tasks, no cell differs from gru by more. Not clearly "
            "different: lem, lru. The verdicts do",
            {"lem": "-1.0 [-2.0, 0.7] unclear", "gru": "– reference", "lru": "1.0 [-0.7, 2.0] unclear"},
        ),
        (
            2,
            3,
            "lru",
            "no cell differs from lru by more. Clearly better: lem. Not clearly different: gru. The verdicts",
            {"lem": "-2.0 [-2.0, -0.3] better", "gru": "-1.0 [-2.0, 0.7] unclear", "lru": "– reference"},
        ),
        (
            2,
            3,
            "lem",
            "no cell differs from lem by more. Clearly worse: lru. Not clearly different: gru. The verdicts",
            {"lem": "– reference", "gru": "1.0 [-0.7, 2.0] unclear", "lru": "2.0 [0.3, 2.0] worse"},
        ),
        (
            1,
            2,
            "gru",
            "rank difference: the mean rank less the mean rank of gru. A verdict on 3 cells with a reference "
            "cell needs 3 tasks.",
            {"lem": "-1.0 –", "gru": "– reference", "lru": "1.0 –"},
        ),
    ],
)
def test_overall_table_compares_with_the_reference(seeds, tasks, reference, sentences, differences):
    compared = scored(seeds, tasks, reference, lem=0.3, gru=0.2, lru=0.1)
    table = overall_table(compared).as_text()
    assert sentences in table.legend
    rows = with_headings(table)
    assert {cell: f"{row['rank difference']} {row['verdict']}" for cell, row in rows.items()} == differences
    assert "rank gap" not in table.headings


@pytest.mark.parametrize(
    ("reference", "sentences"),
    [
        (None, "lem is clearly the best. Clearly worse: lru."),
        ("lem", "Clearly worse: lru."),
        ("gru", "gru has no rank, so there is no rank difference."),
    ],
)
def test_overall_table_names_cells_without_a_score(reference, sentences):
    """A reference that failed everywhere was the worst of all, so other cells were clearly better."""
    tasks = {name: {**TASKS["copying"], "name": name} for name in ("t0", "t1", "t2", "t3", "t4", "t5")}
    scores = {"gru": None, "lem": 0.9, "lru": 0.1}
    records = [record(task, cell, 0, score) for task in tasks for cell, score in scores.items()]
    table = overall_table(results(records, tasks=tasks, plan={**PLAN, "reference": reference})).as_text()
    assert "Without a score on any task, and so without a rank: gru." in table.legend
    assert sentences in table.legend
    assert table.rows[-1][:5] == ("gru", "recurrence", "–", "–", "–")


def test_task_tables_compare_with_the_reference():
    """Differences of accuracies are in points; of errors, they have the unit of the error."""
    scores = {"gru": (0.2, 0.5, 0.8), "lem": (0.301, 0.599, 0.9), "lru": (0.22, 0.49, 0.81)}
    records = [
        record("copying", cell, seed, score)
        for cell, values in scores.items()
        for seed, score in enumerate(values)
    ]
    plan = {**PLAN, "reference": "gru"}
    compared = results(records, plan=plan)
    (table,) = (each.as_text() for each in make_tables(compared))
    shown = {cell: f"{row['difference']} {row['verdict']}" for cell, row in with_headings(table).items()}
    assert shown == {
        "lem": "+10.0 points [+9.8, +10.2] better",
        "lru": "+0.7 points [-3.1, +4.5] unclear",
        "gru": "– reference",
    }
    assert table.legend.endswith(
        "difference: the score less the score of gru with the same seed, as a mean over the seeds with a "
        "95 % interval. Clearly better: lem (3 seeds). Not clearly different: lru (3 seeds)."
    )
    for form in ("text", "markdown", "html", "csv", "latex"):
        assert "+10.0 points [+9.8, +10.2]" in compared.table(form)
    errors = [
        replace(each, task="adding", higher_is_better=False, metric="squared_error") for each in records
    ]
    (table,) = text_tables(errors, plan=plan)
    assert [row["difference"] for row in with_headings(table).values()] == [
        "–",
        "+0.00667 [-0.0313, +0.0446]",
        "+0.1 [+0.0975, +0.102]",
    ]
    assert "Clearly worse: lem (3 seeds). Not clearly different: lru (3 seeds)." in table.legend


def test_difference_stays_in_a_narrow_table_of_a_data_set():
    """The gains over the baselines are wide, too, and lose their verdict first."""
    info = {**TASKS["adding"], "metric": "mae", "baseline": 0.5}
    info["baselines"] = {"linear autoregression": {"value": 0.5, "low": 0.4, "high": 0.6}}
    gains = {"metric": "mae", "gain": 0.05, "gain_low": -0.01, "gain_high": 0.11, "parameters": 19_876}
    records = [
        record("adding", cell, seed, 0.5 + (cell == "lem") / 10 + seed / 9, high=False, **gains)
        for cell in ("gru", "lem")
        for seed in (0, 1, 2)
    ]
    shown = {}
    for reference in (None, "gru"):
        (table,) = text_tables(records, tasks={"adding": info}, plan={**PLAN, "reference": reference})
        narrow = table.fit(120)
        assert narrow.width <= 120
        shown[reference] = {"gain", "clear", "difference", "verdict"}.intersection(narrow.headings)
        assert {"cell", "parameters", "lr", "MAE"} <= set(narrow.headings)
    assert shown == {None: {"gain", "clear"}, "gru": {"difference", "verdict", "gain"}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 0}, "with a 95 % interval. Verdicts need at least two seeds."),
        (
            {"status": "failed", "score": None},
            "interval. gru has no score on copying, so there is no difference.",
        ),
    ],
)
def test_reference_without_a_pair_of_seeds_has_no_verdict(changes, sentence):
    records = [
        replace(
            record("copying", cell, seed, 0.5 + seed / 10),
            **(changes if cell == "gru" or "seed" in changes else {}),
        )
        for cell in ("gru", "lem", "lru")
        for seed in ((0,) if "seed" in changes else (0, 1))
    ]
    (table,) = text_tables(records, plan={**PLAN, "reference": "gru"})
    assert sentence in table.legend
    assert {row["verdict"] for row in with_headings(table).values()} == {"–", "reference"}


def test_results_can_be_read_with_another_reference(tmp_path):
    """The rows are computed again; the file stays as it is."""
    rows = summarize(RECORDS, "gru"), overall(RECORDS, "gru")
    write_results(tmp_path, {**METADATA, "plan": {**PLAN, "reference": "gru"}}, RECORDS, (), *rows)
    before = (tmp_path / "results.json").read_bytes()
    stored, other, best = Comparison(tmp_path), Comparison(tmp_path, "lem"), Comparison(tmp_path, "best")
    assert (stored.reference, other.reference, best.reference) == ("gru", "lem", None)
    assert {each.plan["reference"] for each in (stored, other, best)} == {"gru"}, "as the file holds it"
    assert (stored.summary, stored.overall) == rows
    assert (other.summary, other.overall) == (summarize(RECORDS, "lem"), overall(RECORDS, "lem"))
    assert best.table() == results().table()
    assert (tmp_path / "results.json").read_bytes() == before
    for invalid in ("lru", "", 3, ["gru"]):
        with pytest.raises(
            UsageError, match=r"^Comparison: reference is .*; expected one of 'gru', 'lem', 'best'"
        ):
            Comparison(tmp_path, invalid)


def test_one_task_has_no_overall_table():
    assert [table.title for table in text_tables(RECORDS[:4])] == ["copying (delay=2)"]
    assert text_tables([]) == []


def test_overall_table_names_tasks_left_out():
    every = text_tables(RECORDS[:-2])[0]
    assert "1 task without a score of each cell does not count." in every.legend
    assert [row[6] for row in every.rows if row[0] == "lem"] == ["–"]
    every = text_tables([RECORDS[0], RECORDS[6]])[0]
    assert "2 tasks without a score of each cell do not count." in every.legend


def test_results_without_scopes_have_tables():
    assert {row[1] for table in text_tables(cells=None) for row in table.rows} == {"–"}


def test_cell_without_a_finished_run_has_neither_score_nor_rank():
    lost = [record("copying", "bad", seed, None, status="failed", error="ValueError: no.") for seed in (0, 1)]
    every, copying, _ = text_tables([*RECORDS, *lost])
    (row,) = [dict(zip(copying.headings, row, strict=True)) for row in copying.rows if row[0] == "bad"]
    shown = {"cell", "H", "parameters", "accuracy", "symbols/s"}
    assert {name: value for name, value in row.items() if name not in shown} == {
        name: "–" for name in row if name not in shown
    }
    assert row["accuracy"] == "failed"
    assert [row[every.headings.index("copying")] for row in every.rows if row[0] == "bad"] == ["failed"]


@pytest.mark.parametrize("form", ["text", "markdown", "html", "csv", "latex"])
def test_scores_with_runs_that_did_not_finish_are_marked_in_every_form(form):
    """Tables showed the score that such a run counts with like the score of any other."""
    records = [replace(RECORDS[0], status="diverged"), *RECORDS[1:], record("adding", "lem", 2, None, False)]
    records[-1] = replace(records[-1], status="failed")
    mark = r"$\dagger$" if form == "latex" else "†"
    text = results(records).table(form)
    marked = [line for line in text.replace("<tr>", "\n").splitlines() if f"{mark}" in line]
    assert sum("gru" in line and "0.7" in line for line in marked) == 2  # over all tasks, and of its task
    assert f"0.7 ± 0.28 {mark}".replace("±", r"$\pm$" if form == "latex" else "±") in text
    assert text.count("Runs that diverged: 1 of 2 of gru on copying.") == (0 if form == "csv" else 2)
    assert text.count("Runs that failed: 1 of 3 of lem on adding. They have no score.") == (
        0 if form == "csv" else 2
    )
    assert mark not in results().table(form)


def test_list_warnings():
    lost = record("copying", "lem", 2, None, status="failed", error="ValueError: no.", path="runs/x")
    far = record("adding", "big", 0, 0.1, high=False, lr=0.1, parameters=120)
    swept = [
        replace(lost, path="runs/y", lr=0.5),
        *(record("copying", "gru", 9, 0.5, lr=lr, baseline=0.125) for lr in (0.01, 0.1)),
        *(
            record("adding", "lem", 9, 0.16, high=False, lr=lr, baseline=1 / 6, threshold=0.01)
            for lr in (0.01, 0.1)
        ),
        *(
            record("adding", "gru", 9, 0.1, high=False, lr=lr, baseline=1 / 6, threshold=0.01)
            for lr in (0.001, 0.01, 0.1)
        ),
    ]
    warnings = list(list_warnings(results([*RECORDS, lost, far], sweep=swept)))
    assert warnings == [
        "lem on copying failed (runs/y and 1 other run): ValueError: no. Remove the cause and repeat the "
        "command, which tries failed runs again and keeps finished ones.",
        "big on adding has 120 parameters, the number nearest to 100 that its sizes allow.",
        "The best learning rate of the sweep is at its edge for gru on copying; a better one may lie beyond, "
        "so raise `--sweep-rounds`, or give other rates with `--lr-grid`.",
        "No learning rate of the sweep is clearly better than the memoryless baseline for lem on adding; "
        "their rates may be chosen by chance.",
    ]
    copying, adding = text_tables(sweep=swept)[1:]
    assert {row[0]: row[4] for row in copying.rows} == {"gru": "0.01 edge", "lem": "0.01"}
    assert {row[0]: row[4] for row in adding.rows} == {"gru": "0.01", "lem": "0.01 plateau"}
    fixed = {**PLAN, "rates": [0.01], "size": {"hidden": 8}}
    assert list(list_warnings(results(RECORDS, plan=fixed))) == []


@pytest.mark.parametrize(
    ("size", "parameters", "is_noted"),
    [("hidden", 111, True), ("hidden", 110, False), ("params", 111, False)],
)
def test_note_names_different_numbers_of_parameters(size, parameters, is_noted):
    """They differ if no budget has both within the 5 % that ``--params`` tolerates."""
    records = [replace(each, parameters=parameters if each.cell == "lem" else 100) for each in RECORDS]
    notes = [table.legend for table in text_tables(records, plan={**PLAN, "size": {size: 8}})[1:]]
    sentence = "The cells have 100 to 111 parameters; `--params` compares them at about equal numbers."
    assert [sentence in note for note in notes] == [is_noted] * 2


def test_warnings_name_sizes_that_do_not_change_with_the_hidden_size():
    lem = {"order": 16, "rank": 2, "width": 4, "mamba_width": 4}  # windows of convolutions are times
    cells = {"lem": {"scope": "mixer", "fixed_size_options": lem}, "gru": {"fixed_size_options": {"k": 2}}}
    assert list(list_warnings(results(cells=cells))) == [
        "These sizes do not change with H, and may be too large or too small at this one: lem (order=16, "
        "rank=2). Set them with `--set CELL.OPTION=N`."
    ]


def options_of(label, name, bias):
    stated = {"forget_bias": bias}
    return {label: {"name": name, "stated_options": stated, "customary_options": {"forget_bias": 1.0}}}


def test_options_are_a_column_and_values_that_are_not_customary_a_warning():
    cells = options_of("lem", "lstm", 0.0) | options_of("gru", "lstm", 1.0)
    made = results(cells=cells)
    assert list(list_warnings(made)) == []
    (copying, *_) = (table.as_text() for table in make_tables(made)[1:])
    assert {row[0]: row[2] for row in copying.rows} == {"lem": "forget_bias=0.0", "gru": "forget_bias=1.0"}
    assert copying.headings[2] == "options"
    assert copying.legend.endswith(" forget_bias=1.0 of gru is customary.")
    assert " & options & " in made.table("latex")
    cells["gru"] = {"name": "gru", "options": {}}
    made = results(cells=cells)
    assert list(list_warnings(made)) == [
        "lem has forget_bias=0.0, and forget_bias=1.0 is customary. Compare with it too: `--cells "
        "lem-customary=lstm`."
    ]
    cells["lem"]["stated_options"]["size"] = 3
    cells["lem"]["options"] = {"forget_bias": 0.0, "size": 3}
    (warning,) = list_warnings(results(cells=cells))
    assert warning.endswith("`--cells lem-customary=lstm --set lem-customary.size=3`.")
    copying = make_tables(made)[1].as_text()
    assert {row[0]: row[2] for row in copying.rows} == {"lem": "forget_bias=0.0", "gru": "–"}
    assert "options" not in text_tables()[1].headings


@pytest.mark.parametrize("reference", [None, "gru", "lem"])
@pytest.mark.parametrize("options", [None, {}, {"size": 3}, {"forget_bias": 0.0}, {"l1.forget_bias": 0.0}])
@pytest.mark.parametrize("published", [True, False])
def test_cell_without_a_customary_option_of_the_reference_is_named(reference, options, published):
    """The difference of a class of your own from lstm includes the forget bias that it lacks."""
    cells = options_of("gru", "lstm", 1.0)
    cells["gru"] |= {"options": {"forget_bias": 1.0}, "published": True}
    cells["lem"] = {"name": "lem", "options": options, "published": published}
    made = results(cells=cells, plan={**PLAN, "reference": reference})
    sentence = {
        None: "",
        "gru": " lem does not have the option forget_bias, so differences from gru include its effect.",
        "lem": " lem does not have the option forget_bias, so the differences of gru include its effect.",
    }[reference if not published and "forget_bias" not in str(options) else None]
    for table in make_tables(made)[1:]:
        assert table.as_text().legend.endswith(f"forget_bias=1.0 of gru is customary.{sentence}")


def test_runs_that_reach_the_threshold_in_validation_only_are_named():
    near = record("copying", "lem", 0, 0.9, solved=False, steps_to_threshold=140)
    assert next(list_warnings(results([near]))) == (
        "lem on copying: 1 run reached the threshold in a validation and not in the test; 'steps to solve' "
        "counts such runs, 'solved' does not."
    )
    assert "validation" not in "".join(list_warnings(results([replace(near, solved=True)])))


def test_describe_setup():
    first, settings, machine, versions = describe_setup(results())
    assert first == (
        "Bare layers, 2,000 steps: 2 seeds, about 100 parameters each, the learning rate of each cell "
        "and task chosen among 0.01, 0.1 by a short run of another seed."
    )
    bare = "without an embedding, a norm or a residual connection"
    assert settings == f"2 layers {bare}, float32, adam, gradients clipped to 1."
    assert machine == (
        "2026-01-02 03:04 UTC: Chip, 8 processors, Linux 1; 1 process at a time, of one thread each."
    )
    assert versions == "numpy 2, zoo 1."
    other = {**PLAN, "seeds": 1, "size": {"hidden": 8}, "length": {"seconds": 2.5}, "rates": [0.1]}
    other["settings"] = {**PLAN["settings"], "clip": 0}
    first, settings, machine, _ = describe_setup(results(plan=other, jobs=None))
    assert (
        first == "Bare layers, as many steps as take 2.5 s: 1 seed, 8 hidden units each, learning rate 0.1."
    )
    assert settings.endswith("gradients not clipped.")
    other["settings"] |= {"bidirectional": True, "learned_state": True}
    settings = list(describe_setup(results(plan=other)))[1]
    assert settings.startswith(f"2 bidirectional layers {bare}, initial states learned, float32")
    assert machine.endswith("; another executor.")


@pytest.mark.parametrize(
    ("specs", "exception"),
    [
        (["gru", "lem"], ""),
        (["gru+residual", "lem"], ", except for the residual connections of a"),
        (
            ["2*(gru,gru+residual)", "lem+layer_norm+residual"],
            ", except for the residual connections of a, b",
        ),
    ],
)
def test_setup_names_cells_with_residual_connections(specs, exception):
    cells = [{"label": label, "spec": spec} for label, spec in zip("ab", specs, strict=True)]
    settings = list(describe_setup(results(plan={**PLAN, "cells": cells})))[1]
    assert settings.startswith(
        f"2 layers without an embedding, a norm or a residual connection{exception}, float32"
    )


@pytest.mark.parametrize(
    ("block", "kind", "description"),
    [
        (5, "Layers in blocks", "shows, BLOCK(CELL), float32"),
        (
            0,
            "Bare layers and layers in blocks",
            "BLOCK(CELL), or else without a norm or a residual connection",
        ),
    ],
)
def test_setup_names_blocks(block, kind, description):
    parts = {"gru": {"cell": 9, "block": block, "readout": 2}, "lem": {"cell": 9, "block": 5, "readout": 2}}
    first, settings, *_ = describe_setup(results(parameters={"copying": parts}))
    assert first.startswith(f"{kind}, 2,000 steps")
    assert description in settings
