"""Pages of runs on tables and labelled sequences: forecasts, residuals, calibration and hidden units."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.forecasting import Forecaster
from zoo.report import forecasts, make_report
from zoo.report.blocks import Chart, TextBlock, Units
from zoo.report.figures import draw_chart, draw_text
from zoo.report.page import html
from zoo.tables import Table

STEPS = 6


def report_of(run, symbols=40, data=None):
    with zoo.kernels.pure_python():
        return make_report(run, symbols=symbols, data=data)


def charts(report):
    return {
        block.name: block
        for section in report.sections
        for block in section.blocks
        if isinstance(block, Chart)
    }


def units_of(report):
    (units,) = [block for section in report.sections for block in section.blocks if isinstance(block, Units)]
    return units


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory with a table of two series, and with labelled sequences of different lengths."""
    path, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    steps = np.arange(120)
    rows = [
        (name, kind, round(float(value), 3), day)
        for name, size in (("a", 1), ("b", 3))
        for value, day, kind in zip(
            size * np.sin(steps / 3) + rng.normal(size=120) / 9,
            steps % 7,
            np.where(steps % 2, "x", "y"),
            strict=True,
        )
    ]
    _write(path / "load.csv", [("station", "kind", "load", "day"), *rows])
    recordings = [
        (f"r{number}", ("run", "walk")[number % 2], number / 9, *np.round(values, 3))
        for number in range(30)
        for values in rng.normal(size=(4 + number % 3, 2)) + number % 2
    ]
    _write(path / "walks.csv", [("id", "activity", "weight", "x", "y"), *recordings])
    return path


