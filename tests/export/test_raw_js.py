"""JavaScript functions that read rows of a table agree with ``zoo forecast`` and ``zoo predict``."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from data_models import (
    CONTEXT,
    HORIZON,
    forecaster,
    labelled,
    predictor,
    rich_forecaster,
    series_table,
    timed_table,
    with_future,
)
from js_modules import JsError

from zoo.data import LabelledSequences
from zoo.errors import DataError, ZooWarning

pytestmark = pytest.mark.usefixtures("plain_python")

FORECAST = "return module.forecast(given.rows, given.options);"
PREDICT = "return module.predict(given);"


def row_objects(table, names, numbers):
    """Rows as objects by column; a missing value is null."""
    columns = {name: np.asarray(table[name])[numbers].tolist() for name in names}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


def as_array(forecast):
    """A forecast ``(h, M, 3)``, or ``(h, M, 1)`` without an interval."""
    keys = ["low", "point", "high"] if "low" in next(iter(forecast[0].values())) else ["point"]
    return np.array([[[each[key] for key in keys] for each in step.values()] for step in forecast])


def test_forecast_of_one_series(node):
    table = series_table()
    trained = forecaster(table)
    path = node.module(trained)
    for count in (CONTEXT, CONTEXT + 1, 40):
        rows = [[value] for value in table["y"][:count]]
        forecast = node.call(path, FORECAST, {"rows": rows, "options": {}})
        assert [list(step) for step in forecast] == [["y"]] * HORIZON
        expected = trained.forecast({"y": table["y"][:count]}).values[0]
        np.testing.assert_allclose(as_array(forecast), expected, rtol=1e-7)


def test_forecast_without_an_interval(node):
    trained = replace(forecaster(series_table()), calibration=None)
    with pytest.warns(ZooWarning, match="there is no interval"):
        expected = trained.forecast(series_table()).values[0]
    rows = [[value] for value in series_table()["y"]]
    forecast = node.call(node.module(trained), FORECAST, {"rows": rows, "options": {}})
    np.testing.assert_allclose(as_array(forecast), expected, rtol=1e-7)


@pytest.mark.parametrize("missing", ["mask", "forward"])
def test_forecast_of_series_with_categories_and_known_future(missing, node):
    table, future, trained = rich_forecaster(missing)
    path, columns = node.module(trained), trained.spec.roles.features
    expected = trained.forecast(with_future(table, future)).values
    for series, name in enumerate(["north", "süd"]):
        rows = row_objects(table, columns, np.arange(40) + 40 * series)
        ahead = row_objects(future, ("holiday", "warmth"), np.arange(HORIZON) + HORIZON * series)
        for chosen in (series, name):
            options = {"series": chosen, "future": ahead}
            forecast = node.call(path, FORECAST, {"rows": rows, "options": options})
            np.testing.assert_allclose(as_array(forecast), expected[series], rtol=1e-12)
        given = {"rows": [list(row.values()) for row in rows], "options": {"future": ahead}, "number": series}
        code = """
