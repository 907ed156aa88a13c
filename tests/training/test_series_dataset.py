"""Training on tables: what a run learns and writes, exact resume, evaluation, and invalid input."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from finite_differences import derivative
from hypothesis import given, settings
from hypothesis import strategies as st
from run_asserts import without_clock

import zoo
from zoo.cli.app import cli
from zoo.cli.format import best_loss, data_header, score_lines
from zoo.errors import CheckpointError, DataError, UsageError, ZooError, ZooWarning
from zoo.forecasting.baselines import History, linear_autoregression
from zoo.forecasting.predict import network_forecasts
from zoo.forecasting.target_losses import check_any_target
from zoo.kernels import pure_python
from zoo.layers import StackConfig
from zoo.layers.stack import Stack
from zoo.registry import loader
from zoo.storage import RunDirectory
from zoo.training.aux_notes import aux_notes
from zoo.training.config_conversion import make_config
from zoo.training.series_dataset import prepare_table
from zoo.training.session import _data_kind

SMALL = {"cell": "vanilla", "hidden": 8, "batch": 8, "context": 12, "horizon": 3, "lr": 0.01, "threads": 1}
N = 240
NAN = float("nan")


def wave(n=N, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    return 5 + 2 * np.sin(2 * np.pi * np.arange(n) / 8) + rng.normal(size=n) * noise


def csv_file(path, **columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def hours(n=N):
    return np.datetime64("2024-01-01T00:00") + np.arange(n).astype("m8[h]")


def command(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def train(data, tmp_path, name="run", **settings):
    return zoo.train(data, out=tmp_path / name, **{**SMALL, "target": "y", "steps": 20, **settings})


def grouped(series=24, rows=60):
    """Two series of each of twelve people."""
    return {
        "id": np.repeat([f"s{number}" for number in range(series)], rows),
        "person": np.repeat([f"p{number // 2}" for number in range(series)], rows),
        "y": np.concatenate([wave(rows, seed=number) for number in range(series)]),
    }


def prepared(data, **settings):
    given = {**SMALL, "data": ("x",), "kind": "table", "target": "y", **settings}
    return prepare_table(make_config(given), data)[1]


# ---- what it learns -----------------------------------------------------------------------------------


def test_model_learns_a_wave_better_than_the_baselines(tmp_path):
    rng, x = np.random.default_rng(0), [0.1]
    for _ in range(1200):
        x.append(3.9 * x[-1] * (1 - x[-1]))  # chaotic: no linear forecast of the next value
    y = np.array(x) + rng.normal(size=len(x)) * 1e-4
    run = train({"y": y}, tmp_path, horizon=1, context=8, steps=600, lr=0.02, hidden=16, loss="squared_error")
    (scores,) = run.history[-1]["test"]["targets"]
    assert scores["improvement"]["low"] > 0.5
    assert scores["summary"].startswith("y: better than the best baseline, linear autoregression: MAE")
    assert set(scores["metrics"]) == {"model", "last value", "moving average", "linear autoregression"} | (
        {"seasonal naive"} if run.config.season > 1 else set()
    )


@pytest.mark.parametrize("missing", [False, True])
def test_corrected_forecasts_of_a_silent_network_are_the_linear_autoregression(missing):
    y = wave(seed=1)
    if missing:
        y += np.arange(N)  # the drift has the same unit with many gaps
        y[np.random.default_rng(0).random(N) < 0.4] = np.nan
    data = {"id": np.repeat(["a", "b"], N), "y": np.concatenate([wave(), y]), "z": np.arange(2.0 * N) ** 2}
    given = {"target": ("y", "z"), "series": "id", "missing": "mask", "dtype": "float64"}
    with zoo.kernels.pure_python():
        dataset = prepared(data, predict="correction", **given)
        config = make_config({**SMALL, "target": "y", "dtype": "float64"})
        model = dataset.make_model(zoo.get_cell("vanilla"), config)
        model.theta = np.zeros_like(model.theta)
        origins = np.array([11, 150, 200, N + 11, N + 201])
        forecasts = network_forecasts(model, dataset.windows, origins)[..., 1]
    history = History.of_panel(dataset.panel, dataset.cuts[0], 12, dataset.windows.spec.season, 3)
    np.testing.assert_allclose(forecasts, linear_autoregression(history, origins), rtol=1e-6)
    assert 0.9 < dataset.windows.targets(np.arange(100, 150)).std() < 1.1


def test_each_target_has_its_own_loss():
    """The loss is the mean of the losses of models of one target with the same outputs."""
    data = {"y": wave(), "z": wave(seed=1) ** 2}
    losses = {"y": "huber:0.5", "z": "quantile:0.9"}
    with zoo.kernels.pure_python():
        dataset = prepared(data, target="y,z", loss=losses, dtype="float64", horizon=2)
        model = dataset.make_model(zoo.get_cell("vanilla"), make_config({**SMALL, "target": "y"}))
        windows, origins = dataset.windows, np.arange(191, 200)
        x, targets = windows.inputs(origins), windows.targets(origins)
        outputs = model.outputs(x)[0][-1]
        error = (targets - outputs)[:, ::2], (targets - outputs)[:, 1::2]
        huber = np.where(abs(error[0]) <= 0.5, error[0] ** 2 / 2, 0.5 * (abs(error[0]) - 0.25))
        quantile = np.maximum(0.9 * error[1], -0.1 * error[1])
        assert model.loss(x, targets)[0] == pytest.approx((huber.mean() + quantile.mean()) / 2)
    assert dataset.windows.spec.levels == ()
    with pytest.raises(UsageError, match="target_weights are given with the loss 'huber'"):
        prepared(data, target="y,z", loss=losses, target_weights="y=2")
    weighted = prepared(data, target="y,z", loss="y=squared_error,z=quantile", target_weights="y=3")
    assert weighted.windows.spec.output_factors == pytest.approx((1.5**0.5, 0.5))


@pytest.mark.parametrize("option", ["0.25", "delta=0.25", " delta = 0.25 "])
@pytest.mark.parametrize("names", [("y", "z"), ("a:b", "z"), ("a=b", "y:1")])
def test_options_of_losses_have_one_notation(option, names):
    """As in `zoo.SequenceModel(loss="huber:delta=0.25")`: for all targets, or for each."""
    data, target = dict(zip(names, (wave(), wave()), strict=True)), ",".join(names)
    loss = f"huber:{option}"
    with zoo.kernels.pure_python():
        assert str(prepared(data, target=target, loss=loss).loss) == "huber(delta=0.25)"
        model = zoo.SequenceModel("vanilla", input_size=1, output_size=1, hidden_size=1, loss=loss)
        assert str(model.criterion) == "huber(delta=0.25)"
    expected = "per_target(kind0=2.0, parameter0=0.25, kind1=2.0, parameter1=0.25)"
    for losses in (dict.fromkeys(names, loss), ",".join(f"{name}={loss}" for name in names)):
        assert str(prepared(data, target=target, loss=losses).loss) == expected


def test_loss_with_a_range_does_not_fit_scaled_targets():
    counts = replace(zoo.get_loss("squared_error"), name="counts", low=0)
    check_any_target(replace(counts, low=None), "a forecast")
    words = "loss is 'counts' for numbers of at least 0, and the targets of a forecast are scaled to mean 0"
    with pytest.raises(UsageError, match=words):
        check_any_target(counts, "a forecast")
    snapshot = loader.LOADER.snapshot()
    zoo.register_loss(counts)
    try:
        with pytest.raises(UsageError, match=words):
            prepared({"y": wave() + 9}, loss="counts")
    finally:
        loader.LOADER.restore(snapshot)


def test_loss_of_each_target_on_the_command_line(tmp_path):
    path = csv_file(tmp_path / "x.csv", y=wave(), z=wave(seed=1))
    words = ("--target", "y,z", "--loss", "y=huber:delta=0.5,z=quantile:0.9", "--context", 6, "--hidden", 2)
    words += ("--batch", 2, "--threads", 1)
    with zoo.kernels.pure_python():  # saves the compilation of another readout
        done = command("train", "--data", path, *words, "--steps", 2, "--out", tmp_path / "run")
        assert done.exit_code == 0, done.stderr
        assert "\nloss   y=huber:delta=0.5, z=quantile:0.9\nsplit" in done.stderr
        resumed = command("train", "--resume", "--out", tmp_path / "run", "--steps", 3, "--quiet")
        assert resumed.exit_code == 0, resumed.stderr
    criterion = zoo.load(tmp_path / "run").criterion
    assert str(criterion) == "per_target(kind0=2.0, parameter0=0.5, kind1=3.0, parameter1=0.9)"
    wrong = command("train", "--data", path, *words, "--set", "loss.delta=2", "--out", tmp_path / "other")
    assert wrong.exit_code == 2


def test_weights_of_rows_enter_the_loss(tmp_path):
    """A forecast has the mean weight of its rows; other data need no weights."""
    weights = np.random.default_rng(0).uniform(0.1, 3, N)
    data = {"y": wave(), "w": weights}
    with zoo.kernels.pure_python():
        dataset = prepared(data, weight="w", dtype="float64")
        assert dataset.panel.roles.input == ()
        model = dataset.make_model(zoo.get_cell("vanilla"), make_config({**SMALL, "target": "y"}))
        origins = np.arange(191, 213)  # of the validation part
        windows = dataset.windows
        single = [model.loss(windows.inputs(row), windows.targets(row))[0] for row in origins[:, None]]
        means = [weights[row + 1 : row + 4].mean() for row in origins]
        assert dataset.evaluate(model).loss == pytest.approx(np.average(single, weights=means))
    batch, plain = (each.training_batch(0) for each in (dataset, prepared(data, dtype="float64")))
    assert not batch["weights"][:6].any()
    ends = dataset.windows.past[:, 1].tolist()
    for b in range(8):
        row = ends.index(batch["inputs"][-1, b, 1])
        expected = [weights[step + 1 : step + 4].mean() for step in range(row - 5, row + 1)]
        np.testing.assert_allclose(batch["weights"][6:, b], expected)
    assert set(plain["weights"][6:].flat) == {1.0}
    run = train({**data, "note": list(map(str, range(N)))}, tmp_path, weight="w", steps=2)
    shown = data_header(run.history[0])
    assert shown["weight"] == "w, which multiplies the loss"
    reason = f"{N} different text values; to include it, list all inputs with --input"
    assert shown["reads"] == f"y; left out: note ({reason})"
    assert zoo.forecast(run, {"y": wave()}).values.shape == (1, 3, 1, 3)


def test_forecasts_scale_with_the_units_of_the_table(tmp_path):
    """Celsius or Fahrenheit make no difference: normalisation is inverted."""
    y = wave()
    one = zoo.forecast(train({"y": y}, tmp_path, "one", dtype="float64"))
    two = zoo.forecast(train({"y": 1.8e4 * y - 32}, tmp_path, "two", dtype="float64"))
    np.testing.assert_allclose(two.values, 1.8e4 * one.values - 32, rtol=1e-8)
    assert one.values.shape == (1, 3, 1, 3)
    assert (np.diff(one.values, axis=-1) >= 0).all()


def test_resolved_settings_and_the_end_are_written(tmp_path):
    events = []
    run = train(
        {"t": hours(), "y": wave(), "x": wave(seed=1), "c": np.ones(N)},
        tmp_path,
        context=None,
        on_event=events.append,
    )
    config = run.config
    assert (config.kind, config.input, config.time) == ("table", ("x",), "t")
    assert (config.season, config.context) == (24, 48)
    assert events[0]["table"]["full_context"] is None
    assert (config.split, config.loss, config.data) == ("80,10,10", "interval", ("table:table",))
    start, end = events[0], events[-1]
    assert start["table"]["parts"] == [192, 24, 24]
    assert start["table"]["left_out"] == ["c (constant)"]
    assert (end["event"], end["test"]["part"], end["test"]["windows"]) == ("end", "test", 22)
    assert run.best_loss == min(event["loss"] for event in events if event["event"] == "eval")
    assert all(event["metric"] == "mae" for event in events if event["event"] == "eval")
    assert (start["lr"], start["table"]["note"]) == (0.01, "")


@pytest.mark.parametrize(
    ("loss", "options", "outputs"),
    [
        ("interval", {"low": 0.05, "high": 0.95}, 9),
        ("squared_error", {}, 3),
        ("absolute_error", {}, 3),
        ("huber", {"delta": 0.5}, 3),
        ("quantile", {"quantile": 0.3}, 3),
    ],
)
def test_losses_of_numbers(loss, options, outputs, tmp_path):
    run = train({"y": wave()}, tmp_path, loss=loss, loss_options=options, steps=2)
    assert run.model.output_size == outputs
    assert run.model.criterion == zoo.get_loss(loss, **options)
    forecast = zoo.forecast(run)
    low, high = (0.05, 0.95) if outputs == 9 else (0.1, 0.9)
    assert forecast.levels == (low, 0.5, high)
    assert list(forecast.columns()) == ["step", "y", f"y_q{low}", f"y_q{high}"]
    assert "coverage" in run.history[-1]["test"]["targets"][0]["metrics"]["model"]


def test_several_series_targets_and_categories(tmp_path):
    data = {
        "id": np.repeat(["a", "b"], N),
        "t": np.tile(hours(), 2),
        "y": np.concatenate([wave(), 100 * wave(seed=1)]),
        "z": np.concatenate([wave(seed=2), wave(seed=3)]),
        "word": np.tile(["u", "v"], N),
    }
    run = train(data, tmp_path, target=["y", "z"], series="id", steps=3)
    assert run.config.input == ("word",)
    assert [scores["target"] for scores in run.history[-1]["test"]["targets"]] == ["y", "z"]
    *_, evaluated = (event for event in run.events("eval") if event["best"])
    valid = zoo.backtest(run, part="valid", stride=1).scores["targets"]
    means = [scores["metrics"]["model"]["mase"]["value"] for scores in valid]
    assert evaluated["metric"] == "mase"
    assert evaluated["score"] == pytest.approx(np.mean(means))
    forecast = zoo.forecast(run, data)
    assert forecast.values.shape == (2, 3, 2, 3)
    assert 3 < forecast.values[0, :, 0].mean() < 8
    assert 300 < forecast.values[1, :, 0].mean() < 800
    lines = forecast.to_csv().splitlines()
    assert lines[0] == "series,time,y,y_q0.1,y_q0.9,z,z_q0.1,z_q0.9"
    assert lines[4].startswith("b,2024-01-11 00:00,")


def test_static_inputs_have_an_effect_also_in_new_series():
    data, ages = of_lengths(*[40] * 12), [20, 70] * 6
    settings = {"target": "y", "series": "id", "horizon": 1, "context": 8, "steps": 20, "hidden": 4}
    forecaster = zoo.fit({**data, "age": np.repeat(ages, 40)}, split="80,20", threads=1, **settings)
    new = {"t": hours(20), "id": ["new"] * 20, "y": wave(20)}
    young, old = (forecaster.forecast({**new, "age": [age] * 20}, level=0).values for age in (20, 70))
    assert (young != old).all()


def test_embedding_of_categories_is_trained_resumed_and_read(tmp_path):
    data = {"y": wave(), "word": np.tile(["u", "v", "w"], N // 3), "day": np.tile(["mon", "tue"], N // 2)}
    path, every = (
        csv_file(tmp_path / "x.csv", **data),
        {"embedding": 2, "known_future": "day", "eval_every": 4},
    )
    with zoo.kernels.pure_python():
        whole = train(path, tmp_path, "whole", steps=8, **every)
        train(path, tmp_path, "parts", steps=4, **every)
        resumed = train(path, tmp_path, "parts", steps=8, resume=True, **every)
        np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
        vectors = whole.model.params["embedding"]
        assert vectors.shape == (5, 2)  # three words and two days, the same in each step ahead
        first = prepared(data, **every).make_model(zoo.get_cell("vanilla"), whole.config)
        assert (np.abs(vectors - first.params["embedding"]).max(axis=1) > 0).all()
        assert zoo.backtest(whole).scores["windows"] > 0
        with path.open("a") as file:
            file.write(",,mon\n,,tue\n,,mon\n")
        assert np.isfinite(zoo.forecast(whole, path).values).all()


def test_targets_have_weights_in_the_loss(tmp_path):
    """The loss is the mean of the losses of the targets, each times its weight."""
    data = {"y": wave(), "z": wave(seed=1)}
    for loss, power in (("squared_error", 2), ("interval", 1)):
        given = {"target": "y,z", "loss": loss}
        plain, weighted = prepared(data, **given), prepared(data, **given, target_weights="y=3,z=1")
        one, other = (each.windows.targets(np.array([20])).reshape(3, 2, -1) for each in (plain, weighted))
        factors = np.array([1.5, 0.5]) ** (1 / power)  # weights with a mean of 1
        np.testing.assert_allclose(other, one * factors[:, None], rtol=1e-5)
    run = train(data, tmp_path, target=["y", "z"], target_weights={"y": 3}, steps=2, loss="squared_error")
    assert run.config.target_weights == {"y": 3}
    forecast = zoo.forecast(run, data)
    assert np.abs(forecast.values[..., 1] - 5).max() < 4
    new = zoo.forecast(run, {**data, "y": 10 * data["y"]}, level=0.5)
    assert new.values.shape == (1, 3, 2, 3)


def test_cells_read_the_time_between_rows(tmp_path):
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.uniform(0.5, 1.5, N))
    data = {"t": t, "y": np.sin(t)}
    dataset = prepared(data, time="t")
    batch = dataset.training_batch(0, ("dt",))
    assert batch["dt"].shape == (12, 8)
    assert dataset.training_batch(0, ()).keys() == {"inputs", "targets", "weights"}
    run = train(data, tmp_path, time="t", cell="ctrnn", steps=2)
    values = zoo.forecast(run).values
    assert values.shape == (1, 3, 1, 3)
    slower = zoo.forecast(run, {**data, "t": 2 * t}).values  # the unit is that of training
    assert (slower != values).any()


@pytest.mark.parametrize(
    ("cell", "options", "limit"),
    [
        ("ctrnn", {}, 2),
        ("ctrnn", {"tau_min": 30.0}, None),
        ("gru_ode", {}, 2),
        ("gru_ode", {"steps": 3}, 6),
        ("gru_ode", {"steps": 32}, None),
        ("gru_ode+zoneout", {}, 2),
        ("cfc", {}, None),
        ("gru", {}, None),
    ],
)
def test_gaps_that_are_longer_than_a_solver_takes_are_named(cell, options, limit, tmp_path):
    """The loss was NaN at step 0, and the error named a logarithm or large inputs."""
    time = np.cumsum(np.where(np.arange(N) % 40 == 39, 50, 1)).astype(float)
    settings = {"time": "t", "steps": 1, "context": 5, "cell_options": options}
    with pure_python(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train({"t": time, "y": wave()}, tmp_path, cell=cell, **settings)
    sentence = "the largest time between rows is 50 times the median, and cell"
    notes = [str(each.message) for each in caught if sentence in str(each.message)]
    assert len(notes) == (limit is not None)
    logged = [event["text"] for event in run.history if event["event"] == "warning"]
    assert [sentence in text for text in logged] == [True] * (limit is not None)
    if limit is not None:
        option = "tau_min" if cell.startswith("ctrnn") else "steps"
        assert (
            f"stable up to a dt of {limit}, so its states may grow without bound; raise {option}, or"
            in notes[0]
        )


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("gru", []),
        ("cfc", []),
        ("gru+zoneout", []),
        ("gru+episodes", ["episode_start"]),
        ("cfc+zoneout+episodes", ["episode_start"]),
        ("shallow_plrnn+teacher_forcing", []),  # its default is an option
        (("shallow_plrnn+teacher_forcing", {"teacher_forcing_external": 2}), ["external"]),
    ],
)
def test_auxiliary_inputs_without_data_are_named(cell, names):
    """Noise is drawn, times have a line of their own, and a default that a cell declares is meant."""
    made = zoo.get_cell(cell[0], **cell[1]) if isinstance(cell, tuple) else cell
    stack = Stack(StackConfig(made, 2, 3))
    notes = aux_notes(stack, "table", {"largest_dt": None})
    assert [note.partition("input '")[2].partition("'")[0] for note in notes] == names
    assert all(
        "train an estimator of zoo.sklearn with `aux`, or a zoo.SequenceModel." in note for note in notes
    )
    assert aux_notes(stack, "task", {}) == []  # a task gives the inputs that it has


def test_training_warns_of_auxiliary_inputs_without_data(tmp_path):
    with (
        pure_python(),
        pytest.warns(ZooWarning, match="the auxiliary input 'episode_start', and data"),
    ):
        run = train({"y": wave()}, tmp_path, cell="gru+episodes", steps=1, hidden=2, context=5)
    logged = [event["text"] for event in run.history if event["event"] == "warning"]
    assert len(logged) == 1
    assert "'episode_start'" in logged[0]


def test_divergence_at_long_gaps_names_the_gap(tmp_path):
    time = np.cumsum(np.where(np.arange(N) % 3 == 2, 1e6, 1.0))
    error = r"after 0 steps .*; the largest time between rows is 1e\+06 times the median"
    with (
        pure_python(),
        pytest.warns(ZooWarning, match="the largest time between rows"),
        pytest.raises(ZooError, match=error),
    ):
        train({"t": time, "y": wave()}, tmp_path, time="t", cell="ctrnn", context=40)


def test_batches_depend_on_the_seed_and_the_step_only():
    one, same, other = (prepared({"y": wave()}, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.training_batch(3)["inputs"], same.training_batch(3)["inputs"])
    assert (one.training_batch(3)["inputs"] != one.training_batch(4)["inputs"]).any()
    assert (one.training_batch(3)["inputs"] != other.training_batch(3)["inputs"]).any()


def test_no_training_batch_reads_a_later_part():
    later = wave()
    later[192:] += 1e6
    one, two = prepared({"y": wave()}), prepared({"y": later})
    for step in range(30):
        for name, array in one.training_batch(step).items():
            np.testing.assert_array_equal(array, two.training_batch(step)[name])


def test_missing_values(tmp_path):
    y = wave()
    y[[20, 21, 100]] = np.nan
    with pytest.raises(DataError, match="row 20, column 'y': the value is missing, one of 3"):
        train({"y": y}, tmp_path, "a")
    for missing, inputs in (("forward", 2), ("mask", 3)):
        run = train({"y": y}, tmp_path, missing, missing=missing, steps=3)
        assert run.model.stack.input_size == inputs
        assert np.isfinite(run.best_loss)
        assert np.isfinite(zoo.forecast(run, {"y": y}).values).all()


@pytest.mark.parametrize("share", [0.15, 0.3, 0.7])
@pytest.mark.parametrize("series", [1, 3])
def test_filled_targets_are_no_actual_values(share, series):
    """``forward`` fills the inputs; errors, MASE and coverage count observed targets, as with ``mask``."""
    rng, count = np.random.default_rng(0), 240
    names = np.repeat([f"s{number}" for number in range(series)], count)
    y = np.concatenate([wave(seed=seed) for seed in range(series)])
    y[(rng.random(len(y)) < share) & (np.arange(len(y)) % count > 0)] = np.nan
    data, results = {"id": names, "y": y}, {}
    for missing in ("forward", "mask"):
        settings = {"missing": missing, "steps": 2, "hidden": 3, "horizon": 2, "context": 8}
        results[missing] = zoo.fit(data, target="y", series="id", season=7, **settings).backtest(
            stride=1, level=0
        )
    filled, masked = results["forward"], results["mask"]
    assert np.isnan(filled.forecast.actual).any()
    np.testing.assert_array_equal(filled.forecast.actual, masked.forecast.actual)
    assert filled.scores["windows"] == masked.scores["windows"]
    (of_filled,), (of_masked,) = filled.scores["targets"], masked.scores["targets"]
    for baseline in ("last value", "moving average"):
        assert of_filled["metrics"][baseline] == of_masked["metrics"][baseline]
    lines = filled.forecast.to_csv().splitlines()[1:]
    assert sum(line.endswith(",") for line in lines) == np.isnan(filled.forecast.actual).sum()


def test_missing_targets_have_neither_a_loss_nor_a_gradient():
    y, z = wave(), wave(seed=1)
    y[::4], y[100:110] = np.nan, np.nan
    settings = {"missing": "mask", "target": "y,z", "dtype": "float64", "horizon": 5, "hidden": 3}
    config = make_config({**SMALL, **settings})
    with zoo.kernels.pure_python():
        for loss in ("interval", "squared_error", "y=huber:0.5,z=quantile:0.9"):
            dataset = prepared({"y": y, "z": z}, loss=loss, **settings)
            model = dataset.make_model(zoo.get_cell("vanilla"), config)
            batch = dataset.training_batch(0)
            present = ~np.isnan(batch["targets"])
            assert 0.8 < present[6:].mean() < 0.9
            has_loss = batch["weights"] > 0

            def mean_loss(model=model, batch=batch, present=present, has_loss=has_loss, loss=dataset.loss):
                """The mean loss of the present targets, each of them in a row of its own."""
                outputs = model.outputs(batch["inputs"])[0]
                targets = np.where(present, batch["targets"], outputs)
                losses = [
                    loss.row_loss(outputs[at], targets[at], *loss.values)
                    for at in map(tuple, np.argwhere(has_loss))
                ]
                return sum(losses) / present[has_loss].mean() / len(losses)

            value = dataset.loss_and_grad(model, 0, None, None).loss
            assert value == pytest.approx(mean_loss())
            grad, share = model.grad.copy(), present[has_loss].mean()
            for index in range(0, grad.size, 9):
                slope = share * derivative(model, index, mean_loss)
                assert slope == pytest.approx(grad[index], abs=1e-6)
            evaluated = dataset.evaluate(model)
            assert np.isfinite([evaluated.loss, evaluated.metrics["score"]]).all()


@settings(max_examples=60)
@given(
    present=st.lists(st.sampled_from([0, 1, 5, 20]), min_size=1, max_size=12),
    context=st.integers(1, 9),
    horizon=st.integers(1, 5),
    two=st.booleans(),
    seed=st.integers(0, 99),
)
def test_training_reads_windows_with_a_target_only(present, context, horizon, two, seed):
    """Every window with a value in a step with a loss can be drawn, and no other."""
    rows, rng = 200, np.random.default_rng(seed)
    y = np.full((2, rows), NAN)
    for column in range(1 + two):
        for size, start in zip(present, rng.integers(0, rows, len(present)), strict=True):
            y[column, start : start + size] = rng.normal(size=len(y[column, start : start + size]))
    y[:, :2] = wave(2)  # a unit
    data = {"y": y[0], "z": y[1]} if two else {"y": y[0]}
    options = {"target": ",".join(data), "context": context, "horizon": horizon, "season": 1, "batch": 64}
    last_end = int(0.8 * rows) - horizon
    first_steps = context // 2
    expected = [
        origin
        for origin in range(context - 1, last_end)
        if any(
            not np.isnan(column[origin - context + 2 + first_steps : origin + horizon + 1]).all()
            for column in data.values()
        )
    ]
    if not expected:
        with pytest.raises(
            DataError, match="table: no window of the training part has a value of a target af"
        ):
            prepared(data, missing="mask", **options)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = prepared(data, missing="mask", **options)
    assert dataset.training_windows == len(expected)
    drawn = set(np.concatenate([dataset._draw(step) for step in range(60)]).tolist())
    assert drawn <= set(expected)
    assert len(drawn) > 0.9 * len(expected)
    batch = dataset.training_batch(0)
    assert (batch["weights"] > 0).any(axis=0).all()


def test_part_without_values_has_no_errors(tmp_path):
    y = wave()
    y[192:] = np.nan
    run = train({"y": [*y, 5.0]}, tmp_path, missing="mask", split="80,20", steps=3)
    events = run.history
    assert events[-1]["event"] == "end"
    assert all(np.isfinite(event["loss"]) for event in events if event["event"] == "eval")
    with pytest.raises(DataError, match="table: no target has a value after its context; give other rows"):
        zoo.backtest(run, {"y": [5.0, 6.0, *np.full(239, np.nan)]})


def test_known_future_values_are_read(tmp_path):
    """The target repeats a column that is known in advance, so its forecast is exact."""
    rng = np.random.default_rng(0)
    holiday = rng.integers(0, 2, 800).astype(float)
    y = 3 * holiday + 0.01 * rng.normal(size=800)
    run = train(
        {"y": y, "holiday": holiday}, tmp_path, known_future="holiday", steps=500, lr=0.02, predict="level"
    )
    (scores,) = run.history[-1]["test"]["targets"]
    assert scores["metrics"]["model"]["mae"]["value"] < 0.3 < scores["metrics"]["last value"]["mae"]["value"]
    future = {"y": [*y[-20:], *[np.nan] * 3], "holiday": [*holiday[-20:], 1, 0, 1]}
    forecast = zoo.forecast(run, future)
    np.testing.assert_allclose(forecast.values[0, :, 0, 1], [3, 0, 3], atol=0.7)
    with pytest.raises(
        DataError,
        match=r"table has 0 rows after the last value of 'y'; a forecast needs 3\. Add 3 rows with future "
        r"holiday and empty y to table\.",
    ):
        zoo.forecast(run, {"y": y, "holiday": holiday})


# ---- runs ---------------------------------------------------------------------------------------------


def test_resumed_run_is_the_same_to_the_bit(tmp_path):
    path = csv_file(tmp_path / "x.csv", t=hours(), y=wave(), word=["u", "v"] * (N // 2))
    every = {"eval_every": 5, "save_every": 5, "log_every": 5}
    whole = train(path, tmp_path, "whole", **every)
    train(path, tmp_path, "parts", **{**every, "steps": 10})
    resumed = train(path, tmp_path, "parts", resume=True, **every)
    np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
    best = [RunDirectory(run.path).load_best(print)[1].arrays for run in (whole, resumed)]
    assert "calibration.residuals" in best[0].keys() == best[1].keys()
    for name, array in best[0].items():
        np.testing.assert_array_equal(best[1][name], array, err_msg=name)
    last = [event for event in without_clock(whole.history) if event["step"] > 10]
    assert [event for event in without_clock(resumed.history) if event["step"] > 10] == last
    longer = command("train", "--resume", "--out", tmp_path / "parts", "--steps", 25, "--quiet")
    assert (longer.exit_code, longer.stderr) == (0, "")
    path.write_text(path.read_text().replace("u", "w"))
    with pytest.raises(CheckpointError, match="the table has changed since"):
        train(path, tmp_path, "parts", resume=True, **{**every, "steps": 30})
    other = command("train", "--resume", "--out", tmp_path / "parts", "--horizon", 5)
    assert "cannot be resumed with another configuration (--horizon: 3 -> 5)" in other.stderr


def test_best_model_is_kept_and_training_stops_early(tmp_path):
    run = train({"y": wave(noise=1.0)}, tmp_path, steps=400, lr=0.1, eval_every=5, patience=3)
    assert run.ended == "no improvement"
    end = run.history[-1]
    assert end["best_step"] == end["step"] - 15
    best = RunDirectory(run.path).load_best(print)
    assert best[0] == end["best_step"]


@pytest.mark.parametrize("target", ["y", "y,x"])
@pytest.mark.parametrize(("lr", "advice"), [(1e-4, "raise --lr"), (1e5, "change --lr (now 100000)")])
def test_hint_after_short_training_depends_on_the_baselines(target, lr, advice, tmp_path, monkeypatch):
    """After too large a learning rate the hint advised a larger one."""
    monkeypatch.chdir(tmp_path)
    csv_file(tmp_path / "x.csv", y=wave(), x=wave()[::-1])
    words = ("--horizon", 3, "--context", 12, "--hidden", 8, "--batch", 8, "--steps", 10, "--eval-every", 1)
    lines = []
    for seed in range(3):  # the last validation is the best of one
        given = ("--target", target, "--lr", lr, "--seed", seed, "--out", f"run{seed}", *words)
        trained = command("train", "--data", "x.csv", *given)
        assert trained.exit_code == 0, trained.stderr
        lines += [line for line in trained.stdout.splitlines() if "--lr" in line]
    assert lines
    assert all(line.endswith(advice) for line in lines)


def test_run_is_listed_reported_tracked_and_evaluated(tmp_path):
    path = csv_file(tmp_path / "x.csv", t=hours(), y=wave(), x=wave(seed=1))
    words = ("--target", "y", "--horizon", 3, "--context", 12, "--hidden", 8, "--batch", 8, "--steps", 20)
    out = tmp_path / "run"
    trained = command(
        *("train", "--data", path, *words, "--out", out, "--tracker", "jsonl"),
        *("--set", f"tracker.path={tmp_path / 'j'}", "--analyse-every", 10, "--set", "loss.low=0.2"),
    )
    assert trained.exit_code == 0, trained.stderr
    assert "table  x.csv: 240 rows, sha256" in trained.stderr
    assert "reads  y, x" in trained.stderr
    assert "y, test part, 22 windows:\n" in trained.stdout  # too few for intervals
    assert "train  adam at 0.001: 20 steps" in trained.stderr
    assert "  best loss\n" in trained.stderr
    last = zoo.Run(out).history[-1]
    assert ("the last validation was the best" in trained.stdout) == (last["best_step"] == 20)
    assert f"forecast with: zoo forecast {out}" in trained.stdout
    assert zoo.Run(out).config.loss_options == {"low": 0.2}
    listed = json.loads(command("runs", tmp_path, "--json").stdout)
    assert (listed[0]["data"], listed[0]["metric"], listed[0]["state"]) == ("x.csv", "mae", "finished")
    facts = json.loads(command("eval", out, "--json").stdout)
    end = zoo.Run(out).history[-1]
    assert facts["targets"][0]["metrics"]["model"] == end["test"]["targets"][0]["metrics"]["model"]
    of_training = command("eval", out, "--part", "train").stdout
    assert "train part" in of_training
    assert "note: the model and the baselines were fitted to this part" in of_training
    assert "--glob does not apply to it" in command("eval", out, "--glob", "*").stderr
    report = command("report", out)
    assert (report.exit_code, "left out" in report.stderr) == (0, False)
    assert "forecasts of 3 steps, test part" in (out / "report.html").read_text()
    assert "finished" in zoo.Run(out)._repr_html_()
    exported = command("export", out, "--format", "c", "--out", tmp_path / "model.c")
    assert exported.exit_code == 0, exported.stderr


def test_resuming_needs_the_table_in_memory(tmp_path):
    data = {"y": wave()}
    train(data, tmp_path)
    assert train(data, tmp_path, resume=True, steps=22).history[-1]["step"] == 22
    result = command("forecast", tmp_path / "run")
    assert "the table was passed from memory and has no file" in result.stderr


def test_fit_writes_only_what_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = []
    settings = {**SMALL, "cell": "vanilla", "steps": 5}
    forecaster = zoo.fit({"y": wave()}, "y", on_event=events.append, **settings)
    assert events[-1]["event"] == "end"
    assert list(tmp_path.iterdir()) == []
    assert forecaster.forecast().values.shape == zoo.forecast(forecaster, steps=3).values.shape
    with pytest.raises(UsageError, match="data is None; expected a file, a mapping of columns"):
        zoo.fit(None, "y")
    forecaster.save("model.safetensors")
    csv_file(tmp_path / "x.csv", y=wave())
    text = command("eval", "model.safetensors", "--data", "x.csv").stdout
    assert text.startswith("y, test part, ")  # the table begins with the rows of training
    values = zoo.forecast("model.safetensors", "x.csv").values
    np.testing.assert_allclose(values, forecaster.forecast().values)
    assert "has no file" in command("eval", "model.safetensors").stderr


def test_short_parts_and_contexts_are_named():
    """The best model is never chosen on the training part, unless there is no validation part."""
    y = {"y": wave()}
    short = prepared(y, horizon=12, context=None)
    assert short.metadata()["full_context"] is None
    note = short.metadata()["note"]
    assert note == (
        "the validation part has 13 forecasts of 12 steps. They overlap and count as 1.1 or more, and an "
        "interval of 80 % needs 4. So there may be none. For an interval, train with a validation part "
        "of about 103 rows, or with a shorter horizon."
    )
    shortened = prepared({"y": wave(60)}, horizon=3, context=None, season=24)
    assert (shortened.metadata()["full_context"], shortened.windows.spec.context) == (48, 22)
    with pytest.warns(
        ZooWarning,
        match=r"the test part has 12 rows; a window needs 24\. The scores at the end will be of the v",
    ):
        prepared(y, horizon=24, split="80,15,5")
    for split, name in (("100", "training"), ("80,20", "validation")):
        dataset = prepared(y, horizon=24, split=split)
        assert dataset.eval_split_name == name
        text = best_loss({"best": 0.5, "best_step": 9}, {"table": dataset.metadata()})
        assert text == f"{name} loss 0.5000, at step 9"


@pytest.mark.parametrize("known", [(), ("word",)])
@pytest.mark.parametrize("first", [192, 215, 239])
def test_categories_come_from_the_training_part(first, known):
    """A value that occurs only later was an input, which training cannot know."""
    words = np.array(["sun", "rain"])[np.arange(N) % 2].astype(object)
    later = words.copy()
    later[first] = "fog"
    settings = {"split": "80,10,10", "known_future": known}
    assert prepared({"y": wave(), "word": words}, **settings).windows.spec.categories == {
        "word": ("sun", "rain")
    }
    start = f"table, row {first}, column 'word': found 'fog', which did not occur in training"
    with pytest.raises(
        DataError, match=rf"{start}; .* were sun, rain\. .* enlarge the training part with `sp"
    ):
        prepared({"y": wave(), "word": later}, **settings)
    later[first] = None
    forward = prepared({"y": wave(), "word": later}, missing="forward", **settings)
    assert forward.windows.spec.categories == {"word": ("sun", "rain")}
    earlier = np.roll(later, -first)
    earlier[0] = "fog"
    spec = prepared({"y": wave(), "word": earlier}, missing="forward", **settings).windows.spec
    assert set(spec.categories["word"]) == {"sun", "rain", "fog"}


def of_lengths(*lengths, step="h"):
    """Several series of some lengths."""
    times = [np.datetime64("2024-01-01", step) + np.arange(length) for length in lengths]
    names = np.repeat([f"s{number}" for number in range(len(lengths))], lengths)
    values = np.concatenate([wave(length, seed) for seed, length in enumerate(lengths)])
    return {"t": np.concatenate(times), "id": names, "y": values}


@pytest.mark.parametrize(
    ("lengths", "season"), [((N,), 24), ((N, N, 30), 24), ((30, N), 24), ((N, 30, 30), 1), ((50,), 1)]
)
def test_season_is_the_one_of_most_series(lengths, season):
    """One short series removed the season of all."""
    settings = {"horizon": 2, "context": 8, "split": "80,20", "season": None}
    assert prepared(of_lengths(*lengths), series="id", **settings).windows.spec.season == season


def test_short_series_are_named_before_training():
    settings = {"series": "id", "horizon": 2, "context": 8, "season": None, "split": "80,20"}
    long = prepared(of_lengths(N, N), **settings).metadata()["note"]
    assert long == ""
    note = prepared(of_lengths(N, N, N, 12, 25), **settings).metadata()["note"]
    assert note == (
        "the training part of series 's3' is shorter than a window of 10 rows, so training does not read it. "
        "Lower `context` or `horizon` to include more. the training parts of 2 of 5 series ('s3', 's4') are "
        "not longer than a season, so the MASE there refers to changes from row to row."
    )


UNUSABLE = {
    "one row": [1.0],
    "two rows": [1.0, 2.0],
    "constant": [3.0] * 40,
    "constant in training": [3.0] * 32 + [4.0] * 8,
    "no value": [NAN] * 40,
    "one value": [NAN] * 20 + [5.0] + [NAN] * 19,
}


@pytest.mark.parametrize("values", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("missing", ["mask", "forward"])
def test_series_without_a_target_that_varies_is_left_out(values, missing, tmp_path):
    """One such series stopped the training of all."""
    if missing == "forward" and np.isnan(values[0]) and not np.isnan(values).all():
        values = values[20:]  # a value is needed first
    settings = {"series": "id", "split": "80,10,10", "context": 4, "horizon": 1, "missing": missing}
    of_others, names = of_lengths(N, N), ["s2"] * len(values)
    times = of_others["t"][: len(values)]
    data = {
        "t": np.concatenate([of_others["t"][:N], times, of_others["t"][N:]]),
        "id": [*of_others["id"][:N], *names, *of_others["id"][N:]],
        "y": np.concatenate([of_others["y"][:N], values, of_others["y"][N:]]),
    }
    alone = zoo.fit(of_others, target="y", steps=2, hidden=3, **settings)
    dataset = prepared(data, **settings)
    assert dataset.panel.names == ("s0", "s1")
    assert dataset.metadata()["note"].startswith(
        "the target of series 's2' is constant or missing in the training part, so zoo leaves this series out"
    )
    forecaster = zoo.fit(data, target="y", steps=2, hidden=3, **settings)
    assert forecaster.evaluate() == alone.evaluate()
    assert forecaster.open_data()[0].names == ("s0", "s1")
    assert forecaster.evaluate(data) == alone.evaluate(of_others)  # the data of training
    changed, of_others = ({**table, "y": [*table["y"][:-1], 0.5]} for table in (data, of_others))
    with pytest.warns(ZooWarning, match=r"leaves this series out"):
        others = forecaster.evaluate(changed, part="all")
    assert others == alone.evaluate(of_others, part="all")
    forecaster.save(tmp_path / "x.safetensors")
    if len(set(values)) > 1 and len(values) > 4 and not np.isnan(values).any():  # it varies later
        later = zoo.forecast(tmp_path / "x.safetensors", data, level=0)
        assert np.isfinite(later.values).all()
        return
    with pytest.warns(ZooWarning, match="Give more rows. Until then this series has no forecast"):
        later = zoo.forecast(tmp_path / "x.safetensors", data, level=0)
    assert np.isnan(later.values[later.series.index("s2")]).all()
    assert np.isfinite(np.delete(later.values, later.series.index("s2"), axis=0)).all()


def test_groups_are_divided_without_series_that_are_left_out():
    data, lengths = of_lengths(*[40] * 9), [40] * 9
    person = np.repeat([f"p{number // 2}" for number in range(9)], lengths)
    y = np.where(data["id"] == "s8", 1.0, data["y"])  # the only series of the last person
    settings = {"target": "y", "series": "id", "split": "60,20,20", "steps": 2, "hidden": 3}
    settings |= {"context": 4, "horizon": 1, "group": "person"}
    is_kept = data["id"] != "s8"
    alone = {name: values[is_kept] for name, values in {**data, "y": y, "person": person}.items()}
    scores = zoo.fit({**data, "y": y, "person": person}, **settings).evaluate()
    assert scores == zoo.fit(alone, **settings).evaluate()


@pytest.mark.parametrize("lengths", [(N,), (N, 30), (30, 30, N)])
def test_season_must_be_shorter_than_the_training_part(lengths):
    data, longest = of_lengths(*lengths), int(0.8 * max(lengths))
    settings = {"series": "id", "horizon": 2, "context": 8, "split": "80,20"}
    assert prepared(data, season=longest - 1, **settings).windows.spec.season == longest - 1
    for season in (longest, 50 * longest):
        with pytest.raises(
            DataError, match=rf"season is {season:,}, and .* has {longest} rows in its training"
        ):
            prepared(data, season=season, **settings)


@pytest.mark.parametrize("short", [(5,), (7, 3), (1,)])
def test_series_that_are_too_short_have_no_forecast(short):
    """They stopped the forecasts of all series."""
    settings = {"series": "id", "horizon": 2, "context": 8, "split": "80,20", "steps": 2, "hidden": 3}
    forecaster = zoo.fit(of_lengths(N, N), target="y", **settings)
    alone = forecaster.forecast(level=0)
    data = of_lengths(N, N, *short)
    with pytest.warns(ZooWarning, match=rf"series 's2' has {short[0]} rows? of history; the model reads 8"):
        several = forecaster.forecast(data, level=0)
    assert several.series == ("s0", "s1", *(f"s{2 + number}" for number in range(len(short))))
    np.testing.assert_array_equal(several.values[:2], alone.values)
    assert np.isnan(several.values[2:]).all()
    assert several.to_csv().splitlines()[-1].startswith(f"s{1 + len(short)},2024-01-01")
    assert several.to_json()[-1]["y"] is None
    with pytest.raises(DataError, match="Give more rows"):
        forecaster.forecast(of_lengths(5, 4))


# ---- invalid input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "settings", "sentence"),
    [
        (
            {"y": wave()},
            {"target": ()},
            "target is missing: the data is a table; name the column to forecast, or give `label` to",
        ),
        ({"y": wave()}, {"target": "yy"}, "table has no column 'yy'; its columns are y (number). Did you"),
        ({"y": wave()}, {"input": "x"}, "table has no column 'x'"),
        (grouped(), {"series": "id", "group": "people"}, "table has no column 'people'"),
        (
            grouped(),
            {"group": "person"},
            "group is 'person', and table is one series; name the column of the",
        ),
        (
            grouped(4),
            {"series": "id", "group": "person"},
            "table has 2 groups, fewer than the parts of the spl",
        ),
        ({"y": wave()}, {"split_seed": 1}, "split_seed is given without `group`; each series is cut by time"),
        ({"y": wave()}, {"target_weights": {"x": 2}}, "target_weights names 'x', which is not a target; the"),
        ({"y": wave()}, {"target_weights": "y=0"}, "target_weights has 0.0 for 'y'; expected a number from"),
        (
            {"y": wave()},
            {"target_weights": "y"},
            "target_weights is 'y': 'y' is not an assignment; write NAME=VALUE",
        ),
        (
            {"y": wave()},
            {"target_weights": "y=2,y=3"},
            "target_weights is 'y=2,y=3': y is given twice; give it once",
        ),
        ({"y": wave()}, {"target_weights": "y=x"}, "target_weights has 'x' for 'y'; expected a number from"),
        ({"y": wave()}, {"target_weights": "y=2", "loss": "huber"}, "given with the loss 'huber'; expected"),
        ({"y": np.ones(N)}, {}, "table: column 'y' is constant (1); there is nothing to forecast."),
        ({"y": wave(), "x": np.ones(N)}, {"input": "x"}, "column 'x' is constant (1); leave it out."),
        (
            {"y": [*np.ones(200), *wave(40)]},
            {},
            "the target of table is constant or missing in the training part; there is nothing to forecast. "
            "Give more rows, or another `split`.",
        ),
        (
            {"y": np.tile([*np.ones(100), *wave(20)], 3), "id": np.repeat(["a", "b", "c"], 120)},
            {"series": "id"},
            "the targets of 3 of 3 series ('a', 'b', 'c') are constant or missing in the training part",
        ),
        (
            {"y": ["a"] * N},
            {},
            "table: y is a column of text values (1 value); a target needs numeric values",
        ),
        ({"y": wave(), "t": hours()[::-1]}, {}, "row 1, column 't': the time 2024-01-10 22:00 is before"),
        ({"y": wave(), "t": np.repeat(hours(N // 2), 2)}, {}, "the time 2024-01-01 is repeated"),
        ({"y": [1.0]}, {}, "table has one row; a forecast needs a history."),
        ({"y": [1.0, 2.0]}, {}, "table has 1 row in its training part; a window needs 15, 12 of context"),
        ({"y": wave()}, {"horizon": 300}, "a window needs 312, 12 of context and a horizon of 300. Lower"),
        ({"y": wave()}, {"horizon": 300, "context": None}, "a window needs 301, 1 of context and a horizon"),
        ({"y": [*wave(), np.nan]}, {}, "row 240, column 'y': the value is missing"),
        ({"y": [*wave(), np.inf]}, {}, "row 240, column 'y': found inf; expected a finite number of at most"),
        ({"y": np.zeros(0)}, {}, "table has no rows."),
        (
            {"y": wave() + 1j},
            {},
            "column 'y' has the type complex128; expected numeric values, text values or times.",
        ),
        (
            {"y": wave()},
            {"bidirectional": True},
            "`bidirectional` is given with a table; a forecast reads the",
        ),
        (
            {"y": wave()},
            {"horizon": 30, "split": "80,10,10"},
            "table: the validation part has 24 rows; a window needs 30. Lower `horizon`, give more rows or a "
            "larger part (`split`), for example `split=70,15,15`.",
        ),
        ({"y": wave()}, {"loss": "cross_entropy"}, "loss is 'cross_entropy', which is not a loss of numbers"),
        ({"y": wave()}, {"loss": "l3"}, "l3"),
        ({"y": wave()}, {"split": "50,60"}, "split is '50,60', with the sum 110; expected 100 or 1"),
        ({"y": wave()}, {"seq": 5}, "seq is given with a table; it applies to texts and labelled"),
        ({"y": wave()}, {"kind": "text"}, "target is given with a text; it applies to tables only."),
        (
            {"y": wave()},
            {"kind": "picture"},
            "kind is 'picture'; expected one of 'text', 'table', 'sequences'.",
        ),
        ({"y": wave()}, {"missing": "drop"}, "missing is 'drop'; expected 'reject', 'forward' or 'mask'."),
        (
            {"y": wave()},
            {"loss": "y=huber,z=huber"},
            "loss names 'z', which is not a target; expected a loss",
        ),
        (
            {"y": wave(), "z": wave()},
            {"target": "y,z", "loss": "y=huber"},
            "loss lacks a target; expected a loss for each of y, z, or one for all.",
        ),
        (
            {"y": wave()},
            {"loss": "y=interval"},
            "loss of 'y' is 'interval'; expected one of 'squared_error',",
        ),
        (
            {"y": wave()},
            {"loss": "y=huber:x"},
            "loss of 'y' is 'huber:x': option 'delta' is 'x'; expected a finite number",
        ),
        (
            {"y": wave()},
            {"loss": "y=squared_error:2"},
            "squared_error has no option, so leave out '2'; write 'squared_error'.",
        ),
        ({"y": wave()}, {"loss": "y=quantile:2"}, "loss of 'y' is 'quantile:2': option 'quantile' is 2.0"),
        (
            {"y": wave()},
            {"loss": "huber:x"},
            "loss is 'huber:x': option 'delta' is 'x'; expected a finite number",
        ),
        ({"y": wave()}, {"loss": "interval:0.1"}, "interval has several options; name them, as in"),
        ({"y": wave()}, {"loss": "huber:1", "loss_options": {"delta": 2.0}}, "give the option once."),
        (
            {"y": wave()},
            {"loss": "per_target"},
            "loss is 'per_target', which is not a loss of numbers; choose",
        ),
        (
            {"y": wave()},
            {"loss": {"y": "huber"}, "loss_options": {"delta": 2.0}},
            "loss is 'y=huber' and loss_options are given; write an option behind a colon, as in y=huber",
        ),
        ({"y": wave()}, {"weight": "w"}, "table has no column 'w'"),
        ({"y": wave()}, {"weight": "y"}, "column 'y' is given twice, as target, input, known future, time,"),
        (
            {"y": wave(), "w": np.arange(N)},
            {"weight": "w"},
            "row 0, column 'w': the weight is 0; expected a number above 0.",
        ),
        (
            {"y": wave(), "w": [*np.ones(N - 1), np.nan]},
            {"weight": "w"},
            "column 'w': the weight is missing;",
        ),
        ({"y": wave(), "w": ["a"] * N}, {"weight": "w"}, "column 'w': found 'a'; expected a number"),
        ({"y": wave()}, {"predict": "up"}, "predict is 'up'; expected 'change', 'level' or 'correction'."),
        ({"y": wave()}, {"horizon": 0}, "horizon is 0; expected an integer of at least 1."),
        (
            {"y": wave()},
            {"embedding": 2},
            "embedding is 2, and no input of table is a column of text values; leave",
        ),
        ({"y": wave()}, {"target": 5.5}, "target is 5.5; expected names of columns."),
        ({"y": wave()}, {"target": 5}, "table has no column '5'; its columns are y (number)."),
    ],
)
def test_invalid_input_is_one_sentence(columns, settings, sentence, tmp_path):
    with pytest.raises((DataError, UsageError, zoo.UnknownNameError)) as error:
        train(columns, tmp_path, **settings)
    assert sentence in str(error.value)
    assert not (tmp_path / "run").exists()


def test_table_from_standard_input(tmp_path):
    text = csv_file(tmp_path / "x.csv", y=wave()).read_text()
    words = f"train --data - --target y --context 12 --hidden 4 --steps 2 --quiet --out {tmp_path / 'run'}"
    result = CliRunner().invoke(cli, words.split(), input=text)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "which is not read again; name it with --data." in command("forecast", tmp_path / "run").stderr
    of_file = command("forecast", tmp_path / "run", "--data", tmp_path / "x.csv")
    words = ["forecast", str(tmp_path / "run"), "--data", "-"]
    assert CliRunner().invoke(cli, words, input=text).stdout == of_file.stdout != ""


def test_groups_of_series_are_kept_together(tmp_path):
    data = grouped()
    given = {"series": "id", "group": "person", "split": "50,20,30"}
    dataset, plain = prepared(data, **given), prepared(data, series="id", input="y", split="50,20,30")
    assert dataset.windows.scaling.to_json() == plain.windows.scaling.to_json()
    people = dataset.panel.groups.values
    of_parts = [set(people[dataset.panel.parts == number]) for number in range(3)]
    assert [len(each) for each in of_parts] == [6, 2, 4]
    assert len(set.union(*of_parts)) == 12
    assert dataset.metadata()["parts"] == [12 * 30, 4 * 30, 8 * 30]
    assert dataset.metadata()["groups"] == [6, 2, 4]
    _, firsts = dataset._training_ranges
    assert set(np.flatnonzero(np.diff(firsts))) == set(np.flatnonzero(dataset.panel.parts == 0))
    # Windows of training end at the share of training, and forecasts of other series begin there.
    assert firsts[-1] == 12 * (30 - 12 - 3 + 1)
    assert all(
        origins.start == first + 29
        for origins, first in zip(dataset._ranges("test"), dataset.panel.offsets[:-1], strict=True)
        if origins
    )
    history = History.of_panel(dataset.panel, dataset.cuts[0], 12, 1, 3)
    assert (history.fit_ends > history.offsets[:-1]).tolist() == (dataset.panel.parts == 0).tolist()
    run = train(data, tmp_path, steps=2, **given)
    scores = run.history[-1]["test"]
    assert zoo.backtest(run, stride=1).scores["targets"] == scores["targets"]
    assert scores["targets"][0]["metrics"]["model"]["mae"]["low"] is None  # four groups give no interval
    assert "There are too few groups for an interval" in scores["targets"][0]["summary"]
    (heading, *_) = score_lines(scores)
    assert heading.endswith(" windows:")  # without "95 % intervals"
    other = {name: values[:60] for name, values in data.items() if name != "person"}
    assert zoo.forecast(run, other).values.shape == (1, 3, 1, 3)
    assert zoo.backtest(run, other).scores["part"] == "test"


def test_each_series_may_be_a_group(tmp_path):
    data = {name: values for name, values in grouped().items() if name != "person"}
    run = train(data, tmp_path, series="id", group="id", steps=2, context=8)
    alike = train(
        {**data, "who": data["id"]}, tmp_path, "alike", series="id", group="who", steps=2, context=8
    )
    assert run.history[-1]["test"] == alike.history[-1]["test"]
    assert zoo.backtest(run, data).scores["targets"]


def test_files_of_a_directory_are_series(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(3):
        csv_file(tmp_path / "data" / f"s{number}.csv", t=hours(), y=wave(seed=number))
    run = train(tmp_path / "data", tmp_path, steps=2)
    assert (run.config.series, run.config.input, run.config.time) == (None, (), "t")
    assert zoo.forecast(run).series == ("s0", "s1", "s2")
    assert zoo.forecast(run, tmp_path / "data" / "s1.csv").series == ("",)
    assert train(tmp_path / "data", tmp_path, resume=True, steps=3).history[-1]["step"] == 3


def test_settings_of_a_table_from_a_file(tmp_path):
    path = csv_file(tmp_path / "x.csv", y=wave())
    (tmp_path / "x.toml").write_text(f'data = "{path}"\ntarget = "y"\ncontext = 12\nhidden = 4\nsteps = 2\n')
    words = ("train", "--quiet", "--out", tmp_path / "run", "--config")
    assert command(*words, tmp_path / "x.toml").stderr == ""
    assert zoo.Run(tmp_path / "run").config.target == ("y",)
    (tmp_path / "y.toml").write_text(f'data = "{path}"\n')
    assert "x.csv is a table; name the column" in command(*words, tmp_path / "y.toml", "--steps", 3).stderr
    no_data = command("train", "--target", "y")
    assert "--data is 'builtin:pydoc', a text, and --target names a column of a table" in no_data.stderr


def test_directory_of_tables_without_a_target_is_an_error(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    csv_file(files / "a.csv", y=wave(9))
    (files / "README.txt").write_text("one")
    assert _data_kind(str(files), {}) == "text"
    csv_file(files / "b.csv", y=wave(9))
    assert [_data_kind(str(files), {"glob": "*.txt"}), _data_kind(files, {"level": "char"})] == ["text"] * 2
    result = command("train", "--data", files)
    words = "files is a table; name the column to forecast, or give --label to predict a label of whole"
    assert f"Error: --target is missing: {words} sequences. Its columns are " in result.stderr
    assert "To train on its characters instead, give --kind text." in result.stderr
    assert "characters" not in command("train", "--data", files, "--series", "y").stderr
    assert "characters of the table, give --kind t" in command("train", "--data", files, "--seq", "5").stderr


def test_array_without_a_target_is_an_error_and_numbers_name_its_columns(tmp_path):
    path = csv_file(tmp_path / "x.csv", y=wave())
    with pytest.raises(
        UsageError, match=r"target is missing: x.csv is a table; .* or give `label` to predict a label"
    ):
        zoo.fit(path, horizon=3)
    with pytest.raises(
        UsageError, match=r"target is missing: the data is a table; .* columns are 0 \(number\), 1 \(nu"
    ):
        zoo.fit(np.stack([wave(), wave(seed=1)], axis=1), horizon=3)
    assert [make_config({"target": given}).target for given in (0, [0, 1])] == [("0",), ("0", "1")]
    numbered = make_config({"target": 0, "time": 1, "series": 2, "group": 3})
    assert (numbered.time, numbered.series, numbered.group) == ("1", "2", "3")


def test_several_tables_are_an_error(tmp_path):
    path = csv_file(tmp_path / "x.csv", y=wave())
    result = command("train", "--data", path, "--data", path, "--target", "y")
    assert "data are 2 sources; expected one table. Join the files first." in result.stderr


def test_setting_of_tables_with_a_task_is_an_error():
    with pytest.raises(
        UsageError, match="horizon is given with the task 'adding'; it applies to tables only"
    ):
        zoo.train(task="adding", horizon=5)
