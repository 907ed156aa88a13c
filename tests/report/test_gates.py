"""Gates over time: in the report of a run, and as figures from traces."""

from __future__ import annotations

import base64
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import report_fixtures as examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import zoo
from zoo.report import activations, figures, gates, make_report, write_figures
from zoo.report.activations import NumericExamples, read_numeric, unit_blocks
from zoo.report.blocks import Chart, PageSection, ReportPage, StateUnits, Trace, Units
from zoo.report.gate_figures import gate_label, merge_equal

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")

LABELS = {
    "vanilla": [],
    "lstm": ["input gate", "forget gate", "output gate"],
    "gru": ["input gate", "forget gate = update gate", "reset gate"],
}
GATED = [cell for cell, labels in LABELS.items() if labels]


@pytest.fixture(scope="module", params=LABELS)
def run(request, tmp_path_factory):
    """The name of a cell, and a run of it on a text with two layers."""
    path = tmp_path_factory.mktemp("gates")
    return request.param, examples.train(path, cell=request.param, layers=2, steps=2)


def report_of(path, symbols=60):
    with zoo.kernels.pure_python():
        return make_report(path, symbols=symbols)


def blocks_of(report):
    """The block of units, the chart of means and the block of gates; the last two may be missing."""
    (section,) = (section for section in report.sections if section.name == "hidden-units")
    return section.blocks


def values_of(block, state):
    levels = np.frombuffer(base64.b64decode(state.levels), np.int8).reshape(-1, block.length)
    return levels / 127 * np.array(state.peaks)[:, None]


def test_report_has_the_gates_that_the_cell_declares(run):
    cell, path = run
    units, *more = blocks_of(report_of(path))
    assert units.name == "units"
    if not LABELS[cell]:
        assert not more, "a cell without gates has no blocks of gates, and no error"
        return
    chart, block = more
    assert isinstance(chart, Chart)
    assert isinstance(block, Units)
    both = [f"layer {layer}, {label}" for layer in (1, 2) for label in LABELS[cell]]
    assert [state.label for state in block.states] == both
    assert [f"{series.group}, {series.name}" for series in chart.series] == both
    assert block.symbols == units.symbols
    assert block.gates
    assert not units.gates