def _write(path: Path, rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def train(folder, name, **settings):
    sizes = {"hidden": 4, "batch": 4, "steps": STEPS, "threads": 1}
    with zoo.kernels.pure_python():
        return zoo.train(
            folder / name, out=folder / f"run-{len(list(folder.iterdir()))}", **sizes, **settings
        ).path


@pytest.fixture(scope="module")
def table(folder):
    """The run on the table and its report."""
    given = {"target": "load", "series": "station", "known_future": "day", "horizon": 3, "context": 5}
    run = train(folder, "load.csv", season=7, **given)
    return run, report_of(run)


@pytest.fixture(scope="module")
def sequences(folder):
    """The run on the sequences and its report."""
    run = train(folder, "walks.csv", label="activity", series="id", input="x,y")
    return run, report_of(run)


RUNS = {
    "load.csv": {
        "target": "load",
        "series": "station",
        "known_future": "day",
        "horizon": 3,
        "context": 5,
        "season": 7,
    },
    "walks.csv": {"label": "activity", "series": "id", "input": "x,y"},
    "text.txt": {},
}


@pytest.mark.parametrize("name", RUNS)
def test_data_may_be_moved_but_not_changed(folder, tmp_path, name):
    content = "\n".join(f"line {n} of a text" for n in range(120))
    text = (folder / name).read_text() if name != "text.txt" else content
    (tmp_path / name).write_text(text)
    run = train(tmp_path, name, **RUNS[name])
    before = html(report_of(run))
    moved = (tmp_path / name).rename(tmp_path / f"moved-{name}")

    with pytest.warns(zoo.ZooWarning) as caught:
        assert "Hidden units left out" in html(report_of(run))
    missing = (
        f"{tmp_path / name}, is missing: no such file or directory. Restore it, or name the file with `data"
    )
    assert all(missing in str(warning.message) for warning in caught)
    assert html(report_of(run, data=moved)) == before

    moved.write_text(text + text.splitlines()[-1] + "\n")
    with pytest.warns(zoo.ZooWarning, match=f"moved-{name} has changed since training"):
        assert "has changed since training" in html(report_of(run, data=moved))
    with pytest.raises(
        zoo.ZooError, match=r"nowhere, is missing: .* Give the path of the file that was moved\."
    ):
        report_of(run, data="nowhere")


def test_data_that_do_not_apply_are_errors(table, tmp_path):
    run, _ = table
    with pytest.raises(zoo.UsageError, match=r"data are 2 files; .* was trained on one"):
        report_of(run, data=["a.csv", "b.csv"])
    with zoo.kernels.pure_python():
        on_task = zoo.train(task="adding", hidden=2, steps=1, out=tmp_path / "task").path
    with pytest.raises(zoo.UsageError, match="on the task 'adding'; `data` does not apply to it"):
        report_of(on_task, data="a.csv")


def test_forecasts_have_an_interval(table):
    run, report = table
    forecast, naive, actual = charts(report)["forecast-load"].series
    assert (forecast.name, naive.name, actual.name) == ("forecast", "seasonal naive", "actual")
    with zoo.kernels.pure_python():
        days = zoo.backtest(run).forecast.columns()
    own = days["series"] == "b"
    for shown, column in ((forecast.low, "load_q0.1"), (forecast.y, "load"), (forecast.high, "load_q0.9")):
        assert shown == pytest.approx(days[column][own], rel=1e-4)
    assert "interval from 10% to 90%" in charts(report)["forecast-load"].title


def test_residuals_coverage_and_errors_by_step(table):
    run, report = table
    with zoo.kernels.pure_python():
        result = zoo.backtest(run, stride=1).forecast
    residuals = result.actual[..., 0] - result.values[:, :, 0, 1]
    own = np.array(result.series) == "b"
    over_time = {series.name: series for series in charts(report)["residuals-load"].series}
    assert over_time["1 step ahead"].y == pytest.approx(residuals[own, 0], rel=1e-4)
    assert over_time["3 steps ahead"].y == pytest.approx(residuals[own, 2], rel=1e-4)
    assert over_time["3 steps ahead"].x[0] == over_time["1 step ahead"].x[2], (
        "both at the step that is forecast"
    )
    model, naive, mean = charts(report)["error-by-step-load"].series
    assert model.y == pytest.approx(np.abs(residuals).mean(axis=0), rel=1e-4)
    assert mean.y == pytest.approx(residuals.mean(axis=0), rel=1e-4)
    assert naive.name == "seasonal naive"
    coverage = charts(report)["coverage-load"]
    inside = (result.actual[..., 0] >= result.values[:, :, 0, 0]) & (
        result.actual[..., 0] <= result.values[:, :, 0, 2]
    )
    assert coverage.series[0].y == pytest.approx(inside.mean(axis=0), rel=1e-4)
    assert [mark.y for mark in coverage.references] == [pytest.approx(0.8)]


def test_errors_are_those_of_all_windows_as_after_training(table):
    run, report = table
    test = zoo.Run(run).history[-1]["test"]
    (scores,) = test["targets"]
    blocks = [block for section in report.sections for block in section.blocks]
    (errors,) = (block for block in blocks if isinstance(block, Table) and block.name == "errors-load")
    assert errors.rows[0][1].value == scores["metrics"]["model"]["mae"]["value"]
    assert errors.title.startswith(f"Errors of load, test part, {test['windows']} windows")
    assert [charts(report)[name].y.label for name in ("loss", "speed")] == ["loss", "rows a second"]


def test_page_notes_a_missing_interval(table):
    forecaster = replace(Forecaster.load(table[0]), calibration=None)
    with zoo.kernels.pure_python():
        backtest, residuals = forecaster.backtest(), forecasts._Residuals.of(forecaster, "test")
    blocks = list(forecasts._blocks(forecaster, backtest, backtest.scores, residuals))
    texts = [block.text for block in blocks if isinstance(block, TextBlock)]
    assert any(text.startswith("Note: there is no interval: the model has no errors") for text in texts)
    assert "coverage-load" not in [block.name for block in blocks if isinstance(block, Chart)]


def test_autocorrelation_does_not_mix_series(table):
    run, report = table
    with zoo.kernels.pure_python():
        result = zoo.backtest(run, stride=1).forecast
    first = result.actual[:, 0, 0] - result.values[:, 0, 0, 1]
    first = (first - first.mean()).reshape(2, -1)
    (series,) = charts(report)["autocorrelation-load"].series
    expected = [(first[:, lag:] * first[:, :-lag]).sum() / (first**2).sum() for lag in (1, 2)]
    assert series.y[:2] == pytest.approx(expected, rel=1e-4)
    assert series.x[0] == 1
    low, high = sorted(mark.y for mark in charts(report)["autocorrelation-load"].references)
    assert (low, high) == pytest.approx((-1.96 / first.size**0.5, 1.96 / first.size**0.5))


def test_units_over_windows_have_names(table):
    units = units_of(table[1])
    names = [trace.name for trace in units.traces]
    assert names[:2] == ["change of load", "load"]
    assert {"day", "day, 1 ahead", "day, 3 ahead", "kind=x", "kind=y"} <= set(names)
    assert units.length == 10, "two windows of five steps fit into the test part"
    assert units.starts == (0, 5)
    assert units.title == "Hidden units over 2 windows of 5 steps, test part"
    kinds = dict(zip(names, (trace.values for trace in units.traces), strict=True))
    assert np.add(kinds["kind=x"], kinds["kind=y"]) == pytest.approx(np.ones(10)), "each step has one kind"


def test_calibration_counts_the_sequences_of_each_bin(sequences):
    run, report = sequences
    chart = charts(report)["calibration"]
    diagonal, model = chart.series
    assert (diagonal.x, diagonal.y) == ((0, 1), (0, 1))
    with zoo.kernels.pure_python():
        predictions = zoo.predict(run)
    assert min(predictions.values[:, 1]) <= min(model.x)
    assert max(model.x) <= max(predictions.values[:, 1])
    for low, share, high in zip(model.low, model.y, model.high, strict=True):
        assert 0 <= low <= share + 1e-9
        assert share <= high + 1e-9 <= 1 + 1e-6
    assert chart.x.label == "predicted probability of 'walk'"
    assert "expected calibration error" in chart.note


def test_units_over_sequences_end_with_the_label(sequences):
    units = units_of(sequences[1])
    assert [trace.name for trace in units.traces] == ["x", "y"]
    ends = (*units.starts[1:], units.length)
    assert units.answers == tuple(end - 1 for end in ends)
    assert {end - start for start, end in zip(units.starts, ends, strict=True)} <= {4, 5, 6}
    assert [place for place, bits in enumerate(units.surprise) if bits is not None] == list(units.answers)


def test_numbers_as_labels_are_a_scatter(folder):
    run = train(folder, "walks.csv", label="weight", series="id", input="x,y", loss="squared_error")
    report = report_of(run, 0)
    equal, points = charts(report)["predicted"].series
    assert points.marks
    assert equal.x == equal.y
    assert equal.x[0] <= min(points.x) <= max(points.x) <= equal.x[1]
    assert "calibration" not in charts(report)


def test_bidirectional_models_have_no_units(folder):
    run = train(folder, "walks.csv", label="activity", series="id", bidirectional=True)
    texts = [
        block.text
        for section in report_of(run).sections
        for block in section.blocks
        if isinstance(block, TextBlock)
    ]
    assert any("bidirectional" in text for text in texts)


def test_pages_and_figures_show_intervals_and_inputs(table, sequences):
    pytest.importorskip("matplotlib")
    for _, report in (table, sequences):
        assert '"traces":[{"name":' in html(report)
    name, figure = next(draw_text(units_of(table[1])))
    assert name.startswith("unit-l0.h-")
    assert [axes.get_ylabel() for axes in figure.axes][:3] == ["unit", "change of load", "load"]
    (axes,) = draw_chart(charts(sequences[1])["calibration"]).axes
    assert len(axes.collections) == 1, "the interval is an area"


def test_figure_of_a_unit_has_one_line_with_gaps_between_sequences(sequences):
    pytest.importorskip("matplotlib")
    units = units_of(sequences[1])
    _, figure = next(draw_text(units))
    gaps = np.array(units.starts[1:])
    assert gaps.size
    for axes in figure.axes:
        (line,), (marks,) = axes.lines, axes.collections
        np.testing.assert_array_equal(line.get_xdata()[np.isnan(line.get_ydata())], gaps - 0.5)
        assert len(line.get_xdata()) == units.length + gaps.size
        np.testing.assert_array_equal([x for (x, _), _ in marks.get_segments()], gaps - 0.5)
