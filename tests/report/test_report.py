"""Reports as data: the content of run and comparison reports, and missing or damaged parts."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import report_fixtures as examples
from comparison_records import PLAN, record
from comparison_records import results as results_of
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.comparison.records import RunRecord
from zoo.comparison.statistics import overall, summarize
from zoo.report import ReportPage, activations, make_report
from zoo.report.activations import best_feature, measure_text, text_features
from zoo.report.blocks import Chart, Intervals, KeyValues, Samples, TextBlock, Units, to_json, value_text
from zoo.report.comparison import _rates, size_chart
from zoo.report.history import RunHistory, number
from zoo.report.page import SCRIPTS, STYLES, html
from zoo.report.run_charts import optimisation_charts
from zoo.report.run_page import cell_blocks
from zoo.tables import Table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return examples.train(tmp_path_factory.mktemp("report"))


@pytest.fixture
def copy(run, tmp_path):
    """A run that a test may damage."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def report_of(path: Path, symbols: int = 60) -> ReportPage:
    with zoo.kernels.pure_python():
        return make_report(path, symbols=symbols)


def blocks(report: ReportPage, kind: type, section: str = "") -> list:
    return [
        block
        for each in report.sections
        if section in ("", each.name)
        for block in each.blocks
        if isinstance(block, kind)
    ]


def said(report: ReportPage) -> str:
    return " ".join(block.text for block in blocks(report, TextBlock))


# A run


def test_run_report_has_all_sections(run):
    report = report_of(run)
    assert report.title == "run"
    assert report.subtitle == "vanilla, 1 layer of 8 units, float32, trained on text"
    assert [section.name for section in report.sections] == [
        "learning",
        "optimisation",
        "memory",
        "hidden-units",
        "samples",
        "cell",
        "made-with",
    ]
    assert [tile.label for tile in report.tiles] == ["best validation loss", "steps", "parameters", "speed"]
    assert report.tiles[1].detail == "of 12, finished"
    names = [chart.name for chart in blocks(report, Chart)]
    assert names == ["loss", "gradient-norm", "clipped", "learning-rate", "speed"]


def test_curves_equal_the_log(run):
    loss = blocks(report_of(run, 0), Chart)[0]
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for series, kind in zip(loss.series, ("step", "eval"), strict=True):
        matching = [event for event in events if event["event"] == kind]
        assert series.x == tuple(event["step"] for event in matching)
        assert series.y == pytest.approx([event["loss"] for event in matching], rel=1e-5)


def test_samples_configuration_and_card(run):
    report = report_of(run, 0)
    (samples,) = blocks(report, Samples)
    assert samples.steps == tuple(range(1, 13))
    configuration = next(block for block in blocks(report, KeyValues) if block.name == "configuration")
    marked = {fact.label for fact in configuration.facts if fact.marked}
    assert {"hidden", "clip", "log every"} <= marked
    assert not marked & {"seed", "dtype", "batch", "eval every"}
    card = next(block for block in blocks(report, KeyValues) if block.name == "card")
    assert card.facts[0].link == zoo.get_cell("vanilla").card.url
    assert next(fact.text for fact in card.facts if fact.label == "scope").startswith("recurrence: ")
    assert {fact.label for fact in blocks(report, KeyValues)[-1].facts} >= {"zoo", "numpy", "numba", "python"}


def test_card_of_an_unpublished_cell_has_no_link():
    vanilla = type(zoo.get_cell("vanilla"))
    members = {"__doc__": "Fresh.", "card": zoo.Card("Fresh", scope="mixer")}
    cell = type("Fresh", (vanilla,), members)()
    card = next(block for block in cell_blocks(cell) if isinstance(block, KeyValues))
    assert [(fact.label, fact.link) for fact in card.facts] == [("reference", ""), ("scope", "")]
    assert card.facts[0].text == "Fresh, unpublished."
    modified = zoo.modify(cell, "zoneout").card
    assert (modified.published, modified.scope) == (False, "mixer")


def test_run_without_analyses_names_the_flag(run):
    assert "--analyse-every" in said(report_of(run, 0))