@pytest.mark.parametrize("run", GATED, indirect=True)
def test_gates_of_a_report_equal_one_trace_of_the_text(run, monkeypatch):
    _, path = run
    monkeypatch.setattr(activations, "_STEPS", 17)  # so that states pass from part to part
    _, chart, block = blocks_of(report_of(path))
    model, shown = zoo.load(path), "".join(block.symbols)
    valid = examples.TEXT[len(examples.TEXT) * 9 // 10 :]
    with zoo.kernels.pure_python():
        traces = zoo.analysis.gate_traces(model, valid[: valid.index(shown) + len(shown)])
    for state, series in zip(block.states, chart.series, strict=True):
        expected = traces[state.name.partition(" = ")[0]][-len(shown) :, 0].T
        assert values_of(block, state) == pytest.approx(expected[list(state.numbers)], abs=0.5 / 127 + 1e-6)
        assert series.y == pytest.approx(expected.mean(axis=0), rel=6e-3)
        assert min(state.peaks) >= 1, "full colour is an open gate"


def test_states_and_costs_equal_a_run_of_single_steps(run, monkeypatch):
    _, path = run
    monkeypatch.setattr(activations, "_STEPS", 17)
    model = zoo.load(path)
    tokens = model.vocab.encode(examples.TEXT)[:60]
    with zoo.kernels.pure_python():
        seen = activations.read_text(model, model.vocab, tokens, 60, "test")
        state, states, bits = None, [], []
        for token in tokens:
            logits, state = model.outputs(np.array([[token]]), state=state)
            states.append(state)
            bits.append(activations._bits(logits[0], tokens[len(states) % 60][None])[0])
    shown = len(seen.symbols)
    assert [*seen.states] == [*state]
    for name, values in seen.states.items():
        expected = np.stack([each[name][0] for each in states])[-shown:].T
        np.testing.assert_allclose(values, expected, atol=1e-6)
    np.testing.assert_allclose(seen.surprise[1:], bits[-shown:-1], atol=0.011)


@needs_matplotlib
@pytest.mark.parametrize("run", GATED, indirect=True)
def test_figure_of_a_layer_has_a_heat_map_of_each_gate(run, tmp_path):
    cell, path = run
    block = blocks_of(report_of(path, 40))[2]
    names, layers = zip(*figures._block_gates(block), strict=True)
    assert names == ("gates-layer 1", "gates-layer 2")
    for figure, states in zip(layers, np.split(np.array(block.states), 2), strict=True):
        rows, maps = panels(figure)
        assert rows == ["mean", *LABELS[cell]]
        figure.canvas.draw()
        title, legend = (each.get_window_extent() for each in (figure._suptitle, figure.axes[0].get_legend()))
        assert title.y0 >= legend.y1, "the title is above the legend"
        for label, state in zip(LABELS[cell], states, strict=True):
            np.testing.assert_allclose(maps[label], values_of(block, state), rtol=1e-12)
    if cell == "gru":
        first = replace(block, states=block.states[:3])
        report = ReportPage("r", "", (), (PageSection("s", "S", (first,)),))
        (one,), (other,) = (write_figures(report, tmp_path / name, "svg") for name in "ab")
        assert one.name == "gates-layer-1.svg"
        assert one.read_bytes() == other.read_bytes(), "the same figure gives the same bytes"


def example(starts, length, names=("x",)):
    """A block of a gate over numeric inputs."""
    levels = base64.b64encode(bytes(range(length))).decode()
    state = StateUnits("l0.f", "layer 1, f", (7,), 9, (1.0,), (0.1,), levels, (-1,), (0.0,))
    traces = tuple(Trace(name, tuple(map(float, range(length)))) for name in names)
    return Units("gates", "", (), (None,) * length, (state,), (), traces=traces, starts=starts, gates=True)


@needs_matplotlib
@pytest.mark.parametrize(
    ("starts", "length", "steps"),
    [((0,), 5, 5), ((0, 3), 5, 5), ((0, 30, 60), 90, 60), ((0, 70), 120, 64), ((0,), 120, 64)],
)
def test_figure_shows_whole_examples_if_one_fits(starts, length, steps, monkeypatch):
    monkeypatch.setattr(figures, "_MAX_STEPS", 64)
    ((_, figure),) = figures._block_gates(example(starts, length))
    rows, maps = panels(figure)
    assert rows == ["x", "mean", "f"]
    assert maps["f"].shape == (1, steps)
    begins = [start - 0.5 for start in starts[1:] if start < steps]
    for axes in figure.axes[:3]:
        assert [x for (x, _), _ in axes.collections[0].get_segments()] == begins
    line = figure.axes[0].lines[0]
    gaps = [x for x, y in zip(*line.get_data(), strict=True) if np.isnan(y)]
    assert gaps == begins
    assert line.get_drawstyle() == "steps-mid", "an input has the width of its step, as in the maps"
    assert [tick.get_text() for tick in figure.axes[2].get_yticklabels()] == ["unit 7"]


def test_gates_over_numeric_examples_leave_out_padding():
    model = zoo.SequenceModel("gru", 2, 2, 4, loss="cross_entropy")
    inputs, lengths = np.random.default_rng(0).normal(size=(6, 3, 2)), np.array([4, 6, 1])
    with zoo.kernels.pure_python():
        result = read_numeric(model, NumericExamples("three", ("a", "b"), inputs, lengths))
        alone = [
            zoo.analysis.gate_traces(model, inputs[:length, row : row + 1])["l0.reset_gate"][:, 0]
            for row, length in enumerate(lengths)
        ]
    np.testing.assert_allclose(result.gates["l0.reset_gate"], np.concatenate(alone).T, rtol=1e-5)
    units, chart, block = unit_blocks(result)
    assert block.starts == units.starts == (0, 4, 10)
    assert [x for x, y in zip(chart.series[0].x, chart.series[0].y, strict=True) if y is None] == [3.5, 9.5]
    assert block.traces == units.traces


def test_gates_over_examples_of_tokens(tmp_path):
    with zoo.kernels.pure_python():
        settings = {"task_options": {"length": 2, "delay": 3}, "hidden": 5, "batch": 4, "eval_batches": 1}
        run = zoo.train(task="copying", cell="gru", steps=1, out=tmp_path / "run", **settings)
    units, _, block = blocks_of(report_of(run.path, 20))
    assert block.symbols == units.symbols
    assert values_of(block, block.states[0]).shape == (5, len(units.symbols))


def test_chart_of_means_has_gaps_and_a_limit():
    values = {"l0.forget_gate": np.linspace(0, 1, 3000).reshape(2, 1500)}
    chart = gates.means_chart(values, (0, 3, 7), "examples", "step")
    (series,) = chart.series
    assert [x for x, y in zip(series.x, series.y, strict=True) if y is None] == [2.5, 6.5]
    assert len(series.x) == gates.MAX_CHART_STEPS + 2
    assert "the first 1,000 steps" in chart.title
    short = gates.means_chart({"l0.forget_gate": np.ones((2, 5))}, (0,), "examples", "step")
    assert short.title == "Means of the gates over examples"


@pytest.mark.parametrize(("scale", "ends"), [(0.5, (0, 1)), (3.0, (0, 3)), (-2.0, (-2, 1))])
def test_chart_of_means_has_the_range_of_a_gate_or_a_wider_one(scale, ends):
    chart = gates.means_chart({"l0.input_gate": np.array([[0.0, scale]])}, (0,), "examples", "step")
    assert (chart.y.low, chart.y.high) == ends


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_page_of_a_model_with_a_gate_that_is_not_finite(value, tmp_path):
    model = zoo.SequenceModel("gru", 2, 2, 4, loss="cross_entropy")
    inputs = np.random.default_rng(0).normal(size=(5, 2, 2))
    with zoo.kernels.pure_python():
        result = read_numeric(model, NumericExamples("two", ("a", "b"), inputs, np.array([5, 3])))
    gates_of_run = {name: values.copy() for name, values in result.gates.items()}
    gates_of_run["l0.reset_gate"][1, 2] = value
    states = {name: np.where(np.arange(8) == 2, value, values) for name, values in result.states.items()}
    _, chart, block = blocks = list(unit_blocks(replace(result, gates=gates_of_run, states=states)))
    page = zoo.report.write_page(
        ReportPage("r", "", (), (PageSection("s", "S", tuple(blocks)),)), tmp_path / "r.html"
    )
    assert "NaN" not in page.read_text(encoding="utf-8")
    series = next(series for series in chart.series if series.name == "reset gate")
    assert [x for x, y in zip(series.x, series.y, strict=True) if y is None] == [2, 4.5]
    assert (chart.y.low, chart.y.high) == (0, 1)
    state = next(state for state in block.states if state.name == "l0.reset_gate")
    assert values_of(block, state)[1, 2] == 0


def test_equal_gates_of_one_layer_are_joined():
    one, other = np.ones((2, 3)), np.zeros((2, 3))
    merged = merge_equal(
        {"l0.forget_gate": one, "l0.input_gate": other, "l0.update_gate": one, "l1.update_gate": one}
    )
    assert list(merged) == ["l0.forget_gate = update_gate", "l0.input_gate", "l1.update_gate"]
    assert [gate_label(name) for name in merged][:1] == ["layer 1, forget gate = update gate"]


# Figures from traces


def panels(figure):
    """The names of the rows, and the arrays of the heat maps by name."""
    rows = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    names = [axes.get_ylabel().replace("\n", " ") for axes in rows]
    images = ((name, image) for name, axes in zip(names, rows, strict=True) for image in axes.images)
    return names, {name: np.asarray(image.get_array()) for name, image in images}


SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)


