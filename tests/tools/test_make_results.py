"""The pages and figures of the results of all cells: up to date, and complete for any state of the files."""

from __future__ import annotations

import re
from pathlib import Path

import make_results
import pytest
from cell_results import Measured, Results, read_results, tasks
from cell_section import cell_lines
from csv_rows import append_rows
from evaluate_cells import CELL_OPTIONS, FILES, SETTINGS, TASKS, Point, Row, all_pairs
from paper_agreement import EXPECTED, paper_table
from reproduce import CLAIMS
from result_charts import SHOWN, draw_best, draw_cell, range_of
from result_summary import facts_of
from result_tables import best_table, block_lines, candidates_table, is_higher_ranked, tables

import zoo

EMPTY = Results([], [])


def rows(
    cell: str, block: str = "bare", task: str = "adding", scores=(0.1, 0.2, 0.3), **changes
) -> list[Row]:
    facts = tasks()[task]
    sizes = {"hidden": 8, "parameters": 1100, "cell_parameters": 900, "block_parameters": 150}
    settings = {"readout_parameters": 50, "lr": 0.01, "status": "finished", "date": "2026-01-02", **sizes}
    return [
        Row(
            cell, block, task, seed=seed, metric=facts.metric, score=score, solved=facts.is_reached(score),
            **{**settings, **changes},
        )
        for seed, score in enumerate(scores)
    ]  # fmt: skip


def everywhere(cell: str, share: float, block: str = "bare") -> list[Row]:
    """Rows on all tasks, at a share of the way from the baseline to the best score."""
    lines = []
    for facts in tasks().values():
        best = 1.0 if facts.higher_is_better else 0.0
        score = facts.baseline + share * (best - facts.baseline)
        lines += rows(cell, block, facts.name, [score, score, score])
    return lines


def points(cell: str, block: str, task: str, scores) -> list[Point]:
    return [Point(cell, block, task, 100 * n, 0.5, score) for n, score in enumerate(scores, 1)]


def test_pages_and_figures_are_up_to_date() -> None:
    changed = make_results.outdated(read_results(make_results.RESULTS))
    assert not changed, f"run {make_results.COMMAND}"


def test_page_states_the_settings_of_the_program() -> None:
    page = " ".join((make_results.DOCS / "results.md").read_text(encoding="utf-8").split())
    assert SETTINGS == {
        "seeds": 3, "layers": 2, "steps": 2000, "lr_grid": (0.003, 0.01, 0.03), "sweep_rounds": 8,
    }  # fmt: skip
    for words in (
        "two layers",
        "**2,000 updates**",
        "**Three seeds.**",
        "0.003, 0.01 and 0.03",
        "up to eight",
    ):
        assert words in page
    for options in CELL_OPTIONS.values():
        assert " and ".join(f"`{name}={value}`" for name, value in options.items()) in page
    for facts in tasks().values():
        assert f"| `{facts.name}` | {facts.parameters:,} |" in page


def test_expected_models_are_measured_some_time() -> None:
    models = {(pair.spec, pair.task) for pair in all_pairs()}
    for claim in CLAIMS:
        assert {(model, claim.task) for model in EXPECTED.get(claim.name, {})} <= models
    assert set(EXPECTED) <= {claim.name for claim in CLAIMS}


def test_nothing_is_measured(tmp_path: Path) -> None:
    assert read_results(tmp_path) == EMPTY
    total = len({pair.spec for pair in all_pairs()})
    assert facts_of(EMPTY)[0] == f"0 of {total} models are measured on all six tasks and the text."
    assert "No model has been measured" in draw_best(EMPTY)
    assert [row[3:] for row in best_table(EMPTY).rows] == [("–",) * 3] * len(TASKS)
    assert candidates_table(EMPTY).rows[0][2:] == (
        "no threshold, 0 measured, in nats",
        "all are near the score without memory",
    )
    assert "not among [the results](../../results.md) yet" in " ".join(cell_lines(EMPTY, "lstm"))
    assert "--cells lstm`" in " ".join(cell_lines(EMPTY, "lstm"))
    longer = "[Published results, repeated](../../reproductions.md) has longer runs of `mamba(mamba)`."
    assert longer in " ".join(cell_lines(EMPTY, "mamba"))
    assert "reproductions" not in " ".join(cell_lines(EMPTY, "cifg_lstm"))
    assert len(tables(EMPTY)) > len(TASKS)
    assert block_lines(EMPTY) == ["No cell is measured both bare and in its block yet."]