def test_analyses_become_charts(copy):
    examples.log(copy, *examples.analyses())
    lags, gates = blocks(report_of(copy, 0), Chart, "memory")
    assert {series.group for series in lags.series} == {"layer 1, h", "layer 1, c"}
    assert [series.shade for series in lags.series if series.group == "layer 1, h"] == [0.0, 0.5, 1.0]
    assert [series.name for series in gates.series if series.group == "layer 2"] == [
        f"{gate} {end}" for gate in "ifo" for end in ("low", "high")
    ]
    assert gates.series[0].y == (0.0, 0.1, 0.2)


def test_many_analyses_are_downsampled(copy):
    examples.log(copy, *examples.analyses(50))
    lags, _ = blocks(report_of(copy, 0), Chart, "memory")
    names = [series.name for series in lags.series if series.group == "layer 1, h"]
    assert (len(names), names[0], names[-1]) == (12, "step 10", "step 500")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([{"event": "diverged", "step": 12, "loss": "nan", "grad_norm": "inf"}], "diverged: loss nan"),
        ([{"event": "warning", "step": 12, "text": "versions have changed"}], "versions have changed"),
        (
            [{"event": "analysis", "step": 12, "saturation": 3, "gradient_by_lag": {"l0.h": 1}}],
            "--analyse-every",
        ),
    ],
)
def test_warnings_and_divergence_are_shown(copy, events, message):
    examples.log(copy, *events)
    assert message in said(report_of(copy, 0))


def test_run_without_steps(copy):
    shutil.rmtree(copy / "checkpoints")
    lines = (copy / "log.jsonl").read_text().splitlines(keepends=True)
    (copy / "log.jsonl").write_text(lines[0])
    report = report_of(copy)
    assert "no step yet" in said(report)
    assert "no checkpoint yet" in said(report)
    assert report.tiles[0].detail == "of 12, not ended"


def test_missing_or_changed_text_is_reported(tmp_path):
    run = examples.train(tmp_path, steps=1)
    (tmp_path / "text.txt").write_text(examples.TEXT + "more")
    with pytest.warns(zoo.ZooWarning, match=r"Hidden units left out: the text .*text\.txt has changed since"):
        assert "changed since training" in said(report_of(run))
    (tmp_path / "text.txt").unlink()
    with pytest.warns(zoo.ZooWarning, match="Hidden units left out"):
        assert "Hidden units left out" in said(report_of(run))


def test_units_of_a_text_with_fewer_symbols_than_the_model(tmp_path):
    source = examples.train(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "text.txt").write_text(examples.TEXT[:40] * 8)
    run = zoo.train(
        tmp_path / "other" / "text.txt",
        init_from=source,
        hidden=8,
        batch=4,
        seq=8,
        steps=2,
        out=tmp_path / "new",
    )
    assert blocks(report_of(run.path), Units)


def test_unregistered_cell_is_reported(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "cell": "nobody"}))
    with pytest.warns(zoo.ZooWarning, match="unknown cell 'nobody'"):
        report = report_of(copy, 0)
    assert "The card of the cell left out: unknown cell 'nobody'" in said(report)
    assert blocks(report, Chart)
    with pytest.warns(zoo.ZooWarning) as caught:
        text = said(report_of(copy, 20))
    (warning,) = caught
    assert "Hidden units, the card of the cell left out: unknown cell 'nobody'" in str(warning.message)
    assert "Hidden units left out: unknown cell 'nobody'" in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nothing", "nothing: no such file or directory"),
        (lambda path: path, "holds neither a run .* nor a comparison .*; `zoo runs` lists both"),
        (lambda path: (path / "compare.json").write_text("{}") and path, "has no results yet"),
        (lambda path: (path / "a.txt").write_text("a") and path / "a.txt", "is a file"),
    ],
)
def test_path_without_a_run_is_an_error(tmp_path, make, message):
    with pytest.raises(zoo.UsageError, match=message):
        make_report(make(tmp_path))


def test_negative_length_is_an_error(run):
    with pytest.raises(zoo.UsageError, match="symbols is -1"):
        make_report(run, symbols=-1)


# Hidden units


def test_units_equal_the_states_of_the_model(run):
    (units,) = blocks(report_of(run), Units)
    (state,) = units.states
    model, start = zoo.load(run), examples.TEXT.index("".join(units.symbols))
    before = examples.TEXT[:start][-int(0.05 * len(examples.TEXT)) :]
    assert before.endswith("\n"), "the text begins with a line"
    levels = np.frombuffer(base64.b64decode(state.levels), np.int8).reshape(8, 60)
    held = levels / 127 * np.array(state.peaks)[:, None]
    assert state.numbers == tuple(range(8))
    read, bits = read_by_hand(model, examples.TEXT, units)
    assert np.abs(held - read).max() <= np.abs(read).max() / 127
    assert units.surprise == pytest.approx(bits, abs=0.006)