@needs_matplotlib
@settings(deadline=None, max_examples=8)
@given(values=arrays.arrays("float32", SHAPES, elements=st.floats(0, 1, width=32)), data=st.data())
def test_heat_map_has_the_values_of_one_sequence(values, data):
    steps, batch = values.shape[:2]
    row = data.draw(st.integers(0, batch - 1))
    line = np.arange(steps)
    figure = zoo.report.draw_gates(
        {"l0.forget_gate": values, "l0.reset_gate": values / 2 + 0.5}, sequence=row, lines={"$a": line}
    )
    names, maps = panels(figure)
    same = np.array_equal(values, values / 2 + 0.5)
    gates_drawn = ["forget gate = reset gate"] if same else ["forget gate", "reset gate"]
    assert names == [r"\$a", "mean", *gates_drawn]
    expected = values[:, row].reshape(steps, -1).T
    np.testing.assert_array_equal(maps[gates_drawn[0]], expected.astype(float))
    drawn, mean = (axes.lines[0].get_ydata() for axes in figure.axes[:2])
    np.testing.assert_array_equal(drawn, line)
    np.testing.assert_allclose(mean, expected.mean(axis=0), rtol=1e-5, atol=1e-7)


@needs_matplotlib
@pytest.mark.parametrize(
    ("values", "ends", "texts"),
    [
        ((0.2, 0.9), (0, 1), ["0, closed", "1, open"]),
        ((0.0, 3.0), (0, 3), ["0", "3"]),
        ((-0.5, 0.5), (-1, 1), ["-1", "0", "1"]),
        ((-6.5, 0), (-6.5, 6.5), ["-6.5", "0", "6.5"]),
    ],
)
def test_each_map_has_a_scale_from_closed_to_open_or_wider(values, ends, texts):
    candidate = np.array(values)[:, None, None]
    figure = zoo.report.draw_gates({"candidate": candidate, "forget_gate": np.full((2, 1, 3), 0.5)})
    mean, *maps = figure.axes[:3]
    assert mean.get_ylim() == (min(0, *values), max(1, *values)), "the row of means has the range of means"
    both = [(ends, texts), ((0, 1), ["0, closed", "1, open"])]
    for axes, bar, (limits, labels) in zip(maps, figure.axes[3:], both, strict=True):
        assert axes.images[0].get_clim() == (-limits[1], limits[1]), "white is zero"
        assert bar.get_ylim() == limits, "the scale shows the values that occur"
        assert [tick.get_text() for tick in bar.get_yticklabels()] == labels
        assert axes.get_yticklabels()[0].get_text() == "unit 0"