def test_files_are_read_with_their_types(tmp_path: Path) -> None:
    lines = [*rows("lstm", sweep="edge"), Row("gru", "bare", "adding", status="failed", error="a, b")]
    curve = points("lstm", "bare", "adding", [0.3, None])
    (tmp_path / FILES[0]).touch()  # left by a process that ended before the heading
    append_rows(tmp_path / FILES[0], lines, Row)
    append_rows(tmp_path / FILES[1], curve, Point)
    assert read_results(tmp_path) == Results(lines, curve)
    with (tmp_path / FILES[0]).open("a", encoding="utf-8") as file:
        file.write("lstm,bare,copy")
    with pytest.raises(ValueError, match=r"cells\.csv, line 6: expected"):
        read_results(tmp_path)


def test_means_ranks_and_models_at_the_baseline() -> None:
    results = Results(
        [
            *rows("lstm", scores=[0.001, 0.002, 0.003]),
            *rows("gru", scores=[0.1, 0.1, 0.1], sweep="edge"),
            *rows("vanilla", scores=[0.17, 0.16, 0.165], sweep="plateau"),
            *rows("mgu", scores=[0.168, 0.168, 0.168]),
        ],
        [],
    )
    ranked = results.ranked("adding")
    assert [(model, each.summary.rank) for model, each in ranked] == [
        ("lstm", 1), ("gru", 2), ("vanilla", 3.5), ("mgu", 3.5),
    ]  # fmt: skip
    assert ranked[2][1].mean == pytest.approx(0.165), "the score itself is shown"
    assert [model for model, _ in results.leaders("adding", 9)] == ["lstm", "gru"]
    row = best_table(results).rows[0]
    assert row[2:] == (
        "1 of 4",
        "**0.002** [`lstm`](zoo/lstm/lstm.md)",
        "0.100 *edge* [`gru`](zoo/gated/gru.md)",
        "–",
    )
    assert any("adding (`lstm`)" in line for line in facts_of(results))
    assert any("3 of 4 pairs" in line and "(`edge`: 1, `plateau`: 2)" in line for line in facts_of(results))


def test_candidates_that_solve_a_task_are_ordered_by_all_tasks() -> None:
    results = Results(
        [
            *rows("lstm", scores=[0.001] * 3),
            *rows("gru", scores=[0.009] * 3),
            *rows("mgu", scores=[0.02] * 3),
            *rows("gru", task="parity", scores=[0.95] * 3),
        ],
        [],
    )
    row = candidates_table(results).rows[1]
    assert row[:3] == ("add numbers over 50 steps", "`adding`", "2 of 3, at squared error 0.01")
    names = "[`gru`](../zoo/gated/gru.md), [`lstm`](../zoo/lstm/lstm.md), [`mgu`](../zoo/gated/mgu.md) 0.020"
    assert row[3] == names, "a model that solves the task has no score, another model has one"


def test_only_models_with_all_seeds_on_all_tasks_have_a_mean_rank() -> None:
    partial = [row for row in everywhere("mgu", 0.9) if (row.task, row.seed) != ("text", 2)]
    rest = [row for row in everywhere("lstm", 0.9) if row.task != "text"]
    results = Results([*everywhere("gru", 0.5), *everywhere("vanilla", 0.2), *partial, *rest], [])
    assert list(results.complete) == ["gru", "vanilla"]
    assert [(row.cell, row.rank) for row in results.ranking] == [("gru", 1), ("vanilla", 2)]
    assert "and 2 on some of them" in facts_of(results)[0]
    best = "`gru` has the best mean rank, 1.00 (95 % interval 1.00 to 1.00)."
    assert facts_of(results)[1] == f"{best} 1 of 1 other models are clearly worse."
    assert "| [`gru`](zoo/gated/gru.md) | 1.00 | 1.0 to 1.0 | **-1.0 [-1.0, -0.3]** |" in "\n".join(
        tables(results)
    )


