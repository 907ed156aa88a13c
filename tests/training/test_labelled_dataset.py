"""Training on labelled sequences: results, padding, exact resume, evaluation, predictions, invalid input."""

from __future__ import annotations

import json
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import strategies as st
from run_asserts import without_clock

import zoo
from zoo.classification import Predictor
from zoo.classification.baselines import summary_features
from zoo.classification.metrics import CLASS_METRICS
from zoo.classification.scaling import ScaledSequences
from zoo.classification.spec import SequenceSpec
from zoo.cli.app import cli
from zoo.cli.format import _sequences_header, header
from zoo.data import LabelledSequences
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.kernels import pure_python
from zoo.storage import load
from zoo.training.config_conversion import make_config
from zoo.training.sequence_preparation import prepare_sequences

SMALL = {"cell": "vanilla", "hidden": 8, "batch": 8, "lr": 0.01, "threads": 1}


def recordings(count=60, seed=0, channels=2, low=4, high=12):
    """Sequences whose class is the sign of the first value."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(rng.integers(low, high), channels)) for _ in range(count)]
    return parts, ["up" if part[0, 0] > 0 else "down" for part in parts]


def table(parts, labels, **columns):
    sizes = [len(part) for part in parts]
    rows = np.concatenate(parts)
    return {
        "id": np.repeat([f"r{number}" for number in range(len(parts))], sizes),
        **{name: rows[:, number] for number, name in enumerate("xyz"[: rows.shape[1]])},
        "way": np.repeat(np.array(labels), sizes),
        **columns,
    }


def csv_file(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def train(data, tmp_path, name="run", **settings):
    given = {"series": "id", "label": "way"} if isinstance(data, dict) or hasattr(data, "suffix") else {}
    return zoo.train(data, out=tmp_path / name, **{**SMALL, "steps": 20, **given, **settings})


def prepared(parts, labels, **settings):
    given = {**SMALL, "data": ("x",), "kind": "sequences", **settings}
    return prepare_sequences(make_config(given), LabelledSequences.from_arrays(parts, labels))


def command(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


# ---- results ------------------------------------------------------------------------------------------


def test_model_learns_what_summary_features_do_not_hold(tmp_path):
    """The class is the order of two bumps: all features but the first and last value are the same."""
    rng = np.random.default_rng(0)
    parts, labels = [], []
    for number in range(300):
        part = rng.normal(size=(14, 1)) * 0.1
        part[4], part[9] = (2, -2) if number % 2 else (-2, 2)
        parts.append(part)
        labels.append("up first" if number % 2 else "down first")
    events = []
    predictor = zoo.fit(
        parts, label=labels, steps=300, on_event=events.append, **{**SMALL, "lr": 0.02, "hidden": 16}
    )
    (scores,) = events[-1]["test"]["targets"]
    metrics = {name: each["accuracy"]["value"] for name, each in scores["metrics"].items()}
    assert metrics["model"] > 0.95
    assert metrics["logistic regression"] < 0.75
    assert scores["improvement"]["low"] > 0.1
    assert scores["summary"].startswith("label: better than the best baseline, ")
    assert set(scores["metrics"]["model"]) == set(CLASS_METRICS)
    assert (predictor.predict(parts).predicted == np.array(labels)).mean() > 0.95


def test_numbers_are_predicted_in_their_units(tmp_path):
    parts, _ = recordings(200)
    labels = [1000 + 50 * part[-1, 0] for part in parts]
    run = train(LabelledSequences.from_arrays(parts, labels), tmp_path, steps=300, lr=0.02)
    assert (run.config.loss, run.model.output_size) == ("squared_error", 1)
    (scores,) = run.history[-1]["test"]["targets"]
    assert set(scores["metrics"]) == {"model", "mean of training", "ridge regression"}
    assert (
        scores["metrics"]["model"]["mae"]["value"]
        < 15
        < scores["metrics"]["mean of training"]["mae"]["value"]
    )
    predictions = zoo.predict(run)
    assert list(predictions.columns()) == ["id", "label", "label_actual", "part"]
    assert np.abs(predictions.predicted - predictions.actual).mean() < 15
    assert run.history[-2]["metric"] == "mae"


def test_predictions_do_not_depend_on_units_of_channels(tmp_path):
    parts, labels = recordings()
    one = train(table(parts, labels), tmp_path, "one", dtype="float64")
    other = [part * [1e4, 1e-3] - 30 for part in parts]
    two = train(table(other, labels), tmp_path, "two", dtype="float64")
    np.testing.assert_allclose(zoo.predict(two).values, zoo.predict(one).values, atol=1e-8)


@pytest.mark.parametrize("settings", [{}, {"pooling": "mean"}, {"bidirectional": True}])
def test_padding_and_other_sequences_change_no_prediction(settings, tmp_path):
    parts, labels = recordings()
    run = train(table(parts, labels), tmp_path, steps=3, dtype="float64", **settings)
    assert run.config.pooling == ("mean" if settings else "last")
    together = zoo.predict(run, parts).values
    alone = [zoo.predict(run, [part]).values[0] for part in parts[:10]]
    np.testing.assert_allclose(together[:10], alone, atol=1e-12)
    assert together.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_loss_of_a_padded_batch_is_the_mean_of_the_losses_of_its_sequences(pooling):
    config, dataset = prepared(*recordings(), pooling=pooling, dtype="float64")
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    numbers = dataset.parts.valid
    single = [dataset._evaluate(model, numbers[i : i + 1]).loss for i in range(len(numbers))]
    assert dataset.evaluate(model).loss == pytest.approx(np.mean(single))


def test_balanced_weights_give_every_class_the_same_sum():
    parts, _ = recordings(40)
    labels = ["rare" if number % 5 == 0 else "often" for number in range(40)]
    _, dataset = prepared(parts, labels, class_weights="balanced")
    counts = np.bincount(dataset.targets[dataset.parts.train])
    np.testing.assert_allclose(counts * dataset.loss.class_weights, len(dataset.parts.train) / 2)
    assert dataset.main == "balanced_accuracy"


@pytest.mark.parametrize("kind", [str, int, bool])
@pytest.mark.parametrize("given", [{0: 3.0}, {1: 0.5}, {0: 2.0, 1: 5.0}, {1: 2}], ids=str)
def test_given_weights_of_classes_enter_the_loss(kind, given):
    """A class that is not named has the weight 1; numbers and booleans are named by themselves."""
    parts, _ = recordings(40)
    names = {str: ["rare", "öfter"], int: [1, 2], bool: [False, True]}[kind]
    labels = [names[number % 4 > 0] for number in range(40)]
    named = {names[n]: weight for n, weight in given.items()}
    texts = ",".join(f"{name}={weight}" for name, weight in named.items())
    for weights in (named, texts):
        config, dataset = prepare_sequences(
            make_config({**SMALL, "data": ("x",), "kind": "sequences", "class_weights": weights}),
            LabelledSequences.from_arrays(parts, labels),
        )
        classes = [dataset.scaled.spec.classes.index(str(name)) for name in names]
        assert [dataset.loss.class_weights[n] for n in classes] == [given.get(n, 1.0) for n in range(2)]
        assert json.loads(json.dumps(config.class_weights)) == {str(n): w for n, w in named.items()}
        assert dataset.main == "accuracy"


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"upp": 2.0}, "class_weights has the class 'upp'; expected some of 'down', 'up'. Did you mean 'up'"),
        ("down=1,upp=2", "class_weights has the class 'upp'; expected some of 'down', 'up'."),
        ({}, "class_weights is {}; expected 'balanced', or a number from 1e-9 to 1e9 for each class"),
        *(
            (
                {"down": 1, "up": weight},
                f"class_weights has {weight!r} for 'up'; expected a number from 1e-9 to",
            )
            for weight in (0.0, -1, "3", None, True, 1e39, 1e-300, float("nan"), float("inf"))
        ),
        ("up=much", "class_weights has 'much' for 'up'; expected a number from 1e-9 to 1e9."),
        ("even", "class_weights is 'even'; expected 'balanced', or a number from 1e-9 to 1e9 for each class"),
        (
            "up=1,2",
            "class_weights is 'up=1,2': '2' is not an assignment; write NAME=VALUE, as in run=3,walk=1; for "
            "a name with a comma, give a mapping in Python.",
        ),
        ("up=1,up=2", "class_weights is 'up=1,up=2': up is given twice; give it once."),
        (
            [1.0, 2.0],
            "expected 'balanced', or a number from 1e-9 to 1e9 for each class, as in run=3,walk=1, or",
        ),
    ],
    ids=str,
)
def test_invalid_weights_of_classes(weights, sentence):
    with pytest.raises(UsageError) as error:
        prepared(*recordings(40), class_weights=weights)
    assert sentence in str(error.value)


def test_weights_of_sequences_enter_the_loss():
    parts, labels = recordings()
    weights = np.linspace(0.5, 2, 60)
    config, dataset = prepare_sequences(
        make_config({**SMALL, "data": ("x",), "kind": "sequences", "dtype": "float64"}),
        LabelledSequences.from_arrays(parts, labels, weights=weights),
    )
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    numbers = dataset.parts.valid
    single = [dataset._evaluate(model, numbers[i : i + 1]).loss for i in range(len(numbers))]
    expected = np.average(single, weights=weights[numbers])
    assert dataset.evaluate(model).loss == pytest.approx(expected)
    assert model.loss_and_grad(**dataset._arguments(model, numbers))[0] == pytest.approx(expected)


def test_groups_are_kept_together_and_resampled(tmp_path):
    parts, labels = recordings(80)
    people = [f"p{number % 20}" for number in range(80)]
    data = table(parts, labels, person=np.repeat(people, [len(part) for part in parts]))
    run = train(data, tmp_path, group="person", steps=2)
    (scores,) = run.history[-1]["test"]["targets"]
    predictor = Predictor.load(run)
    assert predictor.evaluate()["targets"] == [scores]
    divided = predictor.parts(LabelledSequences.from_arrays(parts, labels, groups=people))
    of_parts = [{people[number] for number in numbers} for numbers in divided.values()]
    assert [len(each) for each in of_parts] == [14, 3, 3]
    assert len(set.union(*of_parts)) == 20
    assert scores["metrics"]["model"]["accuracy"]["low"] is None  # three groups give no interval
    assert "There are too few groups for an interval" in scores["summary"]
    split = header(run.history[0])["split"]
    assert " of 14 groups to train, " in split
    assert split.endswith(" of 3 to test, grouped by person")
    arrays = LabelledSequences.from_arrays(parts, labels, groups=people)
    _, dataset = prepare_sequences(make_config({**SMALL, "data": ("x",), "kind": "sequences"}), arrays)
    split = header({**run.history[0], "sequences": dataset.metadata()})["split"]
    assert split.endswith(" of 3 to test")  # an array of groups has no name


def test_groups_that_cannot_be_divided_are_errors():
    parts, labels = recordings(80)
    alone = [f"p{number}" if label == "up" else "q" for number, label in enumerate(labels)]
    for groups, sentence in (
        (["a", "b"] * 40, "has 2 groups, fewer than the parts of the split '70,15,15'; give more groups"),
        (
            alone,
            "no group of the training part has class 'down'; set another `split_seed`, or give more groups.",
        ),
    ):
        data = LabelledSequences.from_arrays(parts, labels, groups=groups)
        errors = []
        for seed in range(10):
            try:
                prepare_sequences(make_config({"data": ("x",), "kind": "sequences", "seed": seed}), data)
            except DataError as error:
                errors.append(str(error))
        assert errors
        assert all(sentence in error for error in errors)


def test_units_of_time_are_those_of_training(tmp_path):
    parts, labels = recordings(30)
    times = [np.cumsum(np.linspace(1, 2, len(part))) for part in parts]
    data = [LabelledSequences.from_arrays(parts, labels, times=[each * k for each in times]) for k in (1, 2)]
    run = train(data[0], tmp_path, cell="ctrnn", steps=2)
    slower = zoo.predict(run, data[1]).values
    assert (slower != zoo.predict(run, data[0]).values).any()
    scaled = Predictor(run.model, Predictor.load(run).spec, data[0]).open_data(data[1], False)[1]
    np.testing.assert_allclose(scaled.dt[1:4], 2 * ScaledSequences.make(data[0], scaled.spec, "f4").dt[1:4])


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("lr", [0.01, 100.0])
def test_large_learning_rate_is_reported_for_classes(classes, lr, tmp_path):
    parts, _ = recordings()
    events = []
    settings = {**SMALL, "lr": lr, "steps": 20, "eval_every": 10, "on_event": events.append}
    zoo.train(parts, label=[f"c{n % classes}" for n in range(len(parts))], out=tmp_path / "run", **settings)
    texts = [event["text"] for event in events if event["event"] == "warning"]
    texts += [event["warning"] for event in events if "warning" in event]
    words = (
        f"of a model that gives each of the {classes} classes the same probability; lower `lr` (now {lr:g})"
    )
    assert all(words in text for text in texts)
    assert len(texts) == (2 if lr > 1 else 0)


@pytest.mark.parametrize(("lr", "advice"), [(0.01, False), (1e4, True)])
def test_large_learning_rate_is_reported_for_numbers(lr, advice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts, _ = recordings(channels=1)
    csv_file(tmp_path / "x.csv", table(parts, [f"{part.mean():.3f}" for part in parts]))
    words = ("--series", "id", "--label", "way", "--cell", "vanilla", "--hidden", 4, "--steps", 30)
    trained = command("train", "--data", "x.csv", *words, "--lr", lr, "--out", "run", "--threads", 1)
    assert trained.exit_code == 0, trained.stderr
    assert ("all baselines are far better: change --lr (now 10000)" in trained.stdout) == advice


def test_units_come_from_the_training_part_only():
    parts, labels = recordings()
    _, dataset = prepared(parts, labels)
    later = [part.copy() for part in parts]
    for number in (*dataset.parts.valid, *dataset.parts.test):
        later[number] += 1e6
    _, other = prepared(later, labels)
    assert dataset.scaled.spec == other.scaled.spec
    rows = np.concatenate([parts[number] for number in dataset.parts.train])
    np.testing.assert_allclose(dataset.scaled.spec.mean, rows.mean(axis=0))
    np.testing.assert_allclose(dataset.scaled.spec.scale, rows.std(axis=0))


@pytest.mark.parametrize("channels", [1, 3])
def test_large_sequences_have_equal_units_inputs_and_features(channels, monkeypatch):
    parts, labels = recordings(channels=channels)
    parts[7][2, 0] = np.nan
    _, expected = prepared(parts, labels, missing="mask")
    features = summary_features(expected.given.values, expected.given.offsets)
    monkeypatch.setattr("zoo.data.growing_array.MAX_BYTES_IN_MEMORY", 8)
    monkeypatch.setattr("zoo.data.growing_array.CHUNK", 30)
    _, dataset = prepared(parts, labels, missing="mask")
    assert dataset.scaled.spec == expected.scaled.spec
    assert isinstance(dataset.scaled.values.base, np.memmap)
    np.testing.assert_array_equal(dataset.scaled.values, expected.scaled.values)
    given = dataset.given
    np.testing.assert_array_equal(summary_features(given.values, given.offsets), features)


def test_every_epoch_reads_every_training_sequence_once():
    config, dataset = prepared(*recordings(), batch=16)
    assert dataset.steps_per_epoch == 3
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    steps = [dataset.loss_and_grad(model, step, None, (0, step)).token_count for step in range(6)]
    total = dataset.given.lengths[dataset.parts.train].sum()
    assert sum(steps[:3]) == sum(steps[3:]) == total
    assert prepared(*recordings(), epochs=4, batch=16)[0].steps == 12


def test_kinds_of_labels():
    parts, _ = recordings(60)
    whole = [float(number % 3) for number in range(60)]
    config, dataset = prepared(parts, whole)
    assert (config.loss, dataset.scaled.spec.classes) == ("cross_entropy", ("0", "1", "2"))
    assert prepared(parts, whole, loss="huber")[1].scaled.spec.classes == ()
    assert str(prepared(parts, whole, loss="huber:0.25")[1].loss) == "huber(delta=0.25)"
    assert prepared(parts, np.linspace(0, 1, 60))[0].loss == "squared_error"
    assert prepared(parts, np.arange(60) // 2, loss="cross_entropy")[1].scaled.spec.output_size == 30


def test_missing_values_are_marked(tmp_path):
    parts, labels = recordings()
    parts[3][1, 0] = np.nan
    run = train(table(parts, labels), tmp_path, missing="mask", steps=3)
    assert run.model.stack.input_size == 3
    assert np.isfinite(zoo.predict(run).values).all()
    parts[3][1, 1] = np.nan
    with pytest.raises(
        DataError, match="'y' is missing in sequence 'r3', and none was in training; fill it, for example"
    ):
        zoo.predict(run, table(parts, labels))


@pytest.mark.parametrize("missing", ["reject", "forward", "mask"])
def test_remedy_for_an_unknown_text_value_works(missing):
    """An empty value is a remedy if the model reads missing values."""
    parts, labels = recordings(20, low=3, high=4)
    wards = np.array(["north", "south", "north"] * 20, object)
    given = {"series": "id", "label": "way", "missing": missing, **SMALL, "steps": 2}
    predictor = zoo.fit(table(parts, labels, ward=wards), **given)
    for row in (1, 31, 59):
        wards[row] = "west"
        with pytest.warns(zoo.ZooWarning, match=f"row {row}, column 'ward': found 'west'") as warned:
            predictor.predict(table(parts, labels, ward=wards))
        advice = str(warned[0].message)
        assert ("Replace it by one of them, leave it empty, or" in advice) == (missing != "reject")
        wards[row] = None if missing != "reject" else "south"
        assert len(predictor.predict(table(parts, labels, ward=wards)).ids) == 20


def test_cells_read_the_time_between_rows(tmp_path):
    parts, labels = recordings()
    times = np.concatenate([np.cumsum(np.linspace(1, 2, len(part))) for part in parts])
    data = table(parts, labels, t=times)
    run = train(data, tmp_path, time="t", cell="ctrnn", steps=2)
    assert run.config.input == ("x", "y")
    assert np.isfinite(zoo.predict(run).values).all()


# ---- runs ---------------------------------------------------------------------------------------------


TIMES = {
    "none": None,
    "number": np.tile([0.0, 1, 2, 5, 6, 9], 20),
    "date": np.datetime64("2024-01-01") + np.tile([0, 1, 2, 5, 6, 9], 20).astype("m8[m]"),
}


def timed(kind, form):
    """Sequences with times of a kind: a table, a table with another date, or arrays."""
    parts, labels = recordings(20, low=6, high=7)
    if form == "arrays":
        times = None if kind == "none" else TIMES[kind].reshape(20, 6)
        return LabelledSequences.from_arrays(parts, labels, times=times, channels=["x", "y"], label="way")
    return table(parts, labels) | ({} if kind == "none" else {"t": TIMES[kind]})


@pytest.mark.parametrize("form", ["table", "arrays"])
@pytest.mark.parametrize("trained", TIMES)
@pytest.mark.parametrize("cell", ["cfc", "vanilla"])
def test_times_of_another_kind_than_in_training_are_an_error(cell, trained, form):
    """For a cell that reads the time between rows; runs of older versions do not know their times."""
    settings = {"series": "id", "label": "way", "time": "t"} if form == "table" else {}
    if trained != "number":
        settings.pop("time", None)
    given = {**SMALL, "cell": cell, "steps": 2, "input": "x,y", **settings}
    predictor = zoo.fit(timed(trained, form), **given)
    assert predictor.spec.time_kind == trained
    stored = predictor.spec.to_json()
    assert SequenceSpec.from_json(stored, "run") == predictor.spec
    older = replace(predictor, spec=SequenceSpec.from_json({**stored, "time_kind": None}, "run"))
    for kind in TIMES:
        if kind == "none" and predictor.spec.time is not None:
            continue  # a missing column, which is another error
        data = timed(kind, "arrays") if kind == "number" else timed(kind, form)
        if cell == "vanilla" or kind == trained:
            assert len(predictor.predict(data).ids) == 20
            continue
        with pytest.raises(DataError, match=r"has .*, and the data of training had .* between rows\. .*, or"):
            predictor.predict(data)
        if isinstance(data, dict) and kind != "none":  # whatever the order of the times
            with pytest.raises(DataError, match=r"table has .* in column 't', and the data of training had"):
                predictor.predict({**data, "t": TIMES[kind][::-1]})
        assert len(older.predict(data).ids) == 20


def test_another_date_is_not_read_as_time_by_a_model_without_times():
    parts, labels = recordings(20, low=6, high=7)
    births = np.repeat(np.datetime64("1950-01-01") + np.arange(20), 6)
    predictor = zoo.fit(table(parts, labels), series="id", label="way", **SMALL, steps=2)
    assert len(predictor.predict(table(parts, labels, birth=births)).ids) == 20


@pytest.mark.parametrize(
    ("cell", "end"),
    [
        ("cfc", "cfc reads the time between rows"),
        ("vanilla", "vanilla does not read the time between rows, as ctrnn, cfc, ltc and gru_ode do"),
    ],
)
def test_header_says_whether_the_cell_reads_the_time(cell, end, tmp_path):
    events = []
    given = {"series": "id", "label": "way", **SMALL, "cell": cell, "steps": 1}
    zoo.train(timed("date", "table"), out=tmp_path / "run", on_event=events.append, **given)
    assert header(events[0])["times"] == f"33.3% of the steps differ from 1 min; {end}"
    assert "times" not in header({**events[0], "sequences": {**events[0]["sequences"], "uneven": 0.0}})
    untimed = {**events[0], "sequences": {**events[0]["sequences"], "uneven": 0.0, "largest_dt": None}}
    start = "none, so cfc reads 1 as the time between all rows; if a column" if cell == "cfc" else ""
    assert header(untimed).get("times", "").partition(" holds times")[0] == start
    older = {name: each for name, each in events[0].items() if name != "aux"}
    assert "; only cells such as ctrnn, cfc, ltc and gru_ode read the time" in header(older)["times"]


def test_resumed_run_is_the_same_to_the_bit(tmp_path):
    parts, labels = recordings()
    path = csv_file(tmp_path / "x.csv", table(parts, labels))
    every = {"eval_every": 5, "save_every": 5, "log_every": 5}
    whole = train(path, tmp_path, "whole", **every)
    train(path, tmp_path, "parts", **{**every, "steps": 10})
    resumed = train(path, tmp_path, "parts", resume=True, **every)
    np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
    last = [event for event in without_clock(whole.history) if event["step"] > 10]
    assert [event for event in without_clock(resumed.history) if event["step"] > 10] == last
    longer = command("train", "--resume", "--out", tmp_path / "parts", "--steps", 25, "--quiet")
    assert (longer.exit_code, longer.stderr) == (0, "")
    path.write_text(path.read_text().replace("r1,", "q1,"))
    with pytest.raises(CheckpointError, match="the set of sequences has changed since"):
        train(path, tmp_path, "parts", resume=True, **{**every, "steps": 30})


def test_run_is_listed_reported_predicted_and_evaluated(tmp_path):
    parts, labels = recordings()
    path = csv_file(tmp_path / "walks.csv", table(parts, labels))
    out = tmp_path / "run"
    words = ("--series", "id", "--label", "way", "--hidden", 8, "--batch", 8, "--steps", 20)
    trained = command(
        *("train", "--data", path, *words, "--out", out, "--analyse-every", 10),
        *("--class-weights", "balanced", "--set", "label_smoothing=0.1"),
    )
    assert trained.exit_code == 0, trained.stderr
    lengths = [len(part) for part in parts]
    down = labels.count("down")
    for line in (
        f"data   walks.csv: 60 sequences of {min(lengths)} to {max(lengths)} steps, median",
        "reads  x, y",
        f"label  way, 2 classes: down ({down}), up ({60 - down})",
        " sequences to train, ",
    ):
        assert line in trained.stderr
    assert zoo.Run(out).model.criterion.chosen["label_smoothing"] == 0.1
    assert "way, test part, 9 sequences, 95 % intervals:" in trained.stdout
    assert f"predict with: zoo predict {out}" in trained.stdout
    listed = json.loads(command("runs", tmp_path, "--json").stdout)
    assert (listed[0]["data"], listed[0]["metric"], listed[0]["state"]) == (
        "walks.csv",
        "balanced_accuracy",
        "finished",
    )
    *_, best = (event for event in zoo.Run(out).events("eval") if event["best"])
    valid = json.loads(command("eval", out, "--part", "valid", "--json").stdout)["targets"][0]
    assert best["score"] == pytest.approx(valid["metrics"]["model"]["balanced_accuracy"]["value"])
    facts = json.loads(command("eval", out, "--json").stdout)
    assert facts["targets"] == zoo.Run(out).history[-1]["test"]["targets"]
    assert facts["targets"][0]["main"] == "balanced_accuracy"
    assert "train part" in command("eval", out, "--part", "train").stdout
    assert "--glob does not apply to it" in command("eval", out, "--glob", "*").stderr
    report = command("report", out)
    assert (report.exit_code, "left out" in report.stderr) == (0, False), report.stderr
    assert "Confusion matrix: 9 sequences, test part" in (out / "report.html").read_text()
    assert "finished" in zoo.Run(out)._repr_html_()
    exported = command("export", out, "--format", "c", "--out", tmp_path / "model.c")
    assert exported.exit_code == 0, exported.stderr
    unlabelled = {name: values for name, values in table(*recordings(3, 1)).items() if name != "way"}
    new = csv_file(tmp_path / "new.csv", unlabelled)
    lines = command("predict", out, "--data", new).stdout.splitlines()
    assert lines[0] == "id,way,p_down,p_up"
    assert [line.split(",")[0] for line in lines[1:]] == ["r0", "r1", "r2"]
    assert command("predict", out, "--data", new, "--csv").stdout.splitlines() == lines
    rows = json.loads(command("predict", out, "--json").stdout)
    assert list(rows[0]) == ["id", "way", "p_down", "p_up", "way_actual", "part"]
    assert len(rows) == 60
    right = [row["way"] == row["way_actual"] for row in rows if row["part"] == "test"]
    assert (len(right), np.mean(right)) == (9, facts["targets"][0]["metrics"]["model"]["accuracy"]["value"])


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("more", [-1, 0, 1, 4])
@pytest.mark.parametrize("form", ["list", "array", "mapping"])
def test_sequences_to_predict_have_the_channels_of_training(channels, more, form, tmp_path):
    """Further channels of arrays were ignored."""
    parts, labels = recordings(40, channels=channels, low=6, high=7)
    predictor = zoo.fit(parts, label=labels, **{**SMALL, "steps": 2})
    predictor.save(tmp_path / "model.safetensors")
    other = np.array(recordings(5, channels=channels + more, low=6, high=7)[0]) if channels + more else None
    if other is None:
        return
    data = {"list": list(other), "array": other, "mapping": {"inputs": other}}[form]
    for use in (predictor.predict, lambda given: zoo.predict(tmp_path / "model.safetensors", given)):
        if not more:
            assert use(data).values.shape == (5, 2)
            continue
        with pytest.raises(DataError, match=rf"has {channels + more} channels?[;,] "):
            use(data)


def test_chosen_channels_of_arrays_are_recognised(tmp_path):
    """With ``input``, data of all channels, or of the chosen ones alone, fit the model."""
    parts, labels = recordings(40, channels=3)
    predictor = zoo.fit(parts, label=labels, input="0,1", **{**SMALL, "steps": 2})
    expected = predictor.predict().values
    np.testing.assert_array_equal(predictor.predict(parts).values, expected)
    np.testing.assert_array_equal(predictor.predict([part[:, :2] for part in parts]).values, expected)
    with pytest.raises(DataError, match="has 4 channels, and the sequences of training had 3; give the same"):
        predictor.predict([np.ones((5, 4))])


def test_arrays_of_sequences_with_other_names_are_named(tmp_path):
    inputs, labels = np.ones((6, 5, 2)), np.array(["a", "b"] * 3)
    np.savez(tmp_path / "x.npz", X=inputs, y=labels)
    for use in (
        lambda: zoo.train(tmp_path / "x.npz", kind="sequences", out=tmp_path / "run"),
        lambda: zoo.train({"X": inputs, "y": labels}, label="y", out=tmp_path / "run"),
    ):
        with pytest.raises(
            DataError, match=r"has no array 'inputs'; its arrays are X, y. Rename 'X', as in `np"
        ):
            use()
    with pytest.raises(
        DataError, match=r"holds the array 'y'; expected .*. If it holds the labels, give `label=y`"
    ):
        zoo.train({"inputs": inputs, "y": labels}, kind="sequences", out=tmp_path / "run")


@pytest.mark.parametrize("padded", [True, False])
def test_padding_with_nan_needs_lengths(padded, tmp_path):
    inputs = np.ones((6, 5, 2))
    inputs[2, 3 if padded else 2] = inputs[2, 4 if padded else 2] = np.nan
    with pytest.raises(DataError, match=r"step [23], channel '0': the value is missing") as error:
        zoo.fit(list(inputs), label=["a", "b"] * 3)
    assert ("If it pads the end of a sequence, give the `lengths` of all." in str(error.value)) == padded


def test_missing_column_is_an_error_that_lists_all_columns(tmp_path):
    """The label was not among the columns of the message."""
    parts, labels = recordings()
    run = train(table(parts, labels), tmp_path)
    for absent in ("y", "id"):
        other = {name: column for name, column in table(parts, labels).items() if name != absent}
        with pytest.raises(DataError, match=rf"table has no column '{absent}'; its columns are .*way \("):
            Predictor.load(run).evaluate(other)


def test_other_labelled_data_are_evaluated(tmp_path):
    parts, labels = recordings()
    run = train(table(parts, labels), tmp_path)
    other = table(*recordings(30, seed=1))
    facts = Predictor.load(run).evaluate(other)
    assert (facts["part"], facts["sequences"]) == ("all", 30)
    predictions = zoo.predict(run, other)
    accuracy = (predictions.predicted == predictions.actual).mean()
    assert facts["targets"][0]["metrics"]["model"]["accuracy"]["value"] == pytest.approx(accuracy)
    with pytest.raises(UsageError, match="part is 'test', but other data have no parts; leave it out"):
        Predictor.load(run).evaluate(other, "test")


def test_directory_and_standard_input(tmp_path):
    parts, labels = recordings(30)
    for number, (part, label) in enumerate(zip(parts, labels, strict=True)):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        csv_file(tmp_path / "data" / label / f"r{number}.csv", {"x": part[:, 0], "y": part[:, 1]})
    words = ("--hidden", 8, "--steps", 3, "--quiet")
    out = tmp_path / "run"
    result = command("train", "--data", tmp_path / "data", "--label", "folder", *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert zoo.Run(out).model.stack.input_size == 2
    assert "folder, test part, " in command("eval", out).stdout
    alone = command("predict", out, "--data", tmp_path / "data" / labels[0] / "r0.csv").stdout.splitlines()
    assert (alone[0], alone[1][:3]) == ("id,folder,p_down,p_up", "r0,")
    known = command("predict", out, "--data", tmp_path / "data").stdout.splitlines()
    assert known[0] == "id,folder,p_down,p_up,folder_actual"
    (tmp_path / "data" / "down").rename(tmp_path / "new")
    assert command("predict", out, "--data", tmp_path / "new").stdout.splitlines()[0] == alone[0]
    (tmp_path / "new").rename(tmp_path / "data" / "down")
    assert command("train", "--resume", "--out", out, "--steps", 4, "--quiet").exit_code == 0
    text = csv_file(tmp_path / "x.csv", table(parts, labels)).read_text()
    words = (*words, "--series", "id", "--label", "way", "--out", tmp_path / "piped")
    result = CliRunner().invoke(cli, ["train", "--data", "-", *map(str, words)], input=text)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "which is not read again; name them with --data." in command("predict", tmp_path / "piped").stderr
    resume = ["train", "--resume", "--out", str(tmp_path / "piped"), "--steps", "4", "--quiet"]
    assert CliRunner().invoke(cli, resume, input=text).exit_code == 0
    assert "pass it again to resume" in CliRunner().invoke(cli, resume, input="").stderr


def test_archive_files_train_and_test(tmp_path):
    header = "@problemName Walks\n@univariate true\n@classLabel true down up\n@data\n"
    paths = []
    for name, seed in (("TRAIN", 0), ("TEST", 1)):
        parts, labels = recordings(40, seed, channels=1)
        lines = [
            f"{','.join(f'{value:.5f}' for value in part[:, 0])}:{label}"
            for part, label in zip(parts, labels, strict=True)
        ]
        path = tmp_path / f"Walks_{name}.ts"
        path.write_text(header + "\n".join(lines))
        paths.append(path)
    out = tmp_path / "run"
    words = ("--hidden", 8, "--steps", 5, "--split", "80,20", "--quiet")
    result = command("train", "--data", paths[0], *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert (zoo.Run(out).config.kind, zoo.Run(out).config.label) == ("sequences", "label")
    assert "label, all 40 sequences" in command("eval", out, "--data", paths[1]).stdout
    assert command("train", "--resume", "--out", out, "--steps", 8, "--quiet").exit_code == 0


@pytest.mark.parametrize("form", [list, tuple, lambda parts: np.stack([part[:4] for part in parts])])
def test_train_and_fit_take_arrays_with_their_labels(form, tmp_path):
    parts, labels = recordings()
    data, settings = form(parts), {**SMALL, "steps": 3, "seed": 5}
    run = zoo.train(data, label=labels, out=tmp_path / "run", **settings)
    fitted = zoo.fit(data, label=np.array(labels), **settings)
    np.testing.assert_array_equal(run.model.theta, fitted.model.theta)
    for file in (None, "x.csv", ["x.csv", "y.csv"]):
        with pytest.raises(UsageError, match=r"label is .*, which are the labels of arrays; for a file give"):
            zoo.train(file, label=labels, **settings)
    given = zoo.train(LabelledSequences.from_arrays(data, labels), out=tmp_path / "given", **settings)
    np.testing.assert_array_equal(run.model.theta, given.model.theta)
    assert list(zoo.predict(run).columns()) == ["id", "label", "p_down", "p_up", "label_actual", "part"]


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda labels: np.array(labels, object)])
@pytest.mark.parametrize("seed", [0, 1])
def test_classes_of_booleans_are_called_false_and_true(form, seed, tmp_path):
    parts, labels = recordings(seed=seed)
    booleans = [label == "up" for label in labels]
    given = LabelledSequences.from_arrays(parts, form(booleans))
    texts = LabelledSequences.from_arrays(parts, list(map(str, booleans)))
    fitted = zoo.fit(given, steps=3, **SMALL)
    assert fitted.spec.classes == ("False", "True")
    np.testing.assert_array_equal(fitted.model.theta, zoo.fit(texts, steps=3, **SMALL).model.theta)
    run = zoo.train(
        table(parts, form(booleans)), series="id", label="way", out=tmp_path / "run", **SMALL, steps=3
    )
    predictions = zoo.predict(run)
    assert set(predictions.predicted) <= {"False", "True"}
    assert list(predictions.actual) == [str(label) for label in booleans]
    other, of_other = recordings(30, seed=2)
    scores = [
        fitted.evaluate(LabelledSequences.from_arrays(other, form(each)))["targets"]
        for each in ([label == "up" for label in of_other], [str(label == "up") for label in of_other])
    ]
    assert scores[0] == scores[1]
    assert prepared(parts, form(booleans), loss="squared_error")[1].scaled.spec.classes == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda text: zoo.fit(text, steps=1),
        lambda text: zoo.fit(text, label="way", steps=1),
        lambda text: zoo.fit(text, target="y", steps=1),
        lambda text: zoo.train(text, label="way", steps=1),
        zoo.load,
        zoo.Run,
        zoo.forecast,
        zoo.predict,
    ],
)
def test_text_in_place_of_a_file_is_an_error(call):
    with pytest.raises(zoo.ZooError, match=r"the name is too long for a file"):
        call("hello world" * 50)


def test_fit_writes_only_what_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts, labels = recordings()
    settings = {"label": "way", "series": "id", "class_weights": "balanced"}
    predictor = zoo.fit(table(parts, labels), steps=3, **settings, **SMALL)
    assert isinstance(predictor, Predictor)
    assert list(tmp_path.iterdir()) == []
    assert len(predictor.predict().ids) == 60
    padded = np.zeros((6, 12, 2))
    assert zoo.predict(predictor, padded).values.shape == (6, 2)
    assert zoo.predict(predictor, {"inputs": padded, "lengths": [3] * 6}).values.shape == (6, 2)
    with pytest.raises(
        UsageError, match=r"label is missing; give the label of each sequence, as in zoo\.fit"
    ):
        zoo.fit(parts)
    predictor.save("way.safetensors")
    np.testing.assert_array_equal(
        zoo.predict("way.safetensors", padded).values, zoo.predict(predictor, padded).values
    )
    for words in ((), ("--data", csv_file(tmp_path / "way.csv", table(parts, labels)))):
        sentence = (
            "the comparison with simple methods needs the sequences of training, which were passed from"
        )
        assert sentence in command("eval", "way.safetensors", *words).stderr
    loaded = Predictor.from_checkpoint(load("way.safetensors"), "way.safetensors")
    assert (loaded.spec, loaded.main) == (predictor.spec, "balanced_accuracy")
    with pytest.raises(
        DataError, match=r"^this prediction needs the sequences of training, which were passed from"
    ):
        loaded.predict()
    with pytest.raises(
        DataError, match="calibration needs the sequences of training, which were passed from"
    ):
        loaded.calibrated()


class Frame:
    """A data frame as pandas and polars have it."""

    __dataframe__ = None

    def __init__(self, columns):
        self.columns, self._values = tuple(columns), columns

    def __getitem__(self, name):
        return self._values[name]


def test_data_frames_and_arrays_in_the_order_of_their_columns():
    parts, labels = recordings()
    frame = Frame(table(parts, labels))
    predictor = zoo.fit(frame, label="way", series="id", steps=3, **SMALL)
    np.testing.assert_array_equal(predictor.predict(parts).values, predictor.predict(frame).values)


# ---- invalid input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "settings", "sentence"),
    [
        (["a"] * 60, {}, "arrays: the label of all 60 sequences is 'a'; expected two classes or more."),
        (["a"] * 59 + ["b"], {}, "class 'b' has one sequence; expected two or more, to train and to test."),
        (
            [1] * 59 + [2],
            {},
            "or leave the class out. For labels that are numbers and not classes, give `loss=",
        ),
        (list(map(str, range(60))), {}, "class '0' has one sequence (60 classes have one); expected two"),
        (
            [2**53 + n % 3 for n in range(60)],
            {},
            "arrays: a label is 9007199254740992, and numbers beyond 2**53 are rounded, so that different "
            "classes may be equal; give texts as labels, or smaller numbers.",
        ),
        ([0.5] * 60, {}, "all labels of the training part (42 sequences) are equal"),
        (["a", "b"] * 30, {"loss": "squared_error"}, "loss is 'squared_error', a loss of numbers, but a"),
        (["a", "b"] * 30, {"loss": "interval"}, "loss is 'interval', which does not fit labels of"),
        (["a", "b"] * 30, {"loss": "binary"}, "loss is 'binary', which does not fit labels of"),
        (np.linspace(0, 1, 60), {"class_weights": "balanced"}, "class_weights is 'balanced', and the labels"),
        (["a", "b"] * 30, {"pooling": "max"}, "pooling is 'max'; expected 'last', 'mean' or 'none'."),
        (
            ["a", "b"] * 30,
            {"class_weights": "x"},
            "class_weights is 'x'; expected 'balanced', or a number from 1e-9 to 1e9 for each class",
        ),
        (["a", "b"] * 30, {"horizon": 3}, "horizon is given with labelled sequences; it applies to tables"),
        (["a", "b"] * 30, {"split": "50,60"}, "split is '50,60', with the sum 110"),
        (
            ["a", "b"] * 30,
            {"embedding": 2},
            "embedding is 2, and no input of arrays is a column of text values",
        ),
        (["a", "b"] * 30, {"input": "5"}, "arrays has no channel '5'; its channels are 0, 1."),
    ],
)
def test_invalid_settings_and_labels(labels, settings, sentence, tmp_path):
    data = LabelledSequences.from_arrays(recordings()[0], labels)
    with pytest.raises((DataError, UsageError)) as error:
        train(data, tmp_path, **settings)
    assert sentence in str(error.value)
    assert not (tmp_path / "run").exists()


def test_data_that_do_not_fit_the_model(tmp_path):
    parts, labels = recordings()
    run = train(table(parts, labels), tmp_path, steps=2)
    for data, sentence in (
        ([np.ones((3, 1))], "arrays has 1 channel; the model reads 2: x, y."),
        (table(parts[:2], ["up", "left"]), None),
        ({"id": ["a"], "x": [1.0]}, "table has no column 'y'"),
        ({"id": ["a"], "x": [1.0], "y": ["up"]}, "row 0, column 'y': found 'up'; expected a number."),
        ({"id": ["a"], "x": [1.0], "y": [np.nan]}, "row 0, column 'y': the value is missing; fill it."),
    ):
        if sentence is None:
            with pytest.raises(DataError, match="sequence 'r1' has the label 'left', which did not occur in"):
                Predictor.load(run).evaluate(data)
            assert zoo.predict(run, data).actual.tolist() == ["up", "left"]
            continue
        with pytest.raises(DataError) as error:
            zoo.predict(run, data)
        assert sentence in str(error.value)
    with pytest.raises(DataError, match="all channels are constant in the training part"):
        train(LabelledSequences.from_arrays([np.ones((3, 2))] * 60, labels), tmp_path, "flat")


def test_other_runs_are_an_error(tmp_path):
    run = zoo.train("builtin:hello", out=tmp_path / "text", hidden=8, steps=2)
    with pytest.raises(
        UsageError, match=r"does not predict labels of sequences; use `zoo sample .*text`, or train such a"
    ):
        zoo.predict(run)
    labelled = train(table(*recordings()), tmp_path, steps=2)
    with pytest.raises(UsageError, match="is not a forecasting model; use `zoo predict "):
        zoo.forecast(labelled)
    result = command("predict", tmp_path / "run")
    assert "this prediction needs the sequences of training, which were passed from memory" in result.stderr
    several = command("train", "--data", "a.csv", "--data", "b.csv", "--label", "y", "--series", "id")
    assert "data are 2 sources; expected one file. Join the files first." in several.stderr


@pytest.mark.parametrize(("cell", "warns"), [("ctrnn", True), ("cfc", False)])
def test_gaps_that_are_longer_than_a_solver_takes_are_named(cell, warns, recwarn):
    parts = [np.random.default_rng(number).normal(size=(6, 1)) for number in range(20)]
    times = [np.array([0.0, 1, 2, 3, 4, 194]) for _ in parts]
    given = LabelledSequences.from_arrays(parts, ["a", "b"] * 10, times=times)
    with pure_python():
        zoo.fit(given, cell=cell, steps=1, hidden=2)
    sentence = "the largest time between rows is 190 times the median"
    assert any(sentence in str(each.message) for each in recwarn) == warns


@pytest.mark.parametrize(
    ("change", "constant"),
    [
        (lambda part: part, ""),
        (lambda part: part * [1, 0], "; constant in the training part: 1"),
        (lambda part: part * [1, 0] + [0, 0.1], "; constant in the training part: 1"),
        (lambda part: np.where(part == part[:, 1:], np.nan, part), "; constant in the training part: 1"),
    ],
)
def test_channels_without_information_are_listed(change, constant):
    """Arrays keep their channels, so a constant one is read."""
    parts, labels = recordings()
    _, dataset = prepared([change(part) for part in parts], labels, missing="mask")
    start = {"event": "start", "sequences": dataset.metadata(), "config": {}}
    assert _sequences_header(start)["reads"] == f"0, 1{constant}"


@hypothesis.given(st.lists(st.sampled_from("abc"), min_size=12, max_size=20), st.integers(0, 99))
def test_parts_that_lack_a_class_are_named(letters, seed):
    """Groups are divided whatever their classes; each group has one class here."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(3, 1)) for _ in range(2 * len(letters))]
    labels = np.repeat(letters, 2).tolist()
    data = LabelledSequences.from_arrays(parts, labels, groups=np.repeat(np.arange(len(letters)), 2).tolist())
    given = {**SMALL, "data": ("x",), "kind": "sequences", "split": "50,25,25", "split_seed": seed}
    config = make_config(given)
    try:
        _, dataset = prepare_sequences(config, data)
    except DataError:  # one class, or the training part lacks one
        return
    notes = dataset.metadata()["column_notes"]
    for part, name in (("valid", "validation"), ("test", "test")):
        present = {labels[number] for number in dataset.parts.by_name()[part]}
        absent = [each for each in dataset.scaled.spec.classes if each not in present]
        named = ", ".join(map(repr, absent))
        noun = "class" if len(absent) == 1 else "classes"
        own = [note for note in notes if f"of the {name} part" in note]
        assert bool(own) == bool(absent)
        owner = "its" if len(absent) == 1 else "their"
        assert not own or own[0].startswith(
            f"no group of the {name} part has the {noun} {named}, so scores of this part do not include "
            f"{owner} recall; "
        )