@needs_matplotlib
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("names", [("forget_gate",), ("forget_gate", "update_gate", "input_gate")])
def test_rows_with_long_names_are_wide(layers, names):
    equal = [np.full((4, 1, 2), 0.1 * layer) for layer in range(layers)]
    figure = zoo.report.draw_gates({f"l{n}.{name}": equal[n] for n in range(layers) for name in names})
    figure.canvas.draw()  # a warning, which is an error, if the layout fails
    assert figure.axes[0].get_position().width > 0.5
    assert figure.axes[0].get_legend().get_window_extent().x1 <= figure.bbox.x1


@needs_matplotlib
@pytest.mark.parametrize("steps", [1, figures._MAX_SYMBOLS, figures._MAX_SYMBOLS + 1])
def test_symbols_are_below_the_last_map_if_they_fit(steps):
    symbols = ["$", "\n", *"a" * steps][:steps]
    figure = zoo.report.draw_gates({"l0.f": np.ones((steps, 1, 2))}, symbols=symbols)
    bottom = figure.axes[1]
    if steps > figures._MAX_SYMBOLS:
        assert bottom.get_xlabel() == "step"
    else:
        assert [text.get_text() for text in bottom.texts] == ["$", "↵", *"a" * steps][:steps]
    figure.canvas.draw()


GOOD = np.full((4, 2, 3), 0.5)


@pytest.mark.parametrize(
    ("traces", "given", "message"),
    [
        ({}, {}, r"traces are empty; expected at least one gate"),
        ([GOOD], {}, r"traces is .*; expected a mapping"),
        ({"f": GOOD[0, 0]}, {}, r"traces\['f'\] has shape \(3,\); expected \(T, B, ...\)"),
        ({"f": GOOD[:0]}, {}, r"traces\['f'\] has shape \(0, 2, 3\)"),
        ({"f": GOOD, "g": GOOD[:3]}, {}, r"traces\['g'\] has shape \(3, 2, 3\); expected \(4, 2, ...\)"),
        ({"f": GOOD * np.nan}, {}, r"traces\['f'\] is .*; expected .* finite real numbers"),
        ({"f": GOOD * 1j}, {}, r"finite real numbers"),
        ({"f": [[1], [1, 2]]}, {}, r"different lengths"),
        ({"f": GOOD}, {"sequence": 2}, r"sequence is 2; expected an integer from 0 to 1"),
        ({"f": GOOD}, {"sequence": 0.0}, r"sequence is 0.0; expected an integer"),
        ({"f": GOOD}, {"symbols": "abc"}, r"symbols are 'abc'; expected 4 strings"),
        ({"f": GOOD}, {"symbols": [1, 2, 3, 4]}, r"symbols are .*; expected 4 strings"),
        ({"f": GOOD}, {"symbols": 4}, r"symbols is 4; expected 4 strings"),
        ({"f": GOOD}, {"lines": {"x": GOOD}}, r"lines\['x'\] has shape \(4, 2, 3\); expected \(4,\)"),
        ({"f": GOOD}, {"lines": [1, 2, 3, 4]}, r"lines is .*; expected a mapping"),
    ],
)
def test_invalid_arguments_are_errors(traces, given, message):
    with pytest.raises(zoo.UsageError, match=rf"^draw_gates: .*{message}"):
        zoo.report.draw_gates(traces, **given)


def test_missing_matplotlib_is_an_error(monkeypatch):
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(zoo.UsageError, match=r"^draw_gates: figures need matplotlib; .*\[report\]"):
        zoo.report.draw_gates({"f": GOOD})