def read_by_hand(model, text, units):
    """States after each symbol and bits for each, by one call of the model over all that it read."""
    valid = model.vocab.encode(text)[len(text) * 9 // 10 :]
    shown = "".join(units.symbols)
    first = model.vocab.decode(valid).index(shown)
    stop = first + len(shown)
    with zoo.kernels.pure_python():
        states = [
            model.loss(valid[:n, None], valid[1 : n + 1, None])[1]["l0.h"][0]
            for n in range(first + 1, stop + 1)
        ]
        logits = model.logits(valid[: stop - 1, None])[0][first - 1 :, 0].astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.array(states).T, -np.log2(p[np.arange(len(shown)), valid[first:stop]])


def test_size_limit_drops_least_varying_units(run, monkeypatch):
    monkeypatch.setattr(activations, "MAX_BYTES", 3 * 60)
    (state,) = blocks(report_of(run), Units)[0].states
    assert len(state.numbers) == 3
    assert state.total == 8
    assert list(state.numbers) == sorted(state.numbers)


def test_text_features():
    text = ' ab "C"\n(1)'
    names, values = text_features(list(text))
    measured = {name: values.tolist() for name, values in measure_text(list(text)).items()}
    assert measured["position in the line"] == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]
    assert measured["position in the word"] == [0, 1, 2, 0, 0, 1, 0, 0, 0, 1, 0]
    assert measured["indentation"] == [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert measured["inside quotes"] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert measured["open brackets"] == [0] * 8 + [1, 1, 0]
    assert measured["end of the word"] == [0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert set(names) == set(measured)
    assert np.allclose(values.mean(axis=1), 0)
    assert np.allclose(values.std(axis=1), 1)


@given(st.lists(st.text('ab C1 \n"([])', max_size=4), min_size=1, max_size=12))
def test_text_features_of_symbols_of_several_characters(symbols):
    measured = measure_text(symbols)
    text, start = "".join(symbols), 0
    for index, symbol in enumerate(symbols):
        before, rest = text[: start + len(symbol)], text[start + len(symbol) :]
        line = before.rsplit("\n")[-1]
        word = re.search(r"[a-zA-Z0-9]*\Z", before)[0]
        depth = 0
        for char in before:
            depth = max(0, depth + (char in "([") - (char in ")]"))
        expected = {
            "position in the line": len(line),
            "position in the word": len(word),
            "indentation": len(line) - len(line.lstrip(" ")),
            "inside quotes": before.count('"') % 2,
            "open brackets": depth,
            "spaces in a row": len(before) - len(before.rstrip(" ")),
            "white space": before[-1:].isspace(),
            "end of the word": word != "" and not rest[:1].isalnum(),
            "capital letter": "C" in symbol,
            "vowel": "a" in symbol,
            "digit": "1" in symbol,
            "punctuation": any(char in symbol for char in '"([])'),
        }
        assert {name: values[index] for name, values in measured.items()} == expected
        start += len(symbol)


def test_best_feature_of_equal_units():
    names, values = text_features(list('one "two" three\nfour'))
    units = np.stack([-2 * values[names.index("inside quotes")] + 3, np.full(20, 0.5)])
    feature, r = best_feature(units, values)
    assert names[feature[0]] == "inside quotes"
    assert r[0] == pytest.approx(-1)
    assert feature[1] == -1, "a constant follows nothing"


def test_constant_text_has_no_features():
    names, values = text_features(["a"] * 5)
    assert "vowel" not in names
    assert best_feature(np.arange(5.0)[None], values[:0])[0].tolist() == [-1]


@pytest.mark.parametrize(
    ("task", "options", "first"),
    [
        ("copying", {"length": 2, "delay": 3}, r"[0-9]{6}\?[0-9]\?\n"),
    ],
)
def test_units_over_task_examples(tmp_path, task, options, first):
    sizes = {"hidden": 5, "batch": 4, "steps": 2, "eval_batches": 1}
    with zoo.kernels.pure_python():
        run = zoo.train(task=task, task_options=options, **sizes, out=tmp_path / "run").path
    report = report_of(run, 30)
    assert report.subtitle.endswith(f"trained on the task {task}")
    assert [chart.name for chart in blocks(report, Chart, "learning")] == ["score", "loss"]
    assert report.tiles[0].label == f"best {zoo.get_task(task).metric.replace('_', ' ')}"
    (units,) = blocks(report, Units)
    lines = "".join(units.symbols).splitlines(keepends=True)
    assert len(lines) == 30 // (len(units.symbols) // len(lines))
    assert re.fullmatch(first, lines[0])
    assert "step with a target" in units.features
    is_target = ["?" in symbol for symbol in units.symbols]
    assert [bits is not None for bits in units.surprise] == is_target


def test_units_over_numeric_inputs_of_a_task(tmp_path):
    sizes = {"hidden": 5, "batch": 4, "steps": 2, "eval_batches": 1}
    with zoo.kernels.pure_python():
        run = zoo.train(task="adding", task_options={"length": 4}, **sizes, out=tmp_path / "run").path
    (units,) = blocks(report_of(run, 30), Units)
    assert units.symbols == ()
    assert (units.length, units.starts) == (28, tuple(range(0, 28, 4)))
    batch = zoo.get_task("adding", length=4).batch(0, 7, 0, "valid")
    assert [trace.name for trace in units.traces] == ["input 1", "input 2"]
    for column, trace in enumerate(units.traces):
        assert trace.values == pytest.approx(batch.inputs[..., column].T.reshape(-1), rel=1e-3)
    assert units.answers == tuple(np.flatnonzero(batch.weights.T.reshape(-1) > 0))
    assert {"time", "input 1", "step with a target"} <= set(units.features)
    assert set(units.surprise) == {None}, "only classes have a cost"


def test_units_over_text_of_a_task(tmp_path):
    (tmp_path / "text.txt").write_text(examples.TEXT)
    options = {"data": str(tmp_path / "text.txt")}
    sizes = {"hidden": 5, "batch": 4, "steps": 1, "eval_batches": 1}
    with zoo.kernels.pure_python():
        run = zoo.train(task="text", task_options=options, **sizes, out=tmp_path / "run").path
    (units,) = blocks(report_of(run, 40), Units)
    assert "".join(units.symbols) in examples.TEXT
    assert "position in the word" in units.features


# Logs


@pytest.mark.parametrize("value", ["nan", "inf", math.nan, math.inf, None, True, "1"])
def test_values_that_are_not_finite_are_gaps(value):
    assert number(value) is None


def test_incomplete_events_are_ignored():
    events = (
        {"event": "step", "step": 1, "loss": 2},
        {"event": "step", "step": 2},
        {"event": "step", "loss": 1},
    )
    assert RunHistory(events).points("step", "loss") == ((1,), (2.0,))
    assert RunHistory(()).last("eval") == {}


def test_chart_of_penalties():
    steps = tuple(
        {"event": "step", "step": n, "lr": 0.1, **({"penalty": 0.5} if n > 1 else {})} for n in (1, 2)
    )
    assert [chart.name for chart in optimisation_charts(RunHistory(steps[:1]), 1.0)] == ["learning-rate"]
    assert [chart.name for chart in optimisation_charts(RunHistory(steps), 1.0)] == [
        "penalty",
        "learning-rate",
    ]


# A comparison


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return examples.compare(tmp_path_factory.mktemp("comparison"))


def test_comparison_report_has_all_sections(comparison):
    report = make_report(comparison)
    assert [section.name for section in report.sections] == [
        "overview",
        "task-copying",
        "task-adding",
        "made-with",
    ]
    overview, failed = blocks(report, Table, "overview")
    ranks = [row[2].value for row in overview.rows]
    assert ranks == sorted(ranks)
    assert {row[0].value for row in overview.rows} == set(examples.CELLS)
    assert failed.rows[-1][-1].value == examples.HOSTILE
    assert report.tiles[2].detail == "1 failed"
    assert "Say again." in said(report)
    (table,) = blocks(report, Table, "task-copying")
    legend, _, verdicts = table.note.partition(" Cells, by paired differences over the seeds: ")
    assert legend == (
        "accuracy, higher is better; without memory 0.1; solved at 0.99 (nobody, https://example.org)."
    )
    assert verdicts.startswith(f"{table.rows[0][0].value} has the best mean. ")


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """A comparison of three cells at two sizes, with three seeds, of which the last one failed."""
    folder = examples.compare(tmp_path_factory.mktemp("sizes"), examples.CELLS[:3], seeds=3)
    file = folder / "results.json"
    stored = json.loads(file.read_text())
    stored["plan"]["size"] = {"params": [400, 100]}
    for name in ("runs", "sweep"):
        stored[name] = [
            {**run, "size": size, "parameters": size + place % 7, "score": score and score * size / 400}
            for place, run in enumerate(stored[name])
            for size in (100, 400)
            for score in (run["score"],)
        ]
    runs = [RunRecord(**run) for run in stored["runs"]]
    stored["summary"], stored["overall"] = (
        [vars(row) for row in each(runs)] for each in (summarize, overall)
    )
    file.write_text(json.dumps(stored))
    return folder


def test_report_of_several_sizes_has_sections_for_each(sizes):
    report = make_report(sizes)
    each = [f"size-{size}-{name}" for size in (100, 400) for name in ("cells", "task-copying", "task-adding")]
    names = [section.name for section in report.sections]
    assert names == ["overview", "task-copying", "task-adding", *each, "made-with"]
    assert [section.title for section in report.sections][3:5] == [
        "All tasks, 100 params",
        "copying, 100 params",
    ]
    for kinds in ((Table,), (Chart, Intervals)):
        blocks_of_kinds = [block.name for kind in kinds for block in blocks(report, kind)]
        assert len(set(blocks_of_kinds)) == len(blocks_of_kinds)
    figures = [
        block.name
        for section in report.sections
        for block in section.blocks
        if isinstance(block, (Chart, Intervals))
        or (isinstance(block, Table) and sum(column.heat for column in block.columns) > 1)
    ]
    assert len(set(figures)) == len(figures), "each figure has a file of its own"
    tiles = {tile.label: (tile.value, tile.detail) for tile in report.tiles}
    assert tiles["sizes"] == ("2", "100 and 400 params")
    assert tiles["best mean rank"][1].endswith(" over the tasks, at 400 params")
    (table,) = (table for table in blocks(report, Table, "overview") if table.name == "cells-and-sizes")
    assert [column.label for column in table.columns] == ["cell", "scope", "100 params", "400 params"]


def test_scores_are_drawn_against_the_parameters_of_each_cell(sizes):
    results = zoo.Comparison(sizes)
    for task in results.tasks:
        (chart,) = blocks(make_report(sizes), Chart, f"task-{task}")
        assert (chart.x.label, chart.x.log, chart.name) == ("parameters", True, f"{task}-sizes")
        assert [series.slot for series in chart.series] == [0, 0, 1, 1, 2, 2], "the colours of other figures"
        for line, marks in zip(chart.series[::2], chart.series[1::2], strict=True):
            rows = [row for row in results.summary if (row.task, row.cell) == (task, line.name)]
            assert len(rows) == 2
            assert line.x == marks.x == tuple(row.parameters for row in rows)
            assert line.y == marks.y == tuple(row.mean for row in rows)
            ends = tuple(row.low for row in rows), tuple(row.high for row in rows)
            has_band = any(row.low is not None for row in rows)  # of three seeds, unless one has failed
            assert (line.low, line.high) == (ends if has_band else ((), ()))
            assert (line.marks, marks.marks) == (False, True)
            assert has_band == ((task, line.name) != ("adding", results.cells[-1]))
            assert marks.notes == tuple(f"H {row.hidden}, lr {row.lr}, 3 seeds" for row in rows)
    assert [reference.label for reference in chart.references] == ["without memory", "solved"]


def sizes_chart(scores, task, high):
    """The chart of a cell with scores by size; a run without a score has failed."""
    records = [
        record(task, "gru", seed, score, high, size=size, parameters=size, status=status)
        for size, seeds in scores.items()
        for seed, score in enumerate(seeds)
        for status in ("failed" if score is None else "finished",)
    ]
    (chart,) = size_chart(results_of(records, plan={**PLAN, "size": {"params": [*scores]}}), task)
    return chart


@pytest.mark.parametrize(
    ("spread", "end", "note"), [(1e-3, None, ""), (0.7, 0.0010100, "Bands are cut at 0.00101.")]
)
def test_band_on_a_logarithmic_axis_ends_at_a_tenth_of_the_lowest_mean(spread, end, note):
    """Errors of different magnitudes have a logarithmic axis, which has no 0."""
    chart = sizes_chart(
        {100: (0.9, 0.9 + spread, 0.9 - spread), 400: (0.01, 0.0101, 0.0102)}, "adding", high=False
    )
    line = chart.series[0]
    assert chart.y.log
    assert line.low[0] == (pytest.approx(end) if end else pytest.approx(0.9, abs=0.01))
    assert 0.0097 < line.low[1] < 0.0101 < line.high[1] < 0.0105, "the other ends are those of the interval"
    assert chart.note.endswith(note or "from three seeds on.")
    assert sizes_chart({100: (0.9,), 400: (0.01,)}, "adding", high=False).series[0].low == ()


@pytest.mark.parametrize(
    ("scores", "low", "high", "cut"),
    [
        ((0.1, 0.0, 0.5), 0, None, "0"),
        ((0.9, 1.0, 0.6), None, 1, "1"),
        ((0.0, 1.0, 0.5), 0, 1, "0 and 1"),
    ],
)
def test_bands_of_shares_are_cut_at_0_and_1(scores, low, high, cut):
    chart = sizes_chart({100: scores, 400: (0.5, 0.51, 0.5)}, "copying", high=True)
    line = chart.series[0]
    assert chart.note.endswith(f"Bands are cut at {cut}.")
    assert [line.low[0] == 0, line.high[0] == 1] == [low == 0, high == 1]
    assert 0.48 < line.low[1] < line.high[1] < 0.53


def test_size_without_a_score_is_a_gap():
    chart = sizes_chart({100: (0.5, 0.52, 0.51), 400: (None,), 900: (0.6, 0.62, 0.61)}, "copying", high=True)
    line, marks = chart.series
    assert (line.x, line.y) == ((100, 400, 900), (pytest.approx(0.51), None, pytest.approx(0.61)))
    assert [end is None for ends in (line.low, line.high) for end in ends] == [False, True, False] * 2
    assert (marks.x, marks.y, len(marks.notes)) == ((100, 900), (line.y[0], line.y[2]), 2)
    assert chart.note.endswith(
        "Runs that failed: 1 of 1 of gru on copying at 400 params. They have no score."
    )


def test_reference_cell_is_in_the_tables(comparison, tmp_path):
    """The report compares with the cell that the comparison has stored."""
    shutil.copytree(comparison, tmp_path / "compared")
    file = tmp_path / "compared" / "results.json"
    stored, runs = json.loads(file.read_text()), zoo.Comparison(comparison).runs
    reference = runs[0].cell
    stored["plan"]["reference"] = reference
    stored["summary"] = [vars(row) for row in summarize(runs, reference)]
    stored["overall"] = [vars(row) for row in overall(runs, reference)]
    file.write_text(json.dumps(stored))
    report = make_report(tmp_path / "compared")
    for section in ("overview", *(f"task-{task}" for task in examples.TASKS)):
        table = blocks(report, Table, section)[0]
        index = [column.label for column in table.columns].index("verdict")
        assert [row[0].value for row in table.rows if row[index].value == "reference"] == [reference]


def test_rates_have_one_point_each_and_a_mark_at_the_chosen_one():
    """The worse of two runs at a rate counts."""
    losses = {0.001: [3.0], 0.003: [1.0, 1.5], 0.01: [2.0]}
    swept = [
        record("copying", "gru", seed, 0.5, lr=rate, loss=loss, steps=20)
        for rate, seeds in losses.items()
        for seed, loss in enumerate(seeds)
    ]
    (row,) = summarize([record("copying", "gru", 0, 0.5, lr=0.003)])
    line, mark = _rates(SimpleNamespace(sweep=swept, summary=[row], cells=["gru"]), "copying", "loss")
    assert (line.x, line.y) == ((0.001, 0.003, 0.01), (3.0, 1.5, 2.0))
    assert (mark.x, mark.y, mark.marks, mark.name) == ((0.003,), (1.5,), True, "gru")


@pytest.mark.parametrize("task", examples.TASKS)
def test_best_mean_has_darkest_shade_and_rank_1(comparison, task):
    (table,) = blocks(make_report(comparison), Table, f"task-{task}")
    means = [row[5] for row in table.rows]
    values = [mean.value for mean in means]
    assert values == sorted(values, reverse=task == "copying")
    assert [row[-1].value for row in table.rows] == list(range(1, len(means) + 1))
    assert [means[0].shade, means[-1].shade] == [1.0, 0.0]
    assert {row[0].value: row[1].value for row in table.rows}.items() >= examples.SCOPES.items()


def test_seeds_are_points_and_bands(comparison):
    points, times, rates, curves = blocks(make_report(comparison), Chart, "task-copying")
    lines = {series.name: series for series in rates.series if not series.marks}
    assert {line.x for line in lines.values()} == {(0.001, 0.01)}, "one point for two runs at a rate"
    assert [len(series.x) for series in points.series] == [2] * len(examples.CELLS)
    assert [reference.label for reference in points.references] == ["without memory", "solved"]
    (mine,) = (series for series in curves.series if series.name == "lstm")
    seeds = [zoo.Run(comparison / f"runs/copying/lstm/only-s{seed}").history for seed in (0, 1)]
    scores = [[event["score"] for event in events if event["event"] == "eval"] for events in seeds]
    assert mine.y == pytest.approx(np.mean(scores, axis=0), rel=1e-4)
    assert mine.low == pytest.approx(np.min(scores, axis=0), rel=1e-4)
    assert mine.high == pytest.approx(np.max(scores, axis=0), rel=1e-4)
    assert all(low < mean < high for low, mean, high in zip(mine.low, mine.y, mine.high, strict=True))
    assert curves.note.startswith("A line is the mean over the seeds, and its band reaches from the lowest")
    slots = {series.name: series.slot for chart in (points, times) for series in chart.series}
    assert all(slots[series.name] == series.slot for series in curves.series), "one colour for a cell"


def test_mean_ranks_and_scores_have_intervals(tmp_path):
    comparison = examples.compare(tmp_path, seeds=3)
    results, report = zoo.Comparison(comparison), make_report(comparison)
    (ranks,) = blocks(report, Intervals, "overview")
    assert [(row.name, row.value, row.low, row.high) for row in ranks.rows] == [
        (row.cell, row.rank, row.low, row.high) for row in results.overall
    ]
    for task in results.tasks:
        (scores,) = blocks(report, Intervals, f"task-{task}")
        rows = {(row.name, row.value, row.low, row.high) for row in scores.rows}
        assert rows == {
            (row.cell, row.mean, row.low, row.high) for row in results.summary if row.task == task
        }
        assert all(row.low is None or row.low <= row.value <= row.high for row in scores.rows)
        values = [row.value for row in scores.rows]
        assert values == sorted(values, reverse=task == "copying"), "the best first"
        assert [reference.label for reference in scores.references] == ["without memory", "solved"]
        assert {row.name: row.slot for row in scores.rows} == {
            cell: n for n, cell in enumerate(results.cells)
        }


def test_one_seed_has_no_intervals(tmp_path):
    report = make_report(examples.compare(tmp_path, seeds=1))
    assert not [*blocks(report, Intervals, "overview"), *blocks(report, Intervals, "task-copying")]


@pytest.mark.filterwarnings("ignore:the curve of")
def test_comparison_charts_have_task_and_log_axis_and_skip_equal_sizes(comparison, tmp_path):
    results = json.loads((comparison / "results.json").read_text())
    runs = [run for run in results["runs"] if run["task"] == "copying"]
    for run in runs:
        run |= {"higher_is_better": False, "score": 0.009, "baseline": 0.1}
    runs[0]["parameters"] = round(1.2 * runs[1]["parameters"])
    for run in runs[1:]:
        run["parameters"] = runs[1]["parameters"]

    def charts():
        (tmp_path / "results.json").write_text(json.dumps(results))
        return list(blocks(make_report(tmp_path), Chart, "task-copying"))

    assert [chart.title for chart in charts()][:2] == [
        "copying: score against parameters",
        "copying: score against time",
    ]
    assert all(chart.y.log for chart in charts())
    runs[0] |= {"parameters": round(1.05 * runs[1]["parameters"])}
    for run in runs:
        run["score"] = 0.011
    (first, *_) = charts()
    assert first.title == "copying: score against time"
    assert not first.y.log


def test_comparison_report_needs_no_compiler(comparison):
    import subprocess
    import sys

    code = (
        f"import sys, zoo.report; zoo.report.make_report({str(comparison)!r}); print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "is not a results file of this version of zoo"),
        ({"runs": {}}, "runs is not a list"),
        ({"runs": []}, "without a single run"),
        ({"runs": [3]}, r"runs\[0\] is not an object"),
    ],
)
def test_damaged_results_are_errors(comparison, tmp_path, change, message):
    results = json.loads((comparison / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps({**results, **change}))
    with pytest.raises(zoo.CheckpointError, match=message):
        make_report(tmp_path)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("runs", {"task": 1}, r"runs\[0\]: task is 1; expected a text"),
        ("summary", {"rank": "x"}, r"summary\[0\]: rank is 'x'; expected a number"),
    ],
)
def test_damaged_field_of_results_is_an_error(comparison, tmp_path, section, change, message):
    results = json.loads((comparison / "results.json").read_text())
    results[section][0] |= change
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(zoo.CheckpointError, match=message):
        make_report(tmp_path)