@pytest.mark.parametrize("kind", ["text", "table", "sequences"])
@pytest.mark.parametrize("target", [None, "x"])
def test_fit_takes_the_kind_that_the_target_decides(kind, target):
    """An error of one sentence for another kind; and the same with the right one as without it."""
    parts, labels = recordings(20)
    data = parts if target is None else {"x": np.arange(40.0)}
    settings = {
        **SMALL,
        "steps": 1,
        **({"label": labels} if target is None else {"target": target, "horizon": 1}),
    }
    if (kind == "table") == (target is not None) and kind != "text":
        with pure_python():
            with_kind, without = (zoo.fit(data, **settings, **given) for given in ({"kind": kind}, {}))
        np.testing.assert_array_equal(with_kind.model.theta, without.model.theta)
        return
    with pytest.raises(
        UsageError, match=f"kind is '{kind}', and zoo.fit reads these data as '.*'; leave it out"
    ):
        zoo.fit(data, **settings, kind=kind)


@pytest.mark.parametrize("arguments", [{"label": "way"}, {"target": "x"}])
def test_fit_checks_the_choices_of_the_kind(arguments):
    with pytest.raises(UsageError, match=r"kind is 'junk'; expected .*sequences"):
        zoo.fit({"x": np.arange(9.0), "way": [*"ababababa"]}, **arguments, kind="junk")


@pytest.mark.parametrize("arguments", [{"label": "way"}, {"target": "x"}])
def test_fit_writes_no_run(arguments):
    with pytest.raises(UsageError, match=r"zoo.fit writes no run; leave `out` out, or use zoo.train"):
        zoo.fit({"x": np.arange(9.0), "way": [*"ababababa"]}, **arguments, out="run")