const series = module.series[given.number];
return module.forecast(given.rows, { ...given.options, series });
"""
        assert node.call(path, code, given) == forecast
    assert " *     const result = forecast(rows, { future, series });\n" in path.read_text()
    names, info = node.call(path, "return [module.series.map((each) => each.name), module.info];")
    assert names == ["north", "süd"]
    assert [column["name"] for column in info["columns"]] == list(columns)
    assert {column["name"]: tuple(column["texts"]) for column in info["columns"] if column["texts"]} == dict(
        trained.spec.categories
    )


@pytest.mark.parametrize("missing", ["mask", "forward"])
@pytest.mark.parametrize("target", ["y", "load"])
def test_target_without_any_value(target, missing, node):
    """``forward`` has no value to repeat, so there is no forecast, in JavaScript as in Python."""
    table, future, trained = rich_forecaster(missing)
    table = {**table, target: table[target].copy()}
    table[target][:40] = np.nan
    rows = row_objects(table, trained.spec.roles.features, np.arange(40))
    ahead = row_objects(future, ("holiday", "warmth"), np.arange(HORIZON))
    given = {"rows": rows, "options": {"future": ahead, "series": "north"}}
    path, both = node.module(trained), with_future(table, future)
    if missing == "mask":
        expected = trained.forecast(both).values[0]
        np.testing.assert_allclose(as_array(node.call(path, FORECAST, given)), expected, rtol=1e-12)
        return
    with pytest.raises(JsError, match=f'row 0: "{target}" is missing'):
        node.call(path, FORECAST, given)
    sentence = f"series 'north' has no value of '{target}', which the model reads. Give more rows."
    with pytest.warns(ZooWarning, match=f"{sentence} Until then this series has no forecast."):
        values = trained.forecast(both).values
    assert np.isnan(values[0]).all()
    assert np.isfinite(values[1]).all()
    with pytest.warns(ZooWarning, match="the target of series 'north' is constant or missing"):
        assert set(trained.backtest(table).forecast.series) == {"süd"}
    with pytest.raises(DataError, match=sentence):
        trained.forecast({name: column[both["region"] == "north"] for name, column in both.items()})


def test_uneven_times_reach_the_cell(node):
    table = series_table()
    hours = np.cumsum(np.random.default_rng(0).integers(1, 5, 40))
    table["time"] = np.datetime64("2024-01-01T00") + hours.astype("m8[h]")
    trained = forecaster(table, cell="ctrnn")
    path, expected = node.module(trained), trained.forecast(table).values[0]
    steps = [None, *(np.diff(hours) * 3600.0)]
    arrays = [list(each) for each in zip(table["y"], steps, strict=True)]
    objects = [{"y": y, "time_step": step} for y, step in arrays]
    for rows in (arrays, objects):
        np.testing.assert_allclose(
            as_array(node.call(path, FORECAST, {"rows": rows, "options": {}})), expected, rtol=1e-7
        )
    assert node.call(path, "return module.info.time_step;") == "time_step"
    for row, time in [(20, 0), (20, "3600"), (20, True), (0, "now")]:
        wrong = [*objects[:row], {**objects[row], "time_step": time}, *objects[row + 1 :]]
        with pytest.raises(JsError, match=f"Error: row {row}: the time from the row before is .*; expected"):
            node.call(path, FORECAST, {"rows": wrong, "options": {}})
    with pytest.raises(JsError, match="row 0 is an array of 3; expected 1 or 2 values"):
        node.call(path, FORECAST, {"rows": [[1, 2, 3], *arrays], "options": {}})
    with pytest.raises(JsError, match="TypeError: row 0 is undefined; expected an array or an object"):
        node.call(path, "return new module.Stream().read();")


def test_rows_one_by_one_give_the_forecast_of_a_window(node):
    table = series_table(CONTEXT)
    trained = forecaster(series_table())
    code = """