def test_curves_show_the_loss_if_validations_have_another_metric(tmp_path):
    path = examples.compare(tmp_path, ("lstm", "gru"))
    for seed in range(2):
        log = path / f"runs/copying/lstm/only-s{seed}/log.jsonl"
        events = [json.loads(line) | {"metric": "mae", "loss": 0.25} for line in log.read_text().splitlines()]
        log.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (path / "runs/copying/gru").rename(path / "gru")
    curves = blocks(make_report(path), Chart, "task-copying")[-1]
    assert (curves.title, curves.y.label) == ("copying: loss by step", "validation loss")
    assert curves.references == ()
    assert {value for series in curves.series for value in series.y} == {0.25}
    (path / "gru").rename(path / "runs/copying/gru")
    curves = blocks(make_report(path), Chart, "task-copying")[-1]
    assert curves.title == "copying: score by step"
    assert {series.name for series in curves.series} == {"gru"}


def test_damaged_log_leaves_out_its_curve(tmp_path):
    path = examples.compare(tmp_path, ("lstm",))
    (path / "runs/copying/lstm/only-s0/log.jsonl").write_text("{\n")
    with pytest.warns(zoo.ZooWarning, match="copying/lstm/only-s0 is left out"):
        curves = blocks(make_report(path), Chart, "task-copying")[-1]
    assert [(series.thin, series.low) for series in curves.series] == [(False, ())]
    assert not curves.note


