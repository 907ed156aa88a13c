"""ONNX graphs of models of a table agree with ``zoo forecast`` and ``zoo predict``; their metadata."""

from __future__ import annotations

import json

import numpy as np
import pytest
from data_models import (
    CONTEXT,
    HORIZON,
    forecaster,
    labelled,
    predictor,
    raw_rows,
    rich_forecaster,
    rich_table,
    series_table,
    timed_table,
    with_future,
)

import zoo
from zoo.data import LabelledSequences
from zoo.errors import UsageError
from zoo.export.exported_model import exported_model

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from zoo.export.onnx_model import onnx_model  # noqa: E402


def session(trained, is_raw=True):
    """The graph, ready to run."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    proto = onnx_model(exported_model(trained), False, is_raw)
    used = {name for node in proto.graph.node for name in node.input}
    used |= {name for node in proto.graph.node for name in _read_by_subgraphs(node)}
    assert {each.name for each in proto.graph.initializer} <= used  # onnxruntime warns of the others
    return runtime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])


def _read_by_subgraphs(node):
    return [name for each in node.attribute for inner in each.g.node for name in inner.input]


def metadata(loaded):
    facts = loaded.get_modelmeta().custom_metadata_map
    return {name: json.loads(value) for name, value in facts.items() if value[:1] in "{["}


# ---- forecasts


def test_forecast_of_one_series():
    table = series_table()
    trained = forecaster(table)
    loaded = session(trained)
    assert [each.name for each in loaded.get_inputs()] == ["rows"]
    for count in (CONTEXT, CONTEXT + 1, 40):
        part = {"y": table["y"][:count]}
        (values,) = loaded.run(None, {"rows": part["y"][:, None, None]})
        with zoo.kernels.pure_python():
            np.testing.assert_allclose(values, trained.forecast(part).values, rtol=1e-7)


@pytest.mark.parametrize("missing", ["mask", "forward"])
def test_forecast_of_series_with_categories_and_known_future(missing):
    table, future, trained = rich_forecaster(missing)
    loaded, columns = session(trained), exported_model(trained).data.columns
    known = {name: columns[name] for name in trained.spec.roles.known_future}
    given = {
        "rows": np.stack([raw_rows(table, columns, np.arange(40) + first) for first in (0, 40)], axis=1),
        "future": np.stack(
            [raw_rows(future, known, np.arange(HORIZON) + first) for first in (0, HORIZON)], axis=1
        ),
        "series": np.array([0, 1]),
    }
    (values,) = loaded.run(None, given)
    with zoo.kernels.pure_python():
        np.testing.assert_allclose(values, trained.forecast(with_future(table, future)).values, rtol=1e-12)
    for name, value in (("rows", -np.inf), ("future", 1e101)):  # Python raises an error
        wrong = given[name].copy()
        wrong[1, 0, list(known if name == "future" else columns).index("warmth")] = value
        (others,) = loaded.run(None, {**given, name: wrong})
        assert np.isnan(others[0]).all()
        np.testing.assert_array_equal(others[1], values[1])


def test_uneven_times_reach_the_cell():
    table = series_table()
    hours = np.cumsum(np.random.default_rng(0).integers(1, 5, 40))
    table["time"] = np.datetime64("2024-01-01T00") + hours.astype("m8[h]")
    trained = forecaster(table, cell="ctrnn")
    steps = np.diff(hours, prepend=np.nan) * 3600
    loaded = session(trained)
    for count in (CONTEXT, 40):
        (values,) = loaded.run(None, {"rows": np.stack([table["y"], steps], axis=1)[:count, None]})
        with zoo.kernels.pure_python():
            expected = trained.forecast({name: column[:count] for name, column in table.items()}).values
        np.testing.assert_allclose(values, expected, rtol=1e-7)


def test_metadata_hold_columns_units_and_names():
    table, _ = rich_table()
    trained = forecaster(table, series="region", known_future=("holiday",), missing="mask")
    facts = metadata(session(trained, is_raw=False))
    assert facts["zoo.columns"] == {
        "y": [],
        "load": [],
        "colour": ["green", "red", "blue"],
        "price": [],
        "warmth": [],
        "holiday": ["yes", "no"],
    }
    assert len(facts["zoo.inputs"]) == trained.spec.input_size
    assert facts["zoo.inputs"][:4] == ["y change", "y", "load", "colour=green"]
    assert facts["zoo.inputs"][-2:] == ["holiday=yes +3", "holiday=no +3"]
    assert len(facts["zoo.outputs"]) == trained.spec.output_size
    assert facts["zoo.outputs"][:2] == ["y +1 q0.1", "y +1 q0.5"]
    assert facts["zoo.table"] == {
        "spec": json.loads(json.dumps(trained.spec.to_json())),
        "scaling": trained.scaling.to_json(),
        "interval": {
            "levels": [0.1, 0.5, 0.9],
            "offsets": trained.calibration.fixed_offsets(trained.spec).tolist(),
        },
    }
    assert facts["zoo.states"] == {"l0.h": "l0.h.next"}
    assert "zoo.states" not in metadata(session(trained))


# ---- labels of sequences


@pytest.mark.parametrize(
    ("classes", "settings"),
    [
        (True, {"pooling": "last", "missing": "mask"}),
        (True, {"pooling": "mean", "bidirectional": True}),
        (False, {"pooling": "last"}),
        (False, {"pooling": "mean", "missing": "mask"}),
    ],
)
def test_prediction_of_a_sequence(classes, settings):
    sequences, parts = labelled(classes, missing=settings.get("missing") == "mask")
    trained = predictor(sequences, **settings)
    loaded = session(trained)
    with zoo.kernels.pure_python():
        predictions = trained.predict(sequences)
    for number in range(4):
        values, *best = loaded.run(None, {"rows": parts[number][:, None]})
        expected = predictions.values[number]
        np.testing.assert_allclose(values[0], expected if classes else expected[0], rtol=1e-6)
        assert best == ([[expected.argmax()]] if classes else [])
    values, *best = loaded.run(None, {"rows": np.full((5, 1, 3), np.inf)})
    assert np.isnan(values).all()
    assert best == ([[-1]] if classes else [])
    facts = metadata(loaded)
    assert facts["zoo.outputs"] == (["down", "up"] if classes else ["label"])
    assert facts["zoo.sequences"]["spec"]["channels"] == ["0", "1", "2"]


@pytest.mark.parametrize("classes", [True, False])
def test_prediction_of_each_step(classes):
    sequences, parts = labelled(classes)
    trained = predictor(sequences, pooling="none")
    loaded = session(trained)
    with zoo.kernels.pure_python():
        predictions = trained.predict(sequences)
    expected = np.split(predictions.values, np.cumsum(predictions.lengths)[:-1])
    for number in range(4):
        values, *best = loaded.run(None, {"rows": parts[number][:, None]})
        whole = expected[number]
        np.testing.assert_allclose(values[:, 0], whole if classes else whole[:, 0], rtol=1e-6)
        assert [each[:, 0].tolist() for each in best] == ([whole.argmax(axis=1).tolist()] if classes else [])
    given = np.concatenate([parts[0][:3, None], np.full((3, 1, 3), np.inf)], axis=1)
    values, *best = loaded.run(None, {"rows": given})
    assert np.isnan(values[:, 1]).all()
    assert not np.isnan(values[:, 0]).any()
    assert [(each[:, 1] == -1).all() for each in best] == [True] * classes


@pytest.mark.parametrize("embedding", [None, 2])
def test_prediction_of_a_table_with_texts_and_times(embedding):
    table = timed_table()
    settings = {"series": "id", "label": "way", "time": "t", "embedding": embedding}
    trained = predictor(table, "ctrnn", **settings, dtype="float64")
    rows = raw_rows(table, exported_model(trained).data.columns, np.arange(100)).reshape(20, 5, 2)
    steps = np.broadcast_to(np.array([np.nan, 10, np.nan, 20, 10]), (20, 5))
    given = np.concatenate([rows, steps[..., None]], axis=2).transpose(1, 0, 2)
    values, _ = session(trained).run(None, {"rows": given})
    with zoo.kernels.pure_python():
        np.testing.assert_allclose(values, trained.predict(table).values, rtol=1e-12)


def test_times_of_arrays_reach_the_cell():
    rng = np.random.default_rng(4)
    parts, times = rng.normal(size=(8, 5, 2)), rng.integers(1, 5, (8, 5)).cumsum(axis=1) * 60.0
    sequences = LabelledSequences.from_arrays(list(parts), ["a", "b"] * 4, times=list(times))
    trained = predictor(sequences, "ctrnn", dtype="float64")
    steps = np.diff(times, axis=1, prepend=np.nan)
    given = np.concatenate([parts, steps[..., None]], axis=2).transpose(1, 0, 2)
    values, _ = session(trained).run(None, {"rows": given})
    with zoo.kernels.pure_python():
        np.testing.assert_allclose(values, trained.predict(sequences).values, rtol=1e-12)


def test_raw_graph_needs_a_table(tmp_path):
    model = zoo.SequenceModel("vanilla", 2, 2, hidden_size=3)
    with pytest.raises(UsageError, match="export: `raw` is for models of a table"):
        zoo.export.to_onnx(model, tmp_path / "m.onnx", raw=True)
    with pytest.raises(UsageError, match="export: `raw` reads a whole window: leave out `step`"):
        zoo.export.to_onnx(forecaster(series_table()), tmp_path / "m.onnx", raw=True, step=True)
    with pytest.raises(UsageError, match="a model of a table reads numbers; leave out tokens"):
        zoo.export.to_onnx(forecaster(series_table()), tmp_path / "m.onnx", tokens=True)
    assert not list(tmp_path.iterdir())