def test_a_cell_is_compared_with_itself_in_a_block_over_all_tasks() -> None:
    measured = [*everywhere("lru", 0.2), *everywhere("lru", 0.5, "glu"), *everywhere("gru", 0.3)]
    results = Results([*measured, *everywhere("s5", 0.1), *everywhere("s5", 0.1, "glu")], [])
    assert results.rank_difference("glu(lru)", "lru") == (-2.0, (-2.0, -2.0))
    assert any(
        "Of 2 models in a block, `glu(lru)` has a clearly better mean rank than the bare cell." in line
        for line in facts_of(results)
    )


@pytest.mark.parametrize("task", tasks())
def test_candidate_is_ranked_higher_by_the_direction_of_the_metric(task: str) -> None:
    facts = tasks()[task]
    bare, in_block = rows("lru", task=task, scores=[0.2] * 3), rows("lru", "glu", task, [0.4] * 3)
    results = Results([*bare, *in_block], [])
    low, high = results.at("lru", "bare", task), results.at("lru", "glu", task)
    assert is_higher_ranked(facts, high, low) is facts.higher_is_better
    assert is_higher_ranked(facts, low, high) is not facts.higher_is_better
    assert not is_higher_ranked(facts, low, low)
    better = int(facts.higher_is_better)
    assert any(f"In {better} of 1 pairs of cell and task" in line for line in facts_of(results))


def test_tables_show_failed_and_diverged_runs() -> None:
    diverged, *finished = rows("gru", scores=[0.15, 0.1, 0.1])
    lost = Row("gru", "bare", "adding", seed=2, status="failed", error="killed")
    impossible = Row("s5", "bare", "adding", status="failed", error="too few\nparameters")
    results = Results([Row(**{**vars(diverged), "status": "diverged"}), finished[0], lost, impossible], [])
    text = "\n".join(tables(results))
    assert "| 1 | `gru` | 8 | 1,100 | 900 / 150 / 50 | 0.01 | 0.125 |" in text
    assert "| 0/3 | 1 diverged, 1 failed, killed |" in text
    assert f"| – | `s5` |{' – |' * 10} 1 failed, too few parameters |" in text
    best = "0.125 (1 of 3 failed) (1 of 3 diverged) [`gru`](../gated/gru.md)"
    assert f"| adding (squared error) | failed | – | {best} |" in cell_lines(results, "s5")
    assert "A run that diverges has the score" in " ".join(cell_lines(results, "gru"))
    assert results.ranked("adding")[0][0] == "gru"
    assert draw_cell(results, "s5")


def test_page_of_a_cell_shows_both_forms_and_the_best() -> None:
    results = Results(
        [
            *rows("lru", scores=[0.15, 0.15, 0.15]),
            *rows("lru", "glu", scores=[0.001, 0.001, 0.001]),
            *rows("gru", scores=[2e-5, 2e-5, 2e-5]),
            *rows("lru", "glu", "parity", [0.5, 0.5, 0.5], sweep="plateau"),
        ],
        points("lru", "glu", "adding", [0.1, 0.001]),
    )
    lines = cell_lines(results, "lru")
    assert "| task | bare | rank | in `glu` | rank | best of all |" in lines
    scores = "0.150 | 3 of 3 | **0.001** | 2 of 3 | **2.0e-05** [`gru`](../gated/gru.md)"
    assert f"| adding (squared error) | {scores} |" in lines
    assert "| parity (accuracy) | – | – | 0.500 *plateau* | 1 of 1 | – |" in lines
    assert sum(line.startswith("| ") for line in lines) == 3, "a task without results has no row"
    assert lines[-1] == "![Learning curves of lru on six tasks and a text](lru-results.svg)"
    notes = " ".join(lines)
    assert "*plateau*: no learning rate" in notes
    assert "share a rank, the mean of their ranks" in notes
    assert "A dash in the last column means that no model" in notes
    assert "A dash in another column means that the model is not measured" in notes
    plain = " ".join(cell_lines(results, "gru"))
    assert not any(words in plain for words in ("plateau", "share a rank", "dash", "the options"))
    assert "svg" not in " ".join(cell_lines(results, "gru")), "it has no validations"
    assert "| `glu(lru)` | 0.150 → **0.001** | – |" in block_lines(results)[2]
    assert any("In 1 of 1 pairs of cell and task, the cell is better" in line for line in facts_of(results))