def test_seeds_that_ended_early_have_thin_lines(tmp_path):
    path = examples.compare(tmp_path, ("lstm",))
    log = path / "runs/copying/lstm/only-s0/log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    curves = blocks(make_report(path), Chart, "task-copying")[-1]
    assert [(series.thin, len(series.y), len(series.low)) for series in curves.series] == [
        (True, 4, 0), (True, 10, 0), (False, 4, 4),
    ]  # fmt: skip


# The page


def test_strings_cannot_end_the_script(comparison):
    page = html(make_report(comparison))
    assert page.count("</script") == 2
    assert examples.HOSTILE not in page
    assert json.dumps(examples.HOSTILE)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e") in page


def test_page_is_deterministic(run):
    assert html(report_of(run)) == html(report_of(run))


def test_every_asset_is_used():
    assets = Path(zoo.report.__file__).parent / "assets"
    assert {path.name for path in (assets / "js").iterdir()} == set(SCRIPTS)
    assert {path.name for path in assets.glob("*.css")} == set(STYLES)
    assert all("innerHTML" not in path.read_text(encoding="utf-8") for path in (assets / "js").iterdir())


def test_every_kind_of_block_has_a_renderer(run, comparison):
    drawn = Path(zoo.report.__file__).parent.joinpath("assets/js/blocks.js").read_text(encoding="utf-8")
    table = drawn[drawn.index("const BLOCKS") :]
    for report in (report_of(run), make_report(comparison)):
        kinds = {to_json(block)["kind"] for section in report.sections for block in section.blocks}
        assert all(f"  {kind}" in table for kind in kinds)


@given(
    st.sets(st.sampled_from(["label", "series", "time", "options", "horizon"]), min_size=1),
    st.text("abc", min_size=1),
)
def test_options_of_a_data_set_are_listed_by_name(names, value):
    """The column of the labels is an option called ``label``, as the label of an entry of a plan is."""
    options = dict.fromkeys(sorted(names), value)
    expected = ", ".join(f'{name} = "{value}"' for name in options)
    assert value_text(options) == expected
    entry = {"label": "walks", "name": "walks.csv", "options": options}
    assert value_text(entry) == f"walks = walks.csv ({expected})"
