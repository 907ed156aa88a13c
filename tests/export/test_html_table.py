"""The web page of a model of a table: its reader of CSV, its numbers, and its errors, in Node."""

from __future__ import annotations

import csv
import gzip
import io
import json
import warnings
from dataclasses import replace
from decimal import Decimal
from itertools import product

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
from html_pages import Page, check_labels, check_page, run_script
from hypothesis import given
from hypothesis import strategies as st
from js_modules import NODE, JsError
from random_trials import examples

import zoo
from zoo.data import LabelledSequences
from zoo.data.text_values import parse_time
from zoo.errors import DataError, UsageError, ZooWarning
from zoo.export.exported_model import exported_model
from zoo.export.html_example import read_example
from zoo.export.html_page import html_page, page_parts
from zoo.export.html_table import table_fields
from zoo.export.js_model import js_module
from zoo.export.js_source import asset, js_value

pytestmark = [
    pytest.mark.usefixtures("plain_python"),
    pytest.mark.skipif(NODE is None, reason="Node is not installed"),
]

BEFORE = """
let copied = "";
const clipboard = { writeText: async (text) => { copied = text; } };
Object.defineProperty(globalThis, "navigator", { value: { clipboard }, configurable: true });
const field = (id) => document.getElementById(id);
let painted = 0, seen = 0; // how often the page showed results
field("numbers").replaceChildren = (...nodes) => { field("numbers").children = nodes; painted++; };
const later = () => new Promise((resolve) => setTimeout(resolve));
const until = async (is_done) => { do await later(); while (!is_done()); };
const shows_results = async () => { await until(() => painted > seen); seen = painted; };
"""
# Opens the page, then gives each text and reads the result.
AFTER = """
const shown = async () => {
    await shows_results();
    copied = "";
    await field("copy").listeners.click();
    return {
        csv: copied, problem: field("problem").textContent, status: field("status").textContent,
        rows: field("numbers").children[1]?.children.length ?? 0,
        series: field("series").children.map((each) => each.textContent),
        charts: field("charts").children.length,
    };
};
const results = [await shown()];
for (const text of TEXTS) {
    field("data").value = text;
    field("form").listeners.submit({ preventDefault() {} });
    results.push(await shown());
}
console.log(JSON.stringify(results));
"""


def page_of(trained, **options):
    text, _ = html_page(exported_model(trained), False, "demo", **options)
    return Page(text)


def results_of(trained, folder, texts, **options):
    """The results of the page for its example, and for some texts."""
    after = AFTER.replace("TEXTS", json.dumps(texts))
    return run_script(page_of(trained, **options), folder, BEFORE, after)