def test_page_of_a_cell_shows_its_options() -> None:
    results = Results(rows("cfc", options="units=32"), [])
    assert "the options `units=32`" in " ".join(cell_lines(results, "cfc"))


def test_agreement_with_papers() -> None:
    results = Results(
        [
            *rows("lstm", scores=[0.001, 0.001, 0.1]),
            *rows("vanilla", scores=[0.001, 0.1, 0.1]),
            *rows("gru", task="parity", scores=[0.5, 0.5, 0.95]),
        ],
        [],
    )
    verdicts = {(row[1], row[2]): row[3:] for row in paper_table(results).rows}
    assert verdicts["`lstm`", "adding"][2:4] == ("2/3", "yes")
    assert verdicts["`vanilla`", "adding"] == ("not solved", "0.067", "1/3", "**no**", "yes")
    assert verdicts["`gru`", "parity"] == ("solved", "0.650", "1/3", "**no**", "yes")
    assert len(verdicts) == 3
    sentence = (
        "Of 3 results of papers, 1 [agrees](#agreement-with-papers). 2 more agree with a larger budget."
    )
    assert sentence in facts_of(results)


def test_curves_have_a_range_from_three_other_models_on() -> None:
    others = ["gru", "mgu", "vanilla"]
    curve = [0.2] * 20
    own = [*points("lru", "bare", "parity", curve), *points("lru", "glu", "parity", curve)]
    lines = [row for cell in ("lru", *others) for row in rows(cell, task="parity", scores=[0.5] * 3)]
    lines += rows("lru", "glu", "parity", [0.5] * 3)
    curves = {cell: points(cell, "bare", "parity", [n / 2] * 20) for n, cell in enumerate(others)}
    few = draw_cell(Results(lines, [*own, *curves["gru"], *curves["mgu"]]), "lru")
    many = draw_cell(Results(lines, [*own, *curves["gru"], *curves["mgu"], *curves["vanilla"]]), "lru")
    assert few.count('<path class="band') == 0
    assert many.count('<path class="band') == 1
    for picture in (few, many):
        assert len(re.findall(r'<path class="curve stroke-\d', picture)) == 4, "two lines, and the legend"
        assert "made by: python tools/make_results.py" in picture
    values = (points(cell, "bare", "parity", [n] * 4) for n, cell in enumerate(others))
    measured = [Measured(rows(cell), None, own) for cell, own in zip(others, values, strict=True)]
    assert range_of(measured) == ([200, 400], [0.2, 0.2], [1.0, 1.0], [1.8, 1.8])


def test_figures_of_many_models_stay_small() -> None:
    cells = zoo.list_cells()[: SHOWN + 5]
    lines = [row for n, cell in enumerate(cells) for row in everywhere(cell, n / 30)]
    curves = [
        point
        for n, cell in enumerate(cells)
        for task in TASKS
        for point in points(cell, "bare", task, [0.51 + n / 60 + k / 99 for k in range(20)])
    ]
    results = Results(lines, curves)
    picture = draw_best(results)
    assert [cell for cell in cells if f">{cell}<" in picture] == cells[5:], "the best ones"
    assert len(draw_cell(results, cells[3])) < 15_000


def test_files_are_written_and_old_curves_removed(tmp_path: Path, monkeypatch) -> None:
    docs = tmp_path / "docs"
    for name in ("results.md", "results-tables.md", "howto/choose.md", "images/results.svg"):
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text((make_results.DOCS / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(make_results, "DOCS", docs)
    monkeypatch.setattr(make_results, "shipped_cells", lambda: [type(zoo.get_cell("vanilla"))])
    results = Results(rows("vanilla"), points("vanilla", "bare", "adding", [0.2, 0.1]))
    make_results.write(results)
    assert make_results.outdated(results) == []
    page = docs / "zoo" / "classic" / "vanilla.md"
    assert "| adding (squared error) | 0.200 *plateau* | 1 of 1 | – |" in page.read_text(encoding="utf-8")
    curves = page.with_name("vanilla-results.svg")
    assert make_results.outdated(EMPTY)[-2:] == [page, curves]
    make_results.write(EMPTY)
    assert not curves.exists()
    assert "not among [the results]" in page.read_text(encoding="utf-8")
    assert make_results.outdated(EMPTY) == []
