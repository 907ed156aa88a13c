"""C functions that read rows of a table agree with ``zoo forecast`` and ``zoo predict``."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace

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
from zoo.errors import ZooWarning
from zoo.export.exported_model import exported_model

CC = shutil.which("cc")
pytestmark = pytest.mark.skipif(CC is None, reason="there is no C compiler")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1")


class Machine:
    """An exported model as a shared library."""

    def __init__(self, trained, folder, *flags):
        self.files = zoo.export.to_c(trained, folder / "model.c")
        command = [CC, *STRICT, *flags, "model.c", "-shared", "-fPIC", "-o", "model.so", "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        self.library = ctypes.CDLL(str(folder / "model.so"))
        self.raw = np.float32 if any("RAW=float" in flag for flag in flags) else np.float64
        self.data = exported_model(trained).data

    def constant(self, name):
        """The value of a constant in an enum or a macro."""
        text = self.files.header.read_text()
        block = next(
            each
            for each in re.findall(r"enum \{(.*?)\}", text, re.DOTALL)
            if f"MODEL_{name}\n" in each.replace(",", "")
        )
        return re.findall(r"\w+", block).index(f"MODEL_{name}")

    def scaling(self, number):
        """The address of the units of a series."""
        spec = self.data.spec
        elements = 2 * len(spec.numeric) + 2 * len(spec.roles.target)
        address = ctypes.addressof(ctypes.c_char.in_dll(self.library, "model_scalings"))
        return ctypes.c_void_p(address + number * elements * np.dtype(self.raw).itemsize)

    def forecast(self, rows, future=None, series=0):
        """The result of ``predict_raw`` and the forecast."""
        spec = self.data.spec
        shape = HORIZON, len(spec.roles.target), max(1, len(self.data.levels))
        forecast, rows = np.full(shape, np.nan, self.raw), rows.astype(self.raw)
        ahead = [] if future is None else [pointer(future.astype(self.raw))]
        result = self.library.model_predict_raw(
            self.scaling(series), pointer(rows), ctypes.c_size_t(len(rows)), *ahead, pointer(forecast)
        )
        return result, forecast

    def predict(self, rows):
        """The result of ``predict_raw`` and the probabilities, or the label, of steps ``(T, V)``."""
        size = len(self.data.spec.output_names)
        shape = (len(rows), size) if self.data.spec.is_stepwise else size
        values, rows = np.full(shape, np.nan, self.raw), rows.astype(self.raw)
        sizes = self.files.sizes
        work = [np.full(sizes["work"] * len(rows) // 8 + 1, np.nan)] if "work" in sizes else []
        given = pointer(rows), ctypes.c_size_t(len(rows)), *map(pointer, [*work, values])
        result = self.library.model_predict_raw(*given)
        assert all(np.isnan(each[-1]) for each in work)  # nothing is written after the end
        return result, values


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def expected_forecast(trained, table):
    with zoo.kernels.pure_python():
        return trained.forecast(table).values


# ---- forecasts


@pytest.mark.parametrize(("flags", "tolerance"), [((), 1e-7), (("-DMODEL_RAW=float",), 1e-6)])
def test_forecast_of_one_series(flags, tolerance, tmp_path):
    table = series_table()
    trained = forecaster(table)
    machine = Machine(trained, tmp_path, *flags)
    for count in (CONTEXT, CONTEXT + 1, 40):
        part = {"y": table["y"][:count]}
        result, values = machine.forecast(part["y"][:, None])
        assert result == 0
        np.testing.assert_allclose(values, expected_forecast(trained, part)[0], rtol=tolerance)
    points = values[..., 1]
    longer = machine.forecast(np.concatenate([table["y"][:, None], points]))[1][..., 1]
    with zoo.kernels.pure_python():
        expected = trained.forecast(table, steps=2 * HORIZON).values[0, ..., 1]
    np.testing.assert_allclose(np.concatenate([points, longer]), expected, rtol=tolerance)
    assert (np.diff(values, axis=2) >= 0).all()


def test_forecast_without_an_interval(tmp_path):
    trained = replace(forecaster(series_table()), calibration=None)
    with zoo.kernels.pure_python(), pytest.warns(ZooWarning, match="there is no interval"):
        expected = trained.forecast(series_table()).values[0]
    result, values = Machine(trained, tmp_path).forecast(series_table()["y"][:, None])
    assert (result, values.shape) == (0, (HORIZON, 1, 1))
    np.testing.assert_allclose(values, expected, rtol=1e-7)


@pytest.mark.parametrize("missing", ["mask", "forward"])
def test_forecast_of_series_with_categories_and_known_future(missing, tmp_path):
    table, future, trained = rich_forecaster(missing)
    machine = Machine(trained, tmp_path)
    values = expected_forecast(trained, with_future(table, future))
    known = {name: machine.data.columns[name] for name in trained.spec.roles.known_future}
    for series in range(2):
        rows = raw_rows(table, machine.data.columns, np.arange(40) + 40 * series)
        ahead = raw_rows(future, known, np.arange(HORIZON) + HORIZON * series)
        result, made = machine.forecast(rows, ahead, series)
        assert result == 0
        np.testing.assert_allclose(made, values[series], rtol=1e-12)
    assert machine.constant("COLUMN_COLOUR") == list(machine.data.columns).index("colour")
    assert machine.constant("VALUE_COLOUR_RED") == trained.spec.categories["colour"].index("red")
    assert machine.constant("SERIES_SUD") == 1
    assert machine.constant("FUTURE_WARMTH") == 1
    names = (ctypes.c_char_p * 2).in_dll(machine.library, "model_series_names")
    assert [name.decode() for name in names] == ["north", "süd"]


def test_uneven_times_reach_the_cell(tmp_path):
    table = series_table()
    hours = np.cumsum(np.random.default_rng(0).integers(1, 5, 40))
    table["time"] = np.datetime64("2024-01-01T00") + hours.astype("m8[h]")
    trained = forecaster(table, cell="ctrnn")
    machine = Machine(trained, tmp_path)
    rows = np.stack([table["y"], np.diff(hours, prepend=0) * 3600.0], axis=1)
    rows[0, 1] = np.nan  # not read
    result, values = machine.forecast(rows)
    assert result == 0
    np.testing.assert_allclose(values, expected_forecast(trained, table)[0], rtol=1e-7)
    rows[20, 1] = 0
    assert machine.forecast(rows)[0] == -1


def test_rows_one_by_one_give_the_forecast_of_a_window(tmp_path):
    """A stream of CONTEXT rows is a table of so many rows."""
    table = series_table(CONTEXT)
    trained = forecaster(series_table())
    machine = Machine(trained, tmp_path)
    stream = np.full(1000, np.nan)
    machine.library.model_start(pointer(stream), machine.scaling(0))
    forecast, invalid = np.full((HORIZON, 1, 3), np.nan), np.array([np.inf])
    for value in table["y"]:
        assert machine.library.model_step_raw(pointer(stream), pointer(invalid), pointer(forecast)) == -1
        row = np.array([value])
        assert machine.library.model_step_raw(pointer(stream), pointer(row), pointer(forecast)) == 0
    np.testing.assert_allclose(forecast, expected_forecast(trained, table)[0], rtol=1e-7)


def test_rows_that_python_rejects_give_minus_one(tmp_path):
    table, _ = rich_table()
    trained = forecaster(table, ("y",), series="region", known_future=("holiday",), missing="mask")
    machine = Machine(trained, tmp_path)
    rows = raw_rows(table, machine.data.columns, np.arange(40))
    ahead = np.zeros((HORIZON, 1))
    assert machine.forecast(rows, ahead)[0] == 0
    assert machine.forecast(rows[: CONTEXT - 1], ahead)[0] == -1
    for column, value in (("y", np.inf), ("y", -1e101), ("colour", 3), ("colour", -1), ("colour", 0.5)):
        wrong = rows.copy()
        wrong[7, machine.constant(f"COLUMN_{column.upper()}")] = value
        assert machine.forecast(wrong, ahead)[0] == -1
    assert machine.forecast(rows, ahead + 2)[0] == -1


# ---- labels of sequences


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("classes", [True, False], ids=["classes", "numbers"])
def test_prediction_of_a_sequence(classes, pooling, tmp_path):
    sequences, parts = labelled(classes, missing=classes)
    trained = predictor(sequences, pooling=pooling, missing="mask" if classes else "reject")
    machine = Machine(trained, tmp_path)
    with zoo.kernels.pure_python():
        predictions = trained.predict(sequences)
    for number in range(6):
        result, values = machine.predict(parts[number])
        np.testing.assert_allclose(values, predictions.values[number], rtol=1e-6)
        assert result == (predictions.values[number].argmax() if classes else 0)
    wrong = parts[0].copy()
    wrong[1, 0] = np.nan  # only channel 1 may be missing
    assert machine.predict(wrong)[0] == -1
    assert machine.predict(parts[0][:0])[0] == -1
    if classes:
        names = (ctypes.c_char_p * 2).in_dll(machine.library, "model_classes")
        assert tuple(name.decode() for name in names) == trained.spec.classes
        assert machine.constant("CLASS_UP") == trained.spec.classes.index("up")


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("classes", [True, False], ids=["classes", "numbers"])
def test_prediction_of_each_step(classes, bidirectional, tmp_path):
    sequences, parts = labelled(classes)
    trained = predictor(sequences, pooling="none", bidirectional=bidirectional)
    machine = Machine(trained, tmp_path)
    with zoo.kernels.pure_python():
        predictions = trained.predict(sequences)
    expected = np.split(predictions.values, np.cumsum(predictions.lengths)[:-1])
    for number in range(6):
        result, values = machine.predict(parts[number])
        np.testing.assert_allclose(values, expected[number], rtol=1e-6)
        assert result == (expected[number][-1].argmax() if classes else 0)
    wrong = parts[0].copy()
    wrong[1, 0] = np.inf
    assert machine.predict(wrong)[0] == -1
    assert machine.predict(parts[0][:0])[0] == -1


@pytest.mark.parametrize("embedding", [None, 2])
def test_prediction_of_a_table_with_texts_and_times(embedding, tmp_path):
    table = timed_table()
    settings = {"series": "id", "label": "way", "time": "t", "embedding": embedding}
    trained = predictor(table, "ctrnn", **settings, dtype="float64")
    machine = Machine(trained, tmp_path)
    with zoo.kernels.pure_python():
        predictions = trained.predict(table)
    for number in range(3):
        rows = raw_rows(table, machine.data.columns, np.arange(5) + 5 * number)
        steps = np.array([[np.nan], [10], [np.nan], [20], [10]])
        _, values = machine.predict(np.concatenate([rows, steps], axis=1))
        np.testing.assert_allclose(values, predictions.values[number], rtol=1e-12)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_bidirectional_model_reads_whole_sequences(pooling, tmp_path):
    table = timed_table()
    table["x"][3] = np.nan
    settings = {"series": "id", "label": "way", "time": "t", "embedding": 2, "missing": "mask"}
    settings |= {"bidirectional": True, "pooling": pooling, "dtype": "float64"}
    trained = predictor(table, "ctrnn", layers=2, **settings)
    machine = Machine(trained, tmp_path)
    with zoo.kernels.pure_python():
        predictions = trained.predict(table)
    for number in range(3):
        rows = raw_rows(table, machine.data.columns, np.arange(5) + 5 * number)
        rows = np.concatenate([rows, [[np.nan], [10], [np.nan], [20], [10]]], axis=1)
        result, values = machine.predict(rows)
        assert result == predictions.values[number].argmax()
        np.testing.assert_allclose(values, predictions.values[number], atol=1e-9)
    assert machine.predict(rows[:0])[0] == -1
    rows[2, 0] = np.inf
    assert machine.predict(rows)[0] == -1


def test_sources_contain_no_text_of_the_table(tmp_path):
    """Names of columns, classes and series enter as identifiers, or as escaped string literals."""
    labels = ['*/ "\\' if text == "up" else "??/é" for text in ["up", "down"] * 20]
    named = LabelledSequences.from_arrays(
        [np.random.default_rng(n).normal(size=(4, 2)) for n in range(40)], labels, channels=["*/x", "é"]
    )
    files = zoo.export.to_c(predictor(named), tmp_path / "model.c")
    text = files.source.read_text() + files.header.read_text()
    assert "MODEL_COLUMN_X," in text
    assert "MODEL_COLUMN_E," in text
    assert "??/" not in text
    assert '"*/ \\042\\134"' in text