def csv_text(table, delimiter=","):
    """A table as CSV; missing values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*(np.asarray(values).tolist() for values in table.values()), strict=True):
        writer.writerow("" if value is None or value != value else value for value in row)
    return text.getvalue()


def assert_same_table(actual, expected, rtol=2e-6):
    """Two texts of CSV have the same texts, and nearly the same numbers."""
    actual, expected = (list(csv.reader(io.StringIO(text))) for text in (actual, expected))
    assert actual[0] == expected[0]
    assert len(actual) == len(expected)
    for row, other in zip(actual[1:], expected[1:], strict=True):
        for value, wanted in zip(row, other, strict=True):
            try:
                np.testing.assert_allclose(float(value), float(wanted), rtol=rtol, atol=1e-7)
            except ValueError:
                assert value == wanted


@pytest.mark.parametrize("missing", ["mask", "forward"])
def test_forecast_of_series_with_texts_and_known_future(missing, tmp_path):
    table, future, trained = rich_forecaster(missing)
    both = with_future(table, future)
    (tmp_path / "rows.csv").write_text(csv_text(both), encoding="utf-8")
    expected = trained.forecast(tmp_path / "rows.csv").to_csv()
    example, shown = results_of(trained, tmp_path, [csv_text(both)])
    assert (shown["problem"], shown["status"]) == ("", "")
    assert_same_table(shown["csv"], expected)
    assert (shown["rows"], shown["series"], shown["charts"]) == (2 * HORIZON, ["north", "süd"], 3)
    assert (example["problem"], example["series"], example["rows"]) == ("", ["north", "süd"], 2 * HORIZON)


HOURS = np.datetime64("2024-02-01T00") + np.arange(40) * np.timedelta64(1, "h")
TIMES = {
    "hours": HOURS,
    "days": HOURS[:40].astype("M8[D]")[:1] + np.arange(40) * np.timedelta64(1, "D"),
    "months": (np.datetime64("2021-01") + np.arange(40)).astype("M8[D]") + np.timedelta64(14, "D"),
    "parts of seconds": HOURS.astype("M8[us]") + np.arange(40) * np.timedelta64(250_001, "us"),
    "numbers": np.arange(40) * 0.25 - 3,
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_a_forecast(kind, tmp_path):
    """The table has the times after the last row, in as many digits as zoo prints."""
    table = {"when": TIMES[kind], **series_table()}
    trained = forecaster(table, time="when", dtype="float64")
    texts = [str(time) for time in TIMES[kind]]
    marked = [f"{time}Z" for time in texts] if kind in ("hours", "parts of seconds") else texts
    given = [csv_text({"when": names, "y": table["y"]}) for names in (texts, marked)]
    example, *shown = results_of(trained, tmp_path, given)
    assert [example["problem"], *(each["problem"] for each in shown)] == [""] * 3
    for each, text in zip(shown, given, strict=True):
        (tmp_path / "rows.csv").write_text(text)
        assert_same_table(each["csv"], trained.forecast(tmp_path / "rows.csv").to_csv())


def test_forecast_without_times_and_interval(tmp_path):
    table = {**series_table(), "time": np.random.default_rng(4).normal(size=40)}
    trained = forecaster(table, ("y", "time"), horizon=2, dtype="float64")
    shown = results_of(trained, tmp_path, [csv_text(table)])[1]
    assert_same_table(shown["csv"], trained.forecast(table).to_csv())
    assert shown["csv"].startswith("step,y,y_q0.1,y_q0.9,time_predicted,")
    bare = replace(trained, calibration=None)
    shown = results_of(bare, tmp_path, [csv_text(table)])[1]
    assert shown["csv"].startswith("step,y,time_predicted\n")


def test_time_between_rows_reaches_the_cell(tmp_path):
    hours = np.cumsum(np.random.default_rng(0).integers(1, 5, 40))
    times = np.datetime64("2024-01-01T00") + hours.astype("m8[h]")
    table = {"time": times, **series_table()}
    trained = forecaster(table, cell="ctrnn", dtype="float64")
    numbers = {"time": hours, "y": table["y"]}
    _, shown, wrong = results_of(trained, tmp_path, [csv_text(table), csv_text(numbers)])
    assert_same_table(shown["csv"], trained.forecast(table).to_csv())
    assert wrong["problem"] == (
        'column "time": found numbers; expected dates, such as 2024-05-01 13:00, since the '
        "model reads the time "
        "between rows."
    )


def test_other_time_between_rows_gives_a_note(tmp_path):
    table = {"time": HOURS, **series_table()}
    trained = forecaster(table, time="time")
    days = {"time": TIMES["days"], "y": table["y"]}
    shown = results_of(trained, tmp_path, [csv_text(days)])[1]
    assert shown["status"] == (
        "Rows are 1 day apart, and rows of training were 1 h apart. One step is always one row."
    )


SEQUENCES = {
    "classes": {"classes": True},
    "mean of classes": {"classes": True, "pooling": "mean"},
    "numbers": {"classes": False},
    "classes of steps": {"classes": True, "pooling": "none"},
    "numbers of steps": {"classes": False, "pooling": "none", "bidirectional": True},
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_prediction_of_arrays(kind, tmp_path):
    settings = {**SEQUENCES[kind], "missing": "mask", "dtype": "float64"}
    sequences, parts = labelled(settings["classes"], missing=True)
    trained = predictor(sequences, **{name: each for name, each in settings.items() if name != "classes"})
    texts = [csv_text(dict(zip("012", part.T, strict=True))) for part in parts[:3]]
    example, *shown = results_of(trained, tmp_path, texts)
    assert [example["problem"], *(each["problem"] for each in shown)] == [""] * 4
    for number, each in enumerate(shown):
        made = trained.predict([parts[number]])
        names = {"step"} if "steps" in kind else set()
        columns = {name: values for name, values in made.columns().items() if name in names or name != "id"}
        assert_same_table(each["csv"], csv_text(columns))
        assert each["charts"] == (2 if "steps" in kind else 1)


def test_arrays_with_times_have_a_column_of_steps(tmp_path):
    rng = np.random.default_rng(0)
    parts = [rng.normal(5, 3, (6, 2)) for _ in range(20)]
    times = [np.cumsum(rng.choice([10.0, 20.0, 40.0], 6)) for _ in parts]
    labels = ["up", "down"] * 10
    trained = predictor(LabelledSequences.from_arrays(parts, labels, times=times), "ctrnn", dtype="float64")
    columns = dict(zip("01", parts[0].T, strict=True))
    steps = {"time_step": [None, *np.diff(times[0])]}
    example, given, without = results_of(trained, tmp_path, [csv_text(columns | steps), csv_text(columns)])
    assert [example["problem"], given["problem"]] == ["", ""]
    assert without["problem"].startswith('there is no column "time_step"; the columns are "0", "1".')
    made = trained.predict(LabelledSequences.from_arrays(parts[:1], times=times[:1])).columns()
    assert_same_table(given["csv"], csv_text({name: values for name, values in made.items() if name != "id"}))


def labelled_table(pooling, classes=True):
    """Sequences with ids that are numbers, times, a text and labels, of which steps may lack some."""
    table, rng = timed_table(), np.random.default_rng(8)
    table["id"] = [f"{20 - n // 5:03d}" for n in range(100)]
    if pooling == "none":
        table["way"] = rng.choice(["a", "b", ""], 100)
    if not classes:
        steps = rng.normal(size=100)
        table["way"] = (
            np.where(np.arange(100) % 7 == 0, np.nan, steps)
            if pooling == "none"
            else np.repeat(steps[:20], 5)
        )
    return table


@pytest.mark.parametrize("classes", [True, False], ids=["classes", "numbers"])
@pytest.mark.parametrize("pooling", ["last", "none"])
def test_prediction_of_a_table_with_labels(pooling, classes, tmp_path):
    """Ids are in their order, the cell reads the times, and the labels of the rows are shown."""
    table = labelled_table(pooling, classes)
    trained = predictor(table, "ctrnn", series="id", label="way", time="t", dtype="float64", pooling=pooling)
    one = {name: np.asarray(values)[:5] for name, values in table.items() if name not in ("id", "way")}
    texts = [csv_text(table), csv_text(one)]
    (tmp_path / "rows.csv").write_text(texts[0])
    example, shown, alone = results_of(trained, tmp_path, texts)
    expected = trained.predict(tmp_path / "rows.csv").to_csv()
    assert_same_table(shown["csv"], expected)
    assert "way_actual" in shown["csv"].partition("\n")[0]
    assert (shown["problem"], shown["series"][:2], len(shown["series"])) == ("", ["001", "002"], 20)
    assert (example["problem"], example["series"]) == ("", ["a", "b", "c"])
    assert alone["status"] == 'There is no column "id", so all rows are one sequence.'
    lines = [line.partition(",")[2] for line in expected.splitlines() if line.startswith("020,")]
    wanted = [line.rpartition(",")[0] for line in lines]
    header = expected.partition("\n")[0].removeprefix("id,").removesuffix(",way_actual")
    assert_same_table(alone["csv"], "\n".join([header, *wanted]) + "\n")


def test_many_rows(tmp_path):
    """The table has the first 500 rows, and the copy has all."""
    sequences, _ = labelled()
    trained = predictor(sequences, pooling="none", dtype="float64")
    long = np.random.default_rng(0).normal(5, 3, (700, 3))
    shown = results_of(trained, tmp_path, [csv_text(dict(zip("012", long.T, strict=True)))])[1]
    assert (shown["rows"], len(shown["csv"].splitlines())) == (500, 701)
    assert shown["status"] == "The table shows 500 of 700 rows; copy or save all of them."


# ---- CSV as zoo reads it


COLOURS = ["red", "dark, blue", 'a "quoted" one', "two\nlines", "semi;colon", "grün"]
NUMBERS = [
    "1.5",
    "-2",
    "1e3",
    ".5",
    "5.",
    "+7",
    " 8 ",
    "1,5",
    "1,234",
    "-0,25",
    "1.234.5",
    "x",
    "1_0",
    "inf",
    "2E-1",
]
MISSING = ["", "NA", "n/a", "NaN", "null", "None", " nat "]
NAMES = ["a", "b", "7", "007", "1.5", "1,5", "2024-05-01", "e é"]


def parts_module(trained, tmp_path_factory):
    """A module of the parts of a page that need no document."""
    model = exported_model(trained)
    parts = "\n".join(map(asset, page_parts(model)[:-1]))
    description = js_value(table_fields(model, None))
    names = "read_series, six_digits, time_of_text, with_row_interval, result_of, table_of"
    path = tmp_path_factory.mktemp("parts") / "parts.mjs"
    path.write_text(
        f"{js_module(model).source}\nconst page = {description};\n"
        f"export const parts = (() => {{\n{parts}\nreturn {{ {names} }};\n}})();\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def reader(node, tmp_path_factory):
    """A classifier with a column of numbers and one of texts, and a module of the parts of its page."""
    count = 4 * len(COLOURS)
    table = {
        "id": [str(n // 2) for n in range(count)],
        "y": [float("nan"), *range(1, count)],
        "colour": [None, *COLOURS * 4][:count],
        "kind": ["up", "up", "down", "down"] * (count // 4),
    }
    trained = predictor(table, series="id", label="kind", missing="mask")
    return trained, parts_module(trained, tmp_path_factory)


def field(text, quote, delimiter):
    needs = quote or text[:1] == '"' or any(mark in text for mark in (delimiter, "\n", "\r"))
    return '"' + text.replace('"', '""') + '"' if needs else text


@st.composite
def csv_files(draw):
    """Files with a column of names, numbers, texts and one that is not read, in any form that CSV has."""
    delimiter = draw(st.sampled_from(",;\t|"))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    # Most files have no error: they draw from numbers with one kind of decimals.
    points = [text for text in NUMBERS if "," not in text and text not in ("x", "1_0", "inf", "1.234.5")]
    commas = [text.replace(".", ",") for text in points if text.count(".") < 2]
    pool = draw(st.sampled_from([points, points, commas, commas, NUMBERS]))
    number = st.sampled_from(pool) | st.sampled_from(MISSING)
    colour = st.sampled_from(COLOURS) | st.sampled_from(MISSING)
    name = st.sampled_from(NAMES)
    rows = draw(st.lists(st.tuples(name, number, colour, number), min_size=1, max_size=6))
    order = draw(st.permutations(range(4)))
    records = [("id", "y", " colour ", "unread"), *rows]
    text = draw(st.sampled_from(["", "\ufeff"]))
    for record in records:
        quotes = draw(st.tuples(*[st.booleans()] * 4))
        text += delimiter.join(field(record[n], quotes[n], delimiter) for n in order) + newline
        text += newline * draw(st.sampled_from([0, 0, 0, 1]))
    return text.rstrip("\r\n") if draw(st.booleans()) else text


@examples(60)
@given(text=csv_files())
def test_reader_agrees_with_zoo(text, node, reader, tmp_path_factory):
    trained, path = reader
    file = tmp_path_factory.getbasetemp() / "rows.csv"
    file.write_bytes(text.encode())
    code = "return module.parts.read_series(given).map(({ name, rows, lines }) => ({ name, rows, lines }));"
    try:
        given = trained.open_data(file, needs_labels=False).given
    except DataError:
        with pytest.raises(JsError, match=r"RangeError: line \d"):
            node.call(path, code, text)
        return
    made = node.call(path, code, text)
    assert tuple(each["name"] for each in made) == given.ids
    rows = [row for each in made for row in each["rows"]]
    texts = trained.spec.categories["colour"]
    expected = [[np.nan if y is None else y, *(text == colour for text in texts)] for y, colour in rows]
    np.testing.assert_array_equal(np.array(expected, float), given.values)


@examples(60)
@given(
    value=st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e7, 1e7).map(lambda x: round(x, 3))
)
def test_six_digits_are_those_of_python(value, node, reader):
    text, expected = node.call(reader[1], "return module.parts.six_digits(given);", value), f"{value:.6g}"
    errors = [abs(Decimal(each) - Decimal(value)) for each in (text, expected)]
    assert text == expected or errors[0] == errors[1]  # two texts may be equally near


def test_times_are_those_of_zoo(node, reader):
    """The page reads a time as zoo does, or gives an error where zoo does."""
    dates = ["2010-01-01", "2012-02-29", "2010-02-29", "2010-13-01", "2010-01-1"]
    parts = ["", ":00", ":60", ":00.5", ":00.", ":00.12345", ":00.123456", ":00.1234567"]
    clocks = ["00", "24:00", "13:60", *(f"13:00{part}" for part in parts)]
    offsets = ["", "Z", "z", " Z", "+01:00", "-23:59", "+0130", "-01", "+24:00", "-25:00", "+1:00", " +01:00"]
    times = map("".join, product(dates, ("T", "t", " ", "  "), clocks, offsets))
    texts = [
        "2010-01",
        "2010",
        "2010-01Z",
        "2010-01-01Z",
        "2010-01-01 Z",
        "2010-01-01 +01:00",
        *dates,
        *times,
    ]

    def microseconds(text):
        try:
            return int(parse_time(text).astype(np.int64))
        except ValueError:
            return None

    code = "return given.map((text) => module.parts.time_of_text(text)?.value ?? null);"
    made = dict(zip(texts, node.call(reader[1], code, texts), strict=True))
    assert made == {text: microseconds(text) for text in texts}


@pytest.mark.parametrize("names", [("1", "2", "x"), ("1", "x", "y"), ("2024-01-01", "x"), ("1,5", "x")])
def test_hint_about_the_header_is_that_of_zoo(names, node, reader, tmp_path):
    trained, path = reader
    file = tmp_path / "rows.csv"
    file.write_text(csv_text({name: [1] for name in names}))
    with pytest.raises(DataError) as raised:
        trained.open_data(file, needs_labels=False)
    with pytest.raises(JsError) as shown:
        node.call(path, "return module.parts.read_series(given);", file.read_text())
    assert ("looks like values" in str(raised.value)) == ("looks like values" in str(shown.value))


# ---- missing values


RESULTS = """
const { read_series, with_row_interval, result_of, table_of } = module.parts, results = [], errors = [];
for (const series of with_row_interval(read_series(given))) {
    try { results.push(result_of(series)); } catch (error) { errors.push(`${error.name}: ${error.message}`); }
}
return { errors, ...(results.length > 0 ? table_of(results) : { header: [], rows: [] }) };
"""


@pytest.fixture(scope="module", params=["mask", "forward"])
def rich(request, node, tmp_path_factory):
    table, future, trained = rich_forecaster(request.param)
    return with_future(table, future), trained, parts_module(trained, tmp_path_factory)


@examples(25)
@given(
    lengths=st.tuples(st.integers(4, 12), st.integers(4, 12)),
    futures=st.tuples(*[st.sampled_from([HORIZON, HORIZON, HORIZON, HORIZON - 1])] * 2),
    absent=st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from(["y", "load", "colour", "warmth"])), max_size=5
    ),
)
def test_missing_values_are_those_of_zoo(lengths, futures, absent, node, rich, tmp_path_factory):
    """Series of any length with any missing values: the same forecasts, and the same series without one."""
    table, trained, path = rich
    rows = [
        row
        for start, ahead, length, count in zip((0, 40), (80, 80 + HORIZON), lengths, futures, strict=True)
        for row in (*range(start + 40 - length, start + 40), *range(ahead, ahead + count))
    ]
    columns = {name: np.asarray(values, object)[rows] for name, values in table.items()}
    for number, name in absent:
        columns[name][number % len(rows)] = None
    file = tmp_path_factory.getbasetemp() / "missing.csv"
    file.write_text(csv_text(columns), encoding="utf-8")
    made = node.call(path, RESULTS, csv_text(columns))
    assert all(error.startswith("RangeError: ") for error in made["errors"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZooWarning)
            expected = trained.forecast(file).to_csv()
    except DataError:
        assert made["errors"]
        return
    lines = [line for line in expected.splitlines() if not line.endswith(",,")]
    text = "\n".join(",".join(row) for row in [made["header"], *made["rows"]])
    assert_same_table(text, "\n".join(lines))
    assert bool(made["errors"]) == (len(lines) < len(expected.splitlines()))


# ---- errors


def table_with(**columns):
    return csv_text({"time": HOURS, **series_table(), **columns})


def changed(line, text, of=None):
    lines = (of or table_with()).splitlines()
    return "\n".join([*lines[: line - 1], text, *lines[line:]])


ONE_SERIES = {
    "": "there are no rows; give a line with the names of the columns, then the values.",
    "time,y\n": "there is a header and no rows; give at least one row.",
    "time,x\n2024-01-01,3\n": (
        'there is no column "y"; the columns are "time", "x". Add it, or correct its name.'
    ),
    "2024-01-01,3\n2024-01-02,3\n": (
        'there is no column "y", "time"; the columns are "2024-01-01", "3". The first line '
        "looks like values; add a "
        "line with the names of the columns."
    ),
    "time,y,y\n": 'line 1: found the name "y" twice; give each column a name of its own.',
    "time,y,\n": "line 1: found a column without a name; give each column a name of its own.",
    "\x00time,y\n": "this is not a text; give CSV in UTF-8.",
    changed(4, "2024-02-01T02"): "line 4: found 1 value; expected 2, one for each column of the header.",
    changed(4, '2024-02-01T02,"3'): (
        "line 4: the values from here on are not CSV; close each quote, and write a quote "
        "within a value twice."
    ),
    changed(4, '2024-02-01T02,"3"4'): (
        "line 4: the values from here on are not CSV; close each quote, and write a quote "
        "within a value twice."
    ),
    changed(4, "2024-02-01T02,many"): (
        'line 4, column "y": found "many"; expected a number. Leave it empty if the value is missing.'
    ),
    changed(4, '2024-02-01T02,"1,5"'): (
        'line 4, column "y": found "1,5"; expected a number. Leave it empty if the value is '
        "missing. Write 1.5, or "
        "semicolons between columns."
    ),
    changed(4, "2024-02-01T02,1e101"): (
        'line 4, column "y": found "1e101"; expected a number from -1e100 to 1e100. Leave a '
        "missing value empty."
    ),
    changed(4, "2024-02-01T02,NaN"): 'line 4, column "y": the value is missing; fill it.',
    changed(4, ",3"): 'line 4, column "time": the time is missing; fill it, or remove the row.',
    changed(4, "01.02.2024 02:00,3"): (
        'line 4, column "time": found "01.02.2024 02:00"; expected a time such as 2024-05-01 13:00.'
    ),
    changed(4, "2024-02-01T02+01:00,3"): (
        'line 4, column "time": found "2024-02-01T02+01:00", and "2024-02-01 00:00:00" in line '
        "2; expected an offset "
        "from UTC in all times, or in none."
    ),
    changed(4, "2024-02-01T01,3"): (
        'line 4, column "time": the time 2024-02-01 01:00 is repeated; remove one of the rows.'
    ),
    changed(4, "2024-01-31,3"): (
        'line 4, column "time": the time 2024-01-31 is before 2024-02-01 01:00; sort the rows by time.'
    ),
    "\n".join(table_with().splitlines()[:4]): (
        f"there are 3 rows of history; the model reads {CONTEXT} before a forecast. Give more rows."
    ),
    "time;y\n2024-02-01;1,5\n2024-02-02;2.5\n": (
        'line 2, column "y": found "1,5", and "2.5" in line 3; expected decimal commas or '
        "decimal points in all "
        "numbers."
    ),
    "time;y\n2024-02-01;1,234\n2024-02-02;2\n": (
        'line 2, column "y": found "1,234", and all numbers with a comma have three digits '
        "after it, so it may "
        "separate decimals or thousands; write decimal points, or no separators of thousands."
    ),
}


def test_wrong_rows_of_a_series(tmp_path):
    trained = forecaster({"time": HOURS, **series_table()})
    _, *shown = results_of(trained, tmp_path, [*ONE_SERIES, table_with()])
    problems = [each["problem"] for each in shown]
    assert problems == [*ONE_SERIES.values(), ""]
    assert [each["rows"] for each in shown] == [*[0] * len(ONE_SERIES), HORIZON]


def test_wrong_rows_of_several_series(tmp_path):
    """A series without a forecast gives a note if another one has a forecast, and else an error."""
    table, future, trained = rich_forecaster("forward")
    lines = csv_text(with_future(table, future)).splitlines()
    header, north, south = lines[0], lines[1:41], lines[41:81]
    ahead, south_ahead = lines[81:84], lines[84:]

    def text(*rows):
        return "\n".join([header, *rows])

    unknown = [line.replace("süd", "ost") for line in south]
    cases = {
        text(*north, *ahead, *unknown): (
            "",
            'Without a result: series "ost" was not in training, and this page forecasts only '
            'the series that the model was trained on: "north", "süd". For a new series use zoo forecast.',
        ),
        text(*north, *ahead[:2], *south, *south_ahead): (
            "",
            'Without a result: series "north" has 2 rows after the last value of "y", "load"; a '
            "forecast needs 3. Add "
            '1 row with "holiday", "warmth", and leave "y", "load" empty. There "colour", "price" may '
            "be empty, too.",
        ),
        text(*north[:3], *ahead): (
            f'series "north" has 3 rows of history; the model reads {CONTEXT} before a forecast. '
            f"Give more rows.",
            "",
        ),
        text(north[0].replace("no", "maybe").replace("yes", "maybe"), *north[1:]): (
            'line 2, column "holiday": found "maybe", which did not occur in training; expected "yes", "no".',
            "",
        ),
        text(",".join(["north", "", *north[0].split(",")[2:]]), *north[1:], *ahead): (
            'line 2, column "y": the value is missing, and there is none before it in its series; fill it.',
            "",
        ),
        text(*[line.replace("north", "") for line in north]): (
            'line 2, column "region": the name is missing; fill it, or remove the row.',
            "",
        ),
    }
    _, *shown = results_of(trained, tmp_path, list(cases))
    assert [(each["problem"], each["status"]) for each in shown] == list(cases.values())


def test_future_rows_continue_the_history(tmp_path):
    table = {"time": HOURS, **series_table(), "open": np.arange(40) % 2.0}
    trained = forecaster(table, known_future="open", time="time")
    rows = csv_text(table).splitlines()
    ahead = ["2024-02-02T16,,1", "2024-02-02T17,,0", "2024-02-02T18,,1"]
    late = [line.replace("2024-02-02T", "2024-02-03T") for line in ahead]
    shown = results_of(trained, tmp_path, ["\n".join(rows + ahead), "\n".join(rows + late)])[1:]
    assert shown[0]["problem"] == ""
    assert shown[1]["problem"] == (
        'line 42, column "time": the time 2024-02-03 16:00 does not continue the history, which '
        "has steps of 1 h. "
        "Give rows without a gap."
    )


def test_labels_of_a_sequence_agree(tmp_path):
    table = labelled_table("last")
    trained = predictor(table, series="id", label="way")
    wrong = csv_text({**table, "way": ["a", "b"] * 50})
    assert results_of(trained, tmp_path, [wrong])[1]["problem"] == (
        'line 98, column "way": found "a", and sequence "001" has the label "b" before; a sequence has one '
        "label."
    )


# ---- charts and files


def test_classes_have_the_same_colour_in_all_sequences(tmp_path):
    """The first eight classes have a colour of their own, and the others are grey."""
    rng = np.random.default_rng(0)
    table = {
        "id": np.repeat(np.arange(40), 5),
        "x": rng.normal(size=200),
        "way": [f"c{n % 10}" for n in range(200)],
    }
    trained = predictor(table, series="id", label="way", pooling="none")
    code = """
