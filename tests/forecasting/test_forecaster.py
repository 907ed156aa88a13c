"""``zoo.forecast`` and ``zoo.backtest``: recursion, times, CSV, and other tables than those of training."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.cli.app import cli
from zoo.errors import CheckpointError, DataError, UsageError, ZooWarning
from zoo.forecasting.forecaster import Backtest, Forecast, Forecaster, extend_times
from zoo.forecasting.spec import ForecastSpec
from zoo.kernels import pure_python
from zoo.storage import Checkpoint

N = 160


def command(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def months(n=N):
    return (np.datetime64("2000-01") + np.arange(n)).astype("M8[D]")


def wave(n=N):
    return 10 + np.sin(np.arange(n) / 3) + 0.1 * np.arange(n)


def table(n=N):
    return {"month": months(n), "y": wave(n)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model of one step, in float64."""
    settings = {"cell": "vanilla", "hidden": 8, "batch": 8, "context": 10, "lr": 0.01, "threads": 1}
    out = tmp_path_factory.mktemp("forecaster") / "run"
    path = out.parent / "x.csv"
    rows = zip(months(), wave(), strict=True)
    path.write_text("month,y\n" + "".join(f"{month},{y}\n" for month, y in rows))
    return zoo.train(path, target="y", dtype="float64", steps=60, out=out, **settings)


@pytest.mark.parametrize("names", [["002", "010"], ["1e3", "07", "8"]])
def test_names_of_series_stay_as_the_file_has_them(names, tmp_path):
    """Runs of older versions have names that are numbers as numbers, with the same forecasts."""
    path = tmp_path / "x.csv"
    rows = [
        f"{name},{y + at * number % 5}" for number, name in enumerate(names) for at, y in enumerate(wave())
    ]
    path.write_text("\n".join(["id,y", *rows, ""]))
    settings = {"cell": "vanilla", "hidden": 4, "context": 10, "steps": 2, "threads": 1}
    run = zoo.train(path, target="y", series="id", out=tmp_path / "run", **settings)
    forecaster = Forecaster.load(run)
    forecast, checkpoint = forecaster.forecast(), forecaster.to_checkpoint()
    table = json.loads(json.dumps(checkpoint.meta["table"]))
    assert set(forecast.series) == {*table["scaling"]} == set(names)
    del table["spec"]["has_exact_names"]
    for key in ("scaling", "last_seen"):
        table[key] = {f"{float(name):g}": value for name, value in table[key].items()}
    stored = Checkpoint(checkpoint.arrays, {**checkpoint.meta, "table": table})
    older = Forecaster.from_checkpoint(stored, "older").forecast(path)
    assert older.series == tuple(f"{float(name):g}" for name in forecast.series)
    np.testing.assert_array_equal(older.values, forecast.values)