const stream = new module.Stream();
let forecast;
for (const y of given) {
    try { stream.read([Infinity]); } catch { }
    forecast = stream.read({ y });
}
return forecast;
"""
    forecast = node.call(node.module(trained), code, table["y"])
    np.testing.assert_allclose(as_array(forecast), trained.forecast(table).values[0], rtol=1e-7)


def test_invalid_rows_throw(node):
    table, future, trained = rich_forecaster("mask")
    path, columns = node.module(trained), trained.spec.roles.features
    rows = row_objects(table, columns, np.arange(40))
    ahead = row_objects(future, ("holiday", "warmth"), np.arange(HORIZON))

    def message(rows=rows, **options):
        with pytest.raises(JsError) as error:
            node.call(path, FORECAST, {"rows": rows, "options": {"future": ahead, "series": 0, **options}})
        return str(error.value)

    def changed(**values):
        return [*rows[:7], {**rows[7], **values}, *rows[8:]]

    assert message(changed(y=np.inf)) == (
        'RangeError: row 7: "y" is Infinity; expected a number from -1e100 to 1e100.'
    )
    assert message(changed(y=-1e101)).startswith('RangeError: row 7: "y" is -1e+101; expected a number')
    assert message(changed(y="4")) == 'TypeError: row 7: "y" is "4"; expected a number.'
    assert message(changed(colour="pink")).startswith(
        'RangeError: row 7: "colour" is "pink"; expected one of'
    )
    assert message([*rows[:7], {}, *rows[8:]]).startswith(
        'RangeError: row 7 has no column "y"; expected "y",'
    )
    assert message([[1], *rows]).startswith("RangeError: row 0 is an array of 1; expected 6 values.")
    assert message([3, *rows]).startswith("TypeError: row 0 is 3; expected an array or an object")
    assert message(rows[: CONTEXT - 1]) == (
        f"RangeError: rows is an array of {CONTEXT - 1}; expected an array of {CONTEXT} rows or more."
    )
    assert message(future=ahead[:1]).startswith("RangeError: future is an array of 1; expected 3 rows of")
    assert message(future=[{**each, "holiday": "x"} for each in ahead]).startswith(
        'RangeError: future[0]: "holiday" is "x"; expected one of'
    )
    assert message(series="east") == (
        'RangeError: series is "east"; expected one of "north", "süd", or its number.'
    )
    assert message(series={}) == "RangeError: series: mean is undefined; expected 4 numbers."
    units = node.call(path, "return module.series[0];")
    wrong = {**units, "mean": ["a", 1, 2, 3]}
    assert message(series=wrong) == 'RangeError: series: mean[0] is "a"; expected a finite number.'
    wrong = {**units, "scale": [1, 1, 0, 1]}
    assert message(series=wrong) == "RangeError: series: scale[2] is 0; expected a number above 0."
    assert message(series=2).startswith("RangeError: series is 2; expected one of")
    assert message(sereis=0) == 'RangeError: "sereis" is not an option; expected future or series.'
    for code in ("new module.Stream()", "module.forecast(given.rows, { future: given.future })"):
        with pytest.raises(JsError, match=r"series is undefined; expected one of .*, or its number"):
            node.call(path, f"return {code};", {"rows": rows, "future": ahead})
    with pytest.raises(JsError, match=r"TypeError: options is null; expected an object"):
        node.call(path, "return module.forecast(given, null);", rows)
    with pytest.raises(JsError, match=r"TypeError: row 0 is undefined; expected an array or an object"):
        node.call(path, f"return module.forecast(Array({CONTEXT}), {{ future: given, series: 0 }});", ahead)
    with pytest.raises(JsError, match=r"TypeError: future\[0\] is undefined; expected an array or an object"):
        node.call(path, f"return module.forecast(given, {{ future: Array({HORIZON}), series: 0 }});", rows)
    with pytest.raises(JsError, match=r"RangeError: future is null; expected 3 rows of"):
        node.call(path, "return new module.Stream(0).read(given[1], null);", rows)


# ---- labels of sequences


def values_of(prediction):
    """Probabilities or a label; of several predictions a list."""
    if isinstance(prediction, list):
        return [values_of(each) for each in prediction]
    return prediction.get("probabilities") or [prediction["label"]]


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("classes", [True, False], ids=["classes", "numbers"])
def test_prediction_of_a_sequence(classes, pooling, node):
    sequences, parts = labelled(classes, missing=classes)
    trained = predictor(sequences, pooling=pooling, missing="mask" if classes else "reject")
    path, expected = node.module(trained), trained.predict(sequences).values
    for number in range(6):
        prediction = node.call(path, PREDICT, parts[number])
        np.testing.assert_allclose(values_of(prediction), expected[number].reshape(-1), rtol=1e-6)
        if classes:
            assert prediction["number"] == expected[number].argmax()
            assert prediction["class"] == trained.spec.classes[prediction["number"]]
    wrong = parts[0].copy()
    wrong[1, 0] = np.nan  # only the second channel may be missing
    with pytest.raises(JsError, match=r"RangeError: row 1: .* is missing; expected a value"):
        node.call(path, PREDICT, wrong)
    with pytest.raises(JsError, match=r"RangeError: rows is an array of 0; expected an array of 1 row or"):
        node.call(path, PREDICT, [])
    with pytest.raises(JsError, match=r"TypeError: row 0 is undefined; expected an array or an object"):
        node.call(path, "return module.predict(Array(3));")
    with pytest.raises(JsError, match=r"TypeError: row 0 is undefined; expected an array or an object"):
        node.call(path, "return new module.Stream().read();")


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("classes", [True, False], ids=["classes", "numbers"])
def test_prediction_of_each_step(classes, bidirectional, node):
    sequences, parts = labelled(classes)
    trained = predictor(sequences, pooling="none", bidirectional=bidirectional)
    path, predictions = node.module(trained), trained.predict(sequences)
    expected = np.split(predictions.values, np.cumsum(predictions.lengths)[:-1])
    for number in range(3):
        made = values_of(node.call(path, PREDICT, parts[number]))
        np.testing.assert_allclose(made, expected[number].reshape(len(parts[number]), -1), rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"embedding": None},
        {"embedding": 2},
        *(
            {"embedding": 2, "missing": "mask", "bidirectional": True, "pooling": each}
            for each in ("last", "mean")
        ),
    ],
)
def test_prediction_of_a_table_with_texts_and_times(settings, node):
    table = timed_table()
    if settings.get("missing") == "mask":
        table["x"][3] = np.nan
    trained = predictor(table, "ctrnn", series="id", label="way", time="t", dtype="float64", **settings)
    path, expected = node.module(trained), trained.predict(table).values
    for number in range(3):
        rows = row_objects(table, trained.spec.columns, np.arange(5) + 5 * number)
        for row, step in zip(rows, [None, 10, None, 20, 10], strict=True):
            row["time_step"] = step
        prediction = node.call(path, PREDICT, rows)
        np.testing.assert_allclose(values_of(prediction), expected[number], rtol=1e-12)


def test_module_contains_no_text_that_breaks_it(node):
    labels = ['*/ "</script>\\' if text == "up" else "`${é}" for text in ["up", "down"] * 20]
    names = ["__proto__", "é</script>", "RealArray", "info", "data"]
    sequences = LabelledSequences.from_arrays(
        [np.random.default_rng(n).normal(size=(4, 5)) for n in range(40)], labels, channels=names
    )
    trained = predictor(sequences)
    path = node.module(trained)
    source = path.read_text()
    assert source.isascii()
    assert "</script" not in source
    prediction = node.call(path, PREDICT, np.ones((2, 5)))
    assert prediction["class"] in labels
    columns = node.call(path, "return module.info.columns;")
    assert [column["name"] for column in columns] == names
    assert re.fullmatch(r"[\x20-\x7e\n]*", source)