await shows_results();
const shown = [0, 1, 2].map((n) => {
    field("series").value = String(n);
    field("series").listeners.input();
    const [figure, legend] = field("charts").children;
    const names = figure.children[1].children.map((node) => node.class);
    const bands = names.filter((name) => /class|others/.test(name));
    return [bands, legend.children.map((item) => item.textContent)];
});
console.log(JSON.stringify(shown));
"""
    shown = run_script(page_of(trained), tmp_path, BEFORE, code)
    bands = [*(f"class-{n}" for n in range(8)), "others"]
    assert shown == [[bands, [*(f"c{n}" for n in range(8)), "other classes"]]] * 3


SAVE = """
await shows_results();
const saved = [];
URL.createObjectURL = (blob) => { saved.push(blob); return "blob:1"; };
Element.prototype.click = function () { saved.push(this.download, this.href); };
Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true }); // as on http
await field("copy").listeners.click();
field("save").listeners.click();
const [blob, ...link] = saved;
console.log(JSON.stringify({ text: await blob.text(), link, copied: field("copied").textContent }));
"""


def test_table_is_saved_without_a_clipboard(tmp_path):
    table = {"time": HOURS, **series_table()}
    trained = forecaster(table, dtype="float64")
    shown = run_script(page_of(trained, example=csv_text(table)), tmp_path, BEFORE, SAVE)
    assert_same_table(shown["text"], trained.forecast(table).to_csv())
    assert shown["link"] == ["forecast.csv", "blob:1"]
    assert shown["copied"] == 'The browser does not allow this page to copy; press "Save as CSV".'


# ---- opened files and structure


FILE = """
await shows_results();
const problems = [];
for (const [name, bytes, size] of FILES) {
    const arrayBuffer = async () => Uint8Array.from(bytes).buffer;
    const content = { name, size: size ?? bytes.length, arrayBuffer };
    field("file").files = [content];
    field("file").listeners.change();
    await until(() => painted > seen || field("problem").textContent !== "");
    problems.push(field("problem").textContent);
}
console.log(JSON.stringify({ problems, text: field("data").value }));
"""


def test_opened_files(tmp_path):
    table = {"time": HOURS, **series_table()}
    text = csv_text(table)
    files = [
        ["old.csv", list("time,größe\n".encode("latin-1"))],
        ["large.csv", [], 60_000_000],
        ["rows.csv", list(text.encode("utf-8-sig"))],
    ]
    code = FILE.replace("FILES", json.dumps(files))
    shown = run_script(page_of(forecaster(table)), tmp_path, BEFORE, code)
    assert shown["problems"] == [
        "old.csv is not UTF-8; save it as CSV in UTF-8.",
        "large.csv has 60000000 bytes; this page reads at most 4000000. Use zoo forecast for larger files.",
        "",
    ]
    assert shown["text"] == text


def test_page_has_labels_for_all_controls():
    check_labels(page_of(forecaster(series_table())))
    check_labels(page_of(predictor(labelled()[0])))


def test_names_and_classes_are_text():
    """Names that could end the script change neither the elements of the page nor its policy."""
    tags = [tag for tag, _ in page_of(forecaster(series_table())).tags]
    labels = ["</script><b>" if n % 2 else "<!--<script>" for n in range(40)]
    names = ["__proto__", "é</script>", "$title"]
    arrays = [np.random.default_rng(n).normal(size=(4, 3)) for n in range(40)]
    trained = predictor(LabelledSequences.from_arrays(arrays, labels, channels=names))
    page = page_of(trained, example="</script><!--")
    check_page(page, tags)
    assert page.text("script").isascii()


def test_example_has_no_rows_of_training():
    """The default example has random rows; other rows are in a page only if you give them."""
    table = {"time": HOURS, **series_table()}
    trained = forecaster(table)
    example = json.loads(js_value(table_fields(exported_model(trained), None)["example"]))
    shown = {line.split(",")[1] for line in example.splitlines()}
    assert not shown & {f"{value:.3f}" for value in table["y"]}
    assert table_fields(exported_model(trained), "a,b\n")["example"] == "a,b\n"


def test_example_of_a_file(tmp_path):
    table = {"time": HOURS, **series_table()}
    trained = forecaster(table, dtype="float64")
    (tmp_path / "rows.csv").write_text(csv_text(table), encoding="utf-8-sig")
    zoo.export.to_html(trained, tmp_path / "page.html", example=tmp_path / "rows.csv")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    (shown,) = run_script(page, tmp_path, BEFORE, AFTER.replace("TEXTS", "[]"))
    assert_same_table(shown["csv"], trained.forecast(table).to_csv())
    assert "random rows" not in page.text("script")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            None,
            DataError,
            "export: the example '.*rows.csv' cannot be read: No such file or directory; give a CSV",
        ),
        (
            b"y\n1\n" * 300_000,
            UsageError,
            "has more than 1,000,000 bytes, which is the most that a page contains",
        ),
        (b"time,x\n2024-01-01,1\n", DataError, "rows.csv has no column 'y'"),
        (b"x,y\n1,1\n", DataError, "rows.csv has no column 'time'"),
        (
            b"time,y\n2024-01-01,high\n",
            DataError,
            "rows.csv: y is a column of text values .* line 2, column 'y': found 'high'",
        ),
        (b"time,gr\xf6\xdfe\n", DataError, "rows.csv is not UTF-8"),
    ],
)
def test_wrong_example(content, error, message, tmp_path):
    if content is not None:
        (tmp_path / "rows.csv").write_bytes(content)
    assert_wrong_example(forecaster({"time": HOURS, **series_table()}), tmp_path, error, message)


def assert_wrong_example(trained, folder, error, message):
    with pytest.raises(error, match=message):
        zoo.export.to_html(trained, folder / "page.html", example=folder / "rows.csv")
    assert not (folder / "page.html").exists()


def wrong_examples():
    """Changes of the rows of two series that the page would answer with an error."""
    table, future, _ = rich_forecaster("forward")
    header, *lines = csv_text(with_future(table, future)).splitlines()
    few = [*lines[:3], *lines[80:83]]
    absent = [",".join(["north", "", *lines[0].split(",")[2:]]), *lines[1:]]
    return {
        "no future rows": (lines[:40], "has 0 rows after the last value of 'y'; a forecast needs 3"),
        "few future rows": (lines[:82], "'north' has 2 rows after the last value of 'y'; a forecast needs 3"),
        "few rows": (few, "'north' has 3 rows of history; the model reads 6 before a forecast"),
        "unknown text": (
            [lines[0].replace("no,", "maybe,").replace("yes,", "maybe,"), *lines[1:]],
            "line 2, column 'holiday': found 'maybe', which did not occur in training; expected one of",
        ),
        "unknown series": (
            [line.replace("süd", "ost") for line in lines],
            "series 'ost' was not in training, and a page forecasts only the series that the model was",
        ),
        "missing value": (absent, "line 2, column 'y': the value is missing"),
    }, header


@pytest.mark.parametrize("kind", wrong_examples()[0])
def test_wrong_example_of_series(kind, tmp_path):
    cases, header = wrong_examples()
    rows, message = cases[kind]
    (tmp_path / "rows.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    assert_wrong_example(rich_forecaster("forward")[2], tmp_path, DataError, message)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (4, "2024-02-01T01,3", "line 4.*2024-02-01"),
        (4, "2024-01-31,3", "line 4.*2024-01-31"),
        (4, ",3", "line 4, column 'time'"),
        (4, "2024-02-01T02+01:00,3", "expected an offset from UTC in all times"),
    ],
)
def test_wrong_times_of_an_example(line, text, message, tmp_path):
    (tmp_path / "rows.csv").write_text(changed(line, text))
    assert_wrong_example(forecaster({"time": HOURS, **series_table()}), tmp_path, DataError, message)


def test_wrong_example_of_sequences(tmp_path):
    table = labelled_table("last")
    trained = predictor(table, series="id", label="way")
    text = csv_text(table).replace(",on,", ",standby,", 1)
    (tmp_path / "rows.csv").write_text(text)
    assert_wrong_example(trained, tmp_path, DataError, "column 'state': found 'standby', which did not occur")


def test_example_of_sequences(tmp_path):
    """Rows without ids are one sequence, and arrays with times have a column of the time between rows."""
    table = labelled_table("last")
    trained = predictor(table, series="id", label="way")
    file = tmp_path / "rows.csv"
    file.write_text("t,x,other,state,way\n0,1,secret,on,a\n\n1,2,secret,off,a\n")
    kept = read_example(file, trained)
    assert sorted(kept.splitlines()[0].split(",")) == ["state", "t", "way", "x"]
    assert "secret" not in kept
    assert results_of(trained, tmp_path, [kept])[1]["problem"] == ""
    rng = np.random.default_rng(0)
    parts, times = rng.normal(size=(20, 6, 2)), np.cumsum(rng.integers(1, 4, (20, 6)), axis=1) * 10.0
    arrays = LabelledSequences.from_arrays(list(parts), ["up", "down"] * 10, times=list(times))
    trained = predictor(arrays, "ctrnn")
    file.write_text("time_step,1,0\n,2,1\n4,3,2\n")
    assert read_example(file, trained, "time_step") == "0,1,time_step\n1,2,\n2,3,4\n"
    file.write_text("0,1,time_step\n1,2,\n2,high,4\n")
    with pytest.raises(DataError, match="column '1': found 'high'"):
        read_example(file, trained, "time_step")


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_example_has_only_columns_of_the_model(delimiter, ending, tmp_path):
    """Other columns are not in the page; decimal commas become points, and zoo decompresses the file."""
    table = {"time": HOURS, "owner": ["secret, of one; person"] * 40, **series_table()}
    text = csv_text(table, delimiter)
    if delimiter == ";":
        text = text.replace(".", ",")
    file = tmp_path / f"rows.csv{ending}"
    file.write_bytes(gzip.compress(text.encode()) if ending else text.encode())
    trained = forecaster({name: table[name] for name in ("time", "y")})
    kept = read_example(file, trained)
    assert kept == csv_text({name: table[name] for name in ("time", "y")})