@pytest.mark.parametrize("cell", ["ctrnn", "vanilla"])
@pytest.mark.parametrize("trained", [0, 1])
def test_times_of_another_kind_than_in_training_are_an_error(cell, trained):
    """For a cell that reads the time between rows; runs of older versions do not know their times."""
    kinds = [{"t": np.arange(N) * 60.0, "y": wave()}, {"t": months(), "y": wave()}]
    settings = {"time": "t", "hidden": 4, "context": 10, "steps": 2, "threads": 1}
    forecaster = zoo.fit(kinds[trained], target="y", cell=cell, **settings)
    assert forecaster.forecast(kinds[trained]).times.shape == (1, 1)
    older = replace(forecaster, spec=replace(forecaster.spec, time_kind=None))
    assert ForecastSpec.from_json(older.spec.to_json(), "run").time_kind is None
    other = kinds[1 - trained]
    if cell == "ctrnn":
        with pytest.raises(
            DataError, match=r"table has .*, and the data of training had .* between rows\. Give"
        ):
            forecaster.forecast(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the steps of two kinds are not compared
        assert (older if cell == "ctrnn" else forecaster).forecast(other).times.shape == (1, 1)


@given(targets=st.lists(st.sampled_from(["series", "time", "step", "origin", "y"]), min_size=1, unique=True))
def test_forecasts_have_a_column_for_everything(targets):
    """A target may be called as a column of forecasts."""
    values = np.arange(2.0 * len(targets)).reshape(1, 2, len(targets), 1)
    times, names, origins = np.array([[3.0, 4.0]]), ("north",), np.array([2.0])
    forecast = Forecast(tuple(targets), (), names, origins, times, values, actual=values[..., 0])
    columns = forecast.columns()
    assert (columns["series"].tolist(), columns["origin"].tolist()) == (["north"] * 2, [2] * 2)
    assert columns["time"].tolist() == [3, 4]
    for number, target in enumerate(targets):
        name = target if target == "y" else f"{target}_predicted"
        assert columns[name].tolist() == values[0, :, number, 0].tolist()
    assert len(columns) == 3 + 2 * len(targets)


@given(count=st.integers(1, 300), steps=st.integers(1, 40), targets=st.integers(1, 30))
def test_reprs_are_one_line_of_any_table(count, steps, targets):
    """A program that prints a forecast prints its size, and not its arrays or the names of all series."""
    names = tuple(f"target{number}" for number in range(targets))
    origins, times = np.arange(count), np.zeros((count, steps))
    values = np.zeros((count, steps, targets, 1))
    forecast = Forecast(names, (), ("north",) * count, origins, times, values)
    backtest = Backtest(forecast, {"part": "test"}, values[..., 0])
    size = f"{count} forecast{'s' * (count > 1)} of {steps} step{'s' * (steps > 1)}, targets=('target0',"
    assert repr(forecast).startswith(f"Forecast({size}")
    assert repr(backtest).startswith(f"Backtest({size}")
    assert repr(backtest).endswith("part='test')")
    assert all(len(text) < 200 and "\n" not in text for text in (repr(forecast), repr(backtest)))


@pytest.mark.parametrize("part", [None, "train", "valid", "all"])
@pytest.mark.parametrize("rows", [None, N, N - 40])
def test_evaluate_scores_every_row_as_zoo_eval_does(rows, part, run, tmp_path):
    path = run.config.data[0]
    if rows:
        path = tmp_path / "other.csv"
        lines = zip(months(rows), 2 * wave(rows), strict=True)
        path.write_text("month,y\n" + "".join(f"{month},{y}\n" for month, y in lines))
    words = ["--data", path] if rows else []
    words += ["--part", part] if part else []
    result = command("eval", run.path, *words, "--json")
    if (rows and part in ("train", "valid")) or (rows == N - 40 and part is None):
        reason = (
            f"--part is '{part}', but other.csv is not the"
            if part
            else "no forecast lies after the last time that tr"
        )
        assert reason in result.stderr
        assert "give --part all" in result.stderr
        return
    printed = json.loads(result.stdout)
    scores = Forecaster.load(run).evaluate(path if rows else None, part)
    assert scores == {name: value for name, value in printed.items() if name != "run"}


def test_repr_of_a_forecaster_has_its_model_and_sizes(hourly):
    forecaster, _ = hourly
    assert repr(forecaster) == f"Forecaster({forecaster.model!r}, target=('y',), context=10, horizon=3)"


@given(rows=st.integers(10, N))
@settings(max_examples=20)
def test_inputs_are_those_of_the_next_forecast(rows, run):
    """The levels are the values of the table in another unit, and the model reads them as in a forecast."""
    forecaster, last = Forecaster.load(run), wave(rows)[-10:]
    arguments = forecaster.inputs(table(rows))
    assert arguments.keys() == {"inputs"}
    x = arguments["inputs"]
    assert x.shape == (10, 1, len(forecaster.spec.input_names))
    levels = x[:, 0, forecaster.spec.input_names.index("y")]
    unit = np.ptp(last) / np.ptp(levels)
    np.testing.assert_allclose(np.diff(levels) * unit, np.diff(last), rtol=1e-6, atol=1e-9)
    with pure_python():
        outputs, _ = forecaster.model.outputs(**arguments)
    middle = np.sort(outputs[-1, 0])[1]
    forecast = zoo.forecast(run, table(rows)).values[0, 0, 0, 1]
    assert forecast == pytest.approx(last[-1] + middle * forecaster.scaling.output[0, 0], rel=1e-6)


def test_inputs_leave_out_series_without_a_forecast_and_have_times():
    """Several series, of which one is too short, for a cell that reads the time between rows."""
    lengths = {"a": 40, "b": 5, "c": 35}
    data = {
        "name": np.repeat(list(lengths), list(lengths.values())),
        "t": np.concatenate([np.cumsum(1.0 + np.arange(n) % 3) for n in lengths.values()]),
        "y": np.concatenate([wave(n) for n in lengths.values()]),
    }
    settings = {"series": "name", "time": "t", "target": "y", "context": 6, "hidden": 2, "steps": 1}
    with pure_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecaster = zoo.fit(data, cell="ctrnn", threads=1, **settings)
    with pytest.warns(ZooWarning, match="series 'b' has 5 rows of history; the model reads 6 before a f"):
        arguments = forecaster.inputs(data)
    assert {name: array.shape[:2] for name, array in arguments.items()} == {"inputs": (6, 2), "dt": (6, 2)}
    for column, length in enumerate((40, 35)):
        steps = np.diff(np.cumsum(1.0 + np.arange(length) % 3))[-6:]
        np.testing.assert_allclose(arguments["dt"][:, column] * 2, steps)  # the median is 2


def with_words(new=()):
    """Three series with a column of texts, and the rows of an unseen text."""
    names, words = np.repeat(["a", "b", "c"], 40), np.tile(np.array(["sun", "rain"], object), 60)
    words[list(new)] = "fog"
    return {"name": names, "y": np.concatenate([wave(40) for _ in range(3)]), "word": words}


@pytest.fixture(scope="module")
def of_words():
    """Models that read a column of texts as zeros and ones, and by an embedding."""
    settings = {"series": "name", "target": "y", "context": 6, "horizon": 2, "hidden": 2, "steps": 1}
    with pure_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {size: zoo.fit(with_words(), embedding=size, threads=1, **settings) for size in (None, 2)}


@pytest.mark.parametrize("embedding", [None, 2])
@pytest.mark.parametrize("new", [[79], [74], [73], [5, 39], [39, 119], [34, 74, 114]])
def test_series_with_an_unseen_text_has_no_forecast(new, embedding, of_words, recwarn):
    """The forecast of a series reads its last six rows."""
    forecaster = of_words[embedding]
    is_read = np.array([any(0 <= end - row < 6 for row in new) for end in (39, 79, 119)])
    with pure_python():
        plain = forecaster.forecast(with_words(), level=0).values
        if is_read.all():
            with pytest.raises(DataError, match="row 34, column 'word': found 'fog', which did not occur in"):
                forecaster.forecast(with_words(new), level=0)
            return
        values = forecaster.forecast(with_words(new), level=0).values
    expected = np.where(is_read[:, None, None, None], np.nan, plain)
    np.testing.assert_allclose(values, expected, rtol=1e-6)  # of float32, in another batch
    texts = [str(each.message) for each in recwarn if "fog" in str(each.message)]
    assert len(texts) == is_read.any()
    if is_read.any():
        name, others = "abc"[is_read.argmax()], is_read.sum() - 1
        end = f"and {others} more have no forecast." if others else "has no forecast."
        assert texts[0].endswith(f"or train with rows that have it. Until then series {name!r} {end}")


@pytest.mark.parametrize("new", [[1], [20], [50, 51, 90]])
def test_backtest_leaves_out_forecasts_that_read_an_unseen_text(new, of_words):
    with pure_python():
        plain = of_words[None].backtest(with_words(), part="all", stride=1)
        with pytest.warns(ZooWarning, match="'fog', .* left out, because they read such values.$") as notes:
            other = of_words[None].backtest(with_words(new), part="all", stride=1)
        with pytest.raises(DataError, match="row 0, column 'word': found 'fog'"):
            of_words[None].backtest(with_words(range(120)), part="all")
    series = np.searchsorted(["a", "b", "c"], plain.forecast.series)
    origins = plain.forecast.origins
    is_read = np.array([((row - 6 < np.array(new)) & (np.array(new) <= row)).any() for row in origins])
    is_read &= np.isin(series, np.array(new) // 40)
    assert f"Until then {is_read.sum()} of {len(origins)} forecasts" in str(notes[0].message)
    np.testing.assert_array_equal(other.forecast.origins, origins[~is_read])
    assert other.scores["windows"] == (~is_read).sum()
    np.testing.assert_allclose(other.forecast.values[..., 1], plain.forecast.values[~is_read][..., 1])


@pytest.mark.parametrize("horizon", [1, 3])
def test_longer_forecasts_continue_from_point_forecasts(horizon, run, tmp_path):
    """A forecast of n steps equals one block, written into the table, and then the next block."""
    if horizon == 3:
        settings = {"cell": "vanilla", "hidden": 8, "batch": 8, "context": 10, "threads": 1}
        settings["predict"] = "correction"
        run = zoo.train(
            table(), target="y", dtype="float64", horizon=3, steps=5, out=tmp_path / "r", **settings
        )
    data = table()
    whole = zoo.forecast(run, data, steps=7)
    blocks = []
    for _ in range(-(-7 // horizon)):
        block = zoo.forecast(run, data)
        blocks.append(block.values[..., 1])
        data = {
            "month": np.concatenate([data["month"], block.times[0].astype("M8[D]")]),
            "y": np.concatenate([data["y"], block.values[0, :, 0, 1]]),
        }
    np.testing.assert_allclose(whole.values[..., 1], np.concatenate(blocks, axis=1)[:, :7], rtol=1e-9)


def test_forecast_is_csv_or_json(run):
    result = command("forecast", run.path, "--steps", 3)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["time"] for row in rows] == ["2013-05-01", "2013-06-01", "2013-07-01"]
    values = zoo.forecast(run, steps=3).values[0, :, 0]
    assert [float(row["y"]) for row in rows] == pytest.approx(values[:, 1].tolist(), rel=1e-5)
    assert [float(row["y_q0.9"]) for row in rows] == pytest.approx(values[:, 2].tolist(), rel=1e-5)
    assert command("forecast", run.path, "--steps", 3, "--csv").stdout == result.stdout
    header, *_ = command("forecast", run.path, "--level", 0.5).stdout.splitlines()
    assert header == "time,y,y_q0.25,y_q0.75"
    assert "--level is 2.0; expected a number" in command("forecast", run.path, "--level", 2).stderr
    facts = json.loads(command("forecast", run.path, "--json").stdout)
    quantiles = {"y_q0.1": values[0, 0], "y_q0.9": values[0, 2]}
    assert facts == [{"time": "2013-05-01", "y": values[0, 1], **quantiles}]


def test_forecast_of_a_new_table_begins_after_its_end(run, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("month,y\n" + "".join(f"{m},{y}\n" for m, y in zip(months(170), wave(170), strict=True)))
    lines = command("forecast", run.path, "--data", path).stdout.splitlines()
    assert lines[1].startswith("2014-03-01,")
    assert zoo.forecast(run, path).times[0, 0] == np.datetime64("2014-03-01")


@pytest.mark.parametrize("end", ["", "Z", "+02:00", "-05:00"])
def test_forecasts_of_times_with_an_offset_are_in_utc(end):
    """Without an offset, times are those of the table; with one, they are in UTC and marked with ``Z``."""
    hours = np.datetime64("2024-05-01T00") + np.arange(N)
    data = {"time": [f"{hour}:00{end}" for hour in hours], "y": wave()}
    settings = {"hidden": 4, "steps": 2, "context": 10, "threads": 1}
    result = zoo.fit(data, target="y", **settings).forecast(level=0)
    following = hours[-1] + np.timedelta64(1 + {"+02:00": -2, "-05:00": 5}.get(end, 0), "h")
    shown = str(following).replace("T", " ") + ":00" + ("Z" if end else "")
    assert result.is_utc == bool(end)
    assert result.to_csv().splitlines()[1].startswith(f"{shown},")
    assert result.to_json()[0]["time"] == shown
    assert result.columns()["time"][0] == following


def test_texts_of_times_must_be_in_order():
    """Times that a table holds as texts are checked: rows out of order were accepted."""
    data = {"month": months().astype(str), "y": wave()}
    forecaster = zoo.fit(data, target="y", hidden=4, steps=2, context=10, threads=1)
    assert forecaster.spec.roles.time == "month"
    shuffled = {name: np.roll(column, 1) for name, column in data.items()}
    for use in (lambda: zoo.fit(shuffled, target="y"), lambda: forecaster.forecast(shuffled)):
        with pytest.raises(
            DataError, match="row 1, column 'month': the time 2000-01-01 is before 2013-04-01"
        ):
            use()


def test_dates_in_another_format_give_a_warning_in_python(tmp_path):
    """The command line prints the column and the reason in the line ``reads``."""
    data = {"day": [f"{day % 28 + 1}.{day // 28 + 1}.2024" for day in range(N)], "y": wave()}
    settings = {"hidden": 4, "steps": 2, "context": 10, "threads": 1}
    with pytest.warns(ZooWarning, match=r"left out column day \(looks like dates, but is not ISO 8601"):
        zoo.fit(data, target="y", **settings)
    with pytest.warns(ZooWarning, match="left out column day"):
        zoo.train(data, target="y", out=tmp_path / "run", **settings)
    zoo.fit(data, target="y", on_event=lambda event: None, **settings)  # which lists them


def with_future(times, future):
    """A table with a history at some times, and rows with a known future after it."""
    count, rows = len(times), len(future)
    values = np.append(wave(count), np.full(rows, np.nan))
    return {"time": np.append(times, future), "y": values, "known": np.arange(count + rows) % 5}


@pytest.fixture(scope="module")
def hourly():
    """A model of three steps with a known column, trained on hours."""
    hours = np.datetime64("2024-05-01T00") + np.arange(N)
    settings = {"hidden": 4, "steps": 2, "context": 10, "horizon": 3, "threads": 1}
    return zoo.fit(with_future(hours, hours[:0]), target="y", known_future=["known"], **settings), hours


@pytest.mark.parametrize(
    ("after", "row"),
    [
        ([1, 2, 3], None),
        ([1, 2, 3, 9], None),  # after the horizon
        ([2, 3, 4], N),
        ([24000, 24001, 24002], N),
        ([1, 3, 4], N + 1),
        ([1, 2, 4], N + 2),
    ],
)
def test_jump_from_the_history_to_future_rows_is_an_error(after, row, hourly):
    """A gap gave the forecasts of the next rows the times of later ones."""
    forecaster, hours = hourly
    data = with_future(hours, hours[-1] + np.array(after))
    if row is None:
        assert forecaster.forecast(data, level=0).times[0].tolist() == (hours[-1] + np.arange(1, 4)).tolist()
        return
    with pytest.raises(
        DataError,
        match=rf"row {row}, column 'time': .* rows of the history are 1 h apart. Add the missing rows",
    ):
        forecaster.forecast(data, level=0)


def test_future_rows_before_the_end_of_the_history_are_an_error(hourly):
    forecaster, hours = hourly
    with pytest.raises(DataError, match="is before"):
        forecaster.forecast(with_future(hours, hours[-1] + np.array([-2, 1, 2])))


def test_uneven_histories_may_go_on_with_any_of_their_steps(hourly):
    """Working days follow each other after one or three days."""
    days = np.datetime64("2024-05-01") + np.arange(2 * N)
    days = days[np.is_busday(days)][:N]
    future = np.busday_offset(days[-1], [1, 2, 3])
    with pytest.warns(ZooWarning, match="rows are 1 day apart, and rows of training were 1 h apart"):
        hourly[0].forecast(with_future(days, future), level=0)
    with pytest.raises(DataError, match="but the rows of the history are 1 day to 3 days apart"):
        hourly[0].forecast(with_future(days, future + np.timedelta64(7, "D")), level=0)


@pytest.mark.parametrize("minutes", [5, 30, 60, 62, 90, 1440])
def test_other_steps_than_in_training_give_a_warning(minutes, hourly, recwarn):
    forecaster, hours = hourly
    times = hours[0] + minutes * np.arange(N).astype("m8[m]")
    forecaster.backtest(with_future(times, times[:0]), level=0, part="all")
    forecaster.forecast(with_future(times[:-3], times[-3:]), level=0)
    sentence = "table: rows are .* apart, and rows of training were 1 h apart. One forecast step is always"
    shown = [str(each.message) for each in recwarn]
    assert len(shown) == (0 if 48 < minutes < 75 else 2)
    assert all(re.match(sentence, each) for each in shown)


def test_backtest_compares_with_actual_values(run):
    result = zoo.backtest(run, steps=2)
    forecast = result.forecast
    assert result.scores["part"] == "test"
    assert forecast.values.shape == (8, 2, 1, 3)
    assert forecast.origins[0] == months()[143]
    np.testing.assert_allclose(forecast.actual[..., 0].reshape(-1), wave()[144:])
    np.testing.assert_array_equal(forecast.times.reshape(-1), months()[144:].astype("M8[us]"))
    mae = np.abs(forecast.values[..., 0, 1] - forecast.actual[..., 0]).mean()
    assert result.scores["targets"][0]["metrics"]["model"]["mae"]["value"] == pytest.approx(mae)
    from_one = zoo.forecast(run, table(146), steps=2)
    np.testing.assert_allclose(from_one.values[0], forecast.values[1], rtol=1e-9)
    assert zoo.backtest(run, steps=2, stride=1).forecast.values.shape[0] == 15


@pytest.mark.parametrize("part", [None, "test"])
@pytest.mark.parametrize("rows", [30, N - 17, N - 16, N - 15, N, N + 12])
def test_backtest_of_a_table_that_has_grown_begins_after_the_rows_of_training(rows, part, run):
    """Validation ends with row 143. A forecast of one step needs one later row."""
    later = rows - 144
    if later > 0:
        scores = zoo.backtest(run, table(rows), part=part).scores
        assert (scores["part"], scores["windows"]) == ("test", later)
    else:
        sentence = (
            rf"no forecast lies after the last time that training or validation has read "
            rf"\({months()[143]}\), .* Give 1 row or more after this ti"
        )
        with pytest.raises(DataError, match=f"{sentence}me, or give `part='all'` to evaluate all rows"):
            zoo.backtest(run, table(rows), part=part)
    assert zoo.backtest(run, table(rows), part="all").scores["windows"] == rows - 10


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 150),
    size=st.integers(12, 200),
    new_size=st.sampled_from([0, 5, 40]),
    part=st.sampled_from([None, "test"]),
)
def test_backtest_of_other_data_reads_no_row_of_training(first, size, new_size, part, run):
    """Rows may be added and removed at both ends, and a new series may come first."""
    trained = Forecaster.load(run)
    named = replace(
        trained,
        spec=replace(trained.spec, roles=replace(trained.spec.roles, series="id")),
        scaling=replace(trained.scaling, names=("old",)),
        calibration=replace(trained.calibration, last_seen={"old": str(months()[143])}),
    )
    data = {
        "id": ["new"] * new_size + ["old"] * size,
        "month": np.concatenate([months(new_size), months(first + size)[first:]]),
        "y": np.concatenate([wave(new_size), wave(first + size)[first:]]),
    }
    origins = {("new", time) for time in months(new_size)[max(10, new_size * 4 // 5) - 1 : -1]}
    start = max(first + 9, 143)
    origins |= {("old", time) for time in months(first + size)[start:-1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not origins:
            with pytest.raises(
                DataError,
                match=r"no forecast lies after the last time .* of series 'old'\)|too few for 1 step",
            ):
                named.backtest(data, part=part, stride=1)
            return
        forecast = named.backtest(data, part=part, stride=1).forecast
    assert set(zip(forecast.series, forecast.origins.astype("M8[D]"), strict=True)) == origins
    for other in ("train", "valid"):
        with pytest.raises(UsageError, match=f"part is '{other}', but table is not the table of training"):
            named.backtest(data, part=other)


@pytest.mark.parametrize("part", [None, "train", "valid", "test", "all"])
def test_table_of_training_in_another_file_has_its_parts(part, run, tmp_path):
    copy = tmp_path / "moved.csv"
    copy.write_bytes(Path(run.config.data[0]).read_bytes())
    assert zoo.backtest(run, copy, part=part).scores == zoo.backtest(run, part=part).scores
    words = ["--part", part] if part else []
    printed = [command("backtest", run.path, *more, *words).stdout for more in ((), ("--data", copy))]
    assert printed[0] == printed[1]
    assert printed[0].startswith("y, ")


@pytest.mark.parametrize("first", [144, 150])
def test_backtest_of_later_rows_alone_reads_all_of_them(first, run):
    data = {name: column[first:] for name, column in table(first + 30).items()}
    scores = zoo.backtest(run, data).scores
    assert (scores["part"], scores["windows"]) == ("all", 20)


def test_backtest_without_a_digest_of_the_rows_of_training_reads_all_rows(run):
    trained = Forecaster.load(run)
    roles = replace(trained.spec.roles, time=None)
    without = replace(trained, spec=replace(trained.spec, roles=roles, time_kind=None))
    assert without.backtest({"y": wave()}).scores["part"] == "all"


def test_backtest_of_a_new_series_reads_no_later_rows(run):
    """The units of a new series come from its training part, and forecasts begin after it."""
    trained = Forecaster.load(run)
    named = replace(trained, spec=replace(trained.spec, roles=replace(trained.spec.roles, series="id")))
    later = wave()
    later[-8:] += 1e3
    one, two = (named.backtest({**table(), "y": y, "id": ["new"] * N}) for y in (wave(), later))
    assert one.scores["part"] == "test"
    assert one.forecast.origins[0] == months()[127]
    np.testing.assert_array_equal(one.forecast.values[:24], two.forecast.values[:24])


def test_backtest_command(run):
    text = command("backtest", run.path, "--steps", 2).stdout
    assert text.startswith("y, test part, 8 windows:\n")  # too few for intervals
    assert "y: " in text.splitlines()[-1]
    text = command("backtest", run.path, "--level", 0.99).stdout
    assert (
        "note: there is no interval: there are 16 earlier forecasts of 1 step (16 of the validation" in text
    )
    assert "An interval of 99 % needs 99. Lower --level, or train with a validation part of about 99" in text
    rows = list(csv.DictReader(io.StringIO(command("backtest", run.path, "--csv").stdout)))
    assert list(rows[0]) == ["origin", "time", "y", "y_q0.1", "y_q0.9", "y_actual"]
    assert len(rows) == 16
    facts = json.loads(command("backtest", run.path, "--part", "valid", "--json").stdout)
    assert (facts["part"], facts["windows"]) == ("valid", 16)


TWO_DAYS = ["2000-02-01", "2000-02-02"]


@pytest.mark.parametrize(
    ("past", "step", "future"),
    [
        (months(5), np.timedelta64(31, "D"), ["2000-06-01", "2000-07-01"]),
        (months(9)[::3], np.timedelta64(91, "D"), ["2000-10-01", "2001-01-01"]),
        (np.arange("2000-01-30", "2000-02-01", dtype="M8[D]"), np.timedelta64(1, "D"), TWO_DAYS),
    ],
)
def test_times_go_on_in_calendar_months_or_in_steps(past, step, future):
    assert extend_times(past, 2, step).astype(str).tolist() == future
    assert extend_times(np.array([1.0, 3.0]), 2, 2.0).tolist() == [5, 7]


def test_errors_are_one_sentence(run, tmp_path):
    short = {"month": months(5), "y": wave(5)}
    for values, sentence in (
        ([1.0], "table has 1 row of history; the model reads 10 before a forecast"),
        ([np.nan, *range(20)], "row 0, column 'y': the value is missing; fill it."),  # no setting can change
        ([1.0, "a"], "table, row 1, column 'y': found 'a' of the type str, and numeric values in"),
        ([1.0, np.inf, 2.0], "row 1, column 'y': found inf; expected a finite number"),
    ):
        with pytest.raises((DataError, UsageError)) as error:
            zoo.forecast(run, {"month": months(len(values)), "y": values})
        assert sentence in str(error.value)
    with pytest.raises(DataError, match=r"is repeated; remove one of the rows\.$"):
        zoo.forecast(run, {"month": np.repeat(months(10), 2), "y": wave(20)})
    with pytest.raises(DataError, match="table has 5 rows of history; the model reads 10 before a"):
        zoo.forecast(run, short)
    with pytest.raises(DataError, match="table has no column 'y'"):
        zoo.forecast(run, {"month": months(), "x": wave()})
    with pytest.raises(
        DataError,
        match="the test part of the table has 16 rows, too few for 40 steps after a context of 10 rows, ",
    ):
        zoo.backtest(run, steps=40, part="test")
    with pytest.raises(
        DataError, match="the table has 10 rows, too few for 1 step after a context of 10 rows; give"
    ):
        zoo.backtest(run, table(10), part="all")
    with pytest.raises(UsageError, match="steps is 0; expected an integer of at least 1"):
        zoo.forecast(run, steps=0)
    with pytest.raises(UsageError, match="part is 'best'; expected one of 'train', 'valid', 'test', 'all'"):
        zoo.backtest(run, part="best")
    with pytest.raises(UsageError, match="no/run: no such file or directory; `zoo runs` lists the runs"):
        zoo.forecast("no/run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty holds no checkpoint"):
        zoo.forecast(tmp_path / "empty")


def test_longer_forecast_with_other_columns_is_an_error(tmp_path):
    data = {**table(), "x": wave()[::-1].copy()}
    settings = {"cell": "vanilla", "hidden": 4, "batch": 4, "context": 10, "threads": 1, "steps": 1}
    run = zoo.train(data, target="y", horizon=2, out=tmp_path / "run", **settings)
    assert zoo.forecast(run, data, steps=1).values.shape == (1, 1, 1, 3)
    with pytest.raises(UsageError, match="`steps` is 3 and the horizon of the model is 2; a longer"):
        zoo.forecast(run, data, steps=3)
    rows = zip(*data.values(), strict=True)
    (tmp_path / "x.csv").write_text("month,y,x\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    for verb in ("forecast", "backtest"):
        result = command(verb, run.path, "--data", tmp_path / "x.csv", "--steps", 3)
        assert "Error: --steps is 3 and the horizon" in result.stderr
        assert "Train with a --horizon of 3, or with the target as the only --input." in result.stderr


def test_run_on_a_text_is_an_error(tmp_path):
    zoo.train("builtin:hello", cell="vanilla", hidden=4, steps=1, out=tmp_path / "run")
    for verb in ("forecast", "backtest"):
        result = command(verb, tmp_path / "run")
        use = f"use `zoo sample {tmp_path / 'run'}`, or train one with `zoo train --data FILE.csv"
        assert f"is not a forecasting model; {use}" in result.stderr
        assert result.exit_code == 2


@pytest.mark.parametrize("form", [list, np.array, lambda texts: np.array(texts, object)])
@pytest.mark.parametrize("column", ["y", "x"])
@pytest.mark.parametrize(
    "texts", [lambda values: list(map(str, values)), lambda values: [*map(str, values[:-1]), ""]]
)
def test_numbers_as_texts_are_an_error_that_says_to_convert_them(form, column, texts):
    values = np.random.default_rng(0).normal(size=(2, 80))
    given = {"y": values[0], "x": values[1]}
    with pure_python():
        fitted = zoo.fit(
            given, target="y", input=["x"], horizon=2, context=4, steps=1, hidden=2, cell="vanilla"
        )
    late = {name: each[-9:] for name, each in given.items()}
    with pytest.raises(DataError, match=r"Convert the texts to numbers, as in `np\.array\(values, float\)`"):
        zoo.forecast(fitted, late | {column: form(texts(late[column]))})


@pytest.mark.parametrize("as_file", [False, True])
def test_input_of_numbers_rejects_words(as_file, tmp_path):
    """The model read the codes of the words as numbers."""
    values = np.random.default_rng(0).normal(size=(2, 80))
    given = {"y": values[0], "x": values[1]}
    with pure_python():
        fitted = zoo.fit(
            given, target="y", input=["x"], horizon=2, context=4, steps=1, hidden=2, cell="vanilla"
        )
    late = {"y": values[0, -9:], "x": ["a", "b", "c"] * 3}
    if as_file:
        path = tmp_path / "late.csv"
        path.write_text("\n".join(["y,x", *(f"{y},{x}" for y, x in zip(*late.values(), strict=True))]))
    with pytest.raises(
        DataError, match=r"column 'x': found 'a'; expected a number\. Correct the value, leave"
    ):
        zoo.forecast(fitted, path if as_file else late)
