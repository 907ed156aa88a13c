"""Calibrated probabilities of classes: the best scale and biases, and predictors that have them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.classification import Predictor
from zoo.classification.baselines import softmax
from zoo.classification.calibration import ClassCalibration, fit_calibration
from zoo.classification.metrics import metric_value
from zoo.cli.app import cli
from zoo.errors import CheckpointError, UsageError, ZooWarning
from zoo.kernels import pure_python
from zoo.storage import load


def drawn(count, classes, scale, seed, longest=1, spread=2.0):
    """Logits of predictions of one or several steps, and labels with the probabilities of other logits."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest + 1, count)
    logits = rng.normal(size=(int(sizes.sum()), classes)) * spread
    bias = rng.normal(size=classes)
    chances = means(softmax(scale * logits + bias), sizes)
    return logits, sizes, (rng.random((count, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1), bias


def means(rows, sizes):
    return np.add.reduceat(rows, np.cumsum(sizes) - sizes) / sizes[:, None]


def loss_of(scale, bias, logits, sizes, codes):
    """The mean cross-entropy of the labels and of one more label of each class, shared by all."""
    count, classes = len(codes), logits.shape[1]
    logs = np.log(means(softmax(scale * logits + bias), sizes))
    total = logs[np.arange(count), codes].sum() + logs.mean(axis=0).sum()
    return -total / (count + classes)


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(2, 5), st.floats(0.2, 3), st.integers(0, 999), st.sampled_from([1, 4]))
def test_no_other_scale_or_bias_nearby_is_better(count, classes, true_scale, seed, longest):
    logits, sizes, codes, _ = drawn(count, classes, true_scale, seed, longest)
    scale, bias = fit_calibration(logits, sizes, codes)
    least = loss_of(scale, bias, logits, sizes, codes)
    assert least <= loss_of(1.0, np.zeros(classes), logits, sizes, codes)
    assert bias.mean() == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(seed)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(5):
            moved = np.clip(scale * np.exp(size * rng.normal()), 1e-3, 1e3)
            other = loss_of(moved, bias + size * rng.normal(size=classes), logits, sizes, codes)
            assert other >= least - 1e-9
    if longest == 1:  # the probabilities have the frequencies of the labels
        shares = (np.bincount(codes, minlength=classes) + 1) / (count + classes)
        np.testing.assert_allclose(softmax(scale * logits + bias).mean(axis=0), shares, atol=1e-6)


@settings(max_examples=30)
@given(
    spread=st.floats(1, 700),
    labels=st.lists(st.booleans(), min_size=3, max_size=40),
    wrong=st.integers(0, 3),
    seed=st.integers(0, 999),
)
def test_overconfident_predictions_have_the_best_scale(spread, labels, wrong, seed):
    """All probabilities may be 0 or 1 in floating point, where a scale of 1 has no derivatives."""
    gaps = np.where(labels, 1.0, -1.0) * spread * np.random.default_rng(seed).uniform(0.5, 1, len(labels))
    gaps[:wrong] *= -1
    logits, codes, sizes = (
        np.stack([-gaps / 2, gaps / 2], axis=1),
        np.array(labels, int),
        np.ones(len(labels), int),
    )
    scale, bias = fit_calibration(logits, sizes, codes)
    biases = [np.array([-each, each]) for each in np.linspace(-2, 2, 17)]
    others = (loss_of(each, b, logits, sizes, codes) for each in np.geomspace(1e-3, 1e3, 49) for b in biases)
    with np.errstate(divide="ignore"):  # the logarithm of a probability of 0
        assert loss_of(scale, bias, logits, sizes, codes) <= min(others) + 1e-9


@pytest.mark.parametrize(("classes", "true_scale", "longest"), [(2, 0.3, 1), (4, 2.5, 1), (3, 1.5, 5)])
def test_the_parameters_of_many_labels_are_recovered(classes, true_scale, longest):
    logits, sizes, codes, bias = drawn(3_000, classes, true_scale, 1, longest)
    scale, fitted = fit_calibration(logits, sizes, codes)
    assert scale == pytest.approx(true_scale, rel=0.2)
    np.testing.assert_allclose(fitted, bias - bias.mean(), atol=0.25)


def test_chunks_change_nothing_beyond_rounding(monkeypatch):
    logits, sizes, codes, _ = drawn(40, 3, 1.5, 0, longest=4)
    whole = fit_calibration(logits, sizes, codes)
    for numbers in (1, 50):  # one row; four predictions, of up to 16 rows
        monkeypatch.setattr("zoo.classification.calibration._CHUNK", numbers)
        chunked = fit_calibration(logits, sizes, codes)
        assert chunked[0] == pytest.approx(whole[0], rel=1e-6)
        np.testing.assert_allclose(chunked[1], whole[1], atol=1e-6)


@pytest.mark.parametrize("codes", [[0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]])
def test_parameters_are_finite_without_an_error_and_without_a_class(codes):
    """Probabilities are then those of the additional labels."""
    logits = np.array([[4.0, 0], [0, 4], [5, 0], [0, 6]])
    scale, bias = fit_calibration(logits, np.ones(4, int), np.array(codes))
    assert 1e-3 <= scale <= 1e3
    assert np.isfinite(bias).all()
    probabilities = softmax(scale * logits + bias)
    assert 0.01 < probabilities.min() < probabilities.max() < 0.99


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
@given(scale=st.floats(0.3, 3), shift=st.floats(-3, 3), seed=st.integers(0, 999))
def test_calibration_keeps_the_order_of_two_classes_of_single_steps(metric, scale, shift, seed):
    logits, sizes, codes, _ = drawn(30, 2, 1.0, seed)
    codes[:2] = 0, 1
    before, after = softmax(logits), softmax(scale * logits + np.array([-shift, shift]))
    expected = metric_value(metric, codes, means(before, sizes))
    assert metric_value(metric, codes, means(after, sizes)) == pytest.approx(expected, abs=1e-9)


def test_calibration_may_change_the_order_of_means_over_steps():
    """A sure step outweighs two unsure steps after a bias against the second class."""
    logits, sizes, codes = np.array([[0, 9], [0, -3], [0, 1], [0, -0.5]]), np.array([2, 2]), np.array([0, 1])
    before, after = (means(softmax(logits + np.array([0, bias])), sizes) for bias in (0, -2))
    assert [metric_value("auroc", codes, each) for each in (before, after)] == [1.0, 0.0]


def recordings(count=100, seed=0):
    """Noisy sequences of a rare and a frequent class."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(count) < 0.15, "rare", "usual").tolist()
    shifts = {"rare": 0.7, "usual": 0.0}
    return [rng.normal(shifts[label], 1, (rng.integers(2, 7), 2)) for label in labels], labels


def trained(pooling, weights=None):
    parts, labels = recordings()
    if pooling == "none":
        labels = [[None, *[label] * (len(part) - 1)] for label, part in zip(labels, parts, strict=True)]
    given = {"cell": "vanilla", "hidden": 4, "steps": 10, "lr": 0.05, "threads": 1, "pooling": pooling}
    return zoo.fit(parts, label=labels, class_weights=weights, split="30,50,20", **given)


@pytest.mark.parametrize("weights", [None, "balanced"])
@pytest.mark.parametrize("pooling", ["last", "mean", "none"])
def test_calibrated_predictor(pooling, weights, tmp_path):
    with pure_python():
        predictor = trained(pooling, weights)
        before, theta = predictor.predict(), predictor.model.theta.copy()
        calibrated = predictor.calibrated()
        after = calibrated.predict()
        calibrated.save(tmp_path / "calibrated.safetensors")
        loaded = Predictor.load(tmp_path / "calibrated.safetensors")
        np.testing.assert_array_equal(loaded.predict(recordings()[0]).values, after.values)
        refitted = calibrated.calibrated().calibration
    assert loaded.calibration == calibrated.calibration
    assert refitted.temperature == pytest.approx(calibrated.temperature, rel=0.01)
    np.testing.assert_allclose(refitted.biases, calibrated.calibration.biases, atol=0.01)
    assert (calibrated.calibration.part, calibrated.calibration.data) == ("valid", "arrays")
    np.testing.assert_array_equal(predictor.model.theta, theta)  # a copy
    is_valid = (after.part == "valid") & (after.actual != "")
    codes = (after.actual[is_valid] == "usual").astype(int)
    steps = np.ones(len(codes), int)
    losses = [
        loss_of(1, np.zeros(2), np.log(each.values[is_valid]), steps, codes) for each in (before, after)
    ]
    assert losses[1] <= losses[0] + 1e-7
    assert losses[1] < losses[0] - 0.01 or weights is None
    if pooling != "mean":
        shares = (np.bincount(codes) + 1) / (len(codes) + 2)
        np.testing.assert_allclose(after.values[is_valid].mean(axis=0), shares, atol=1e-5)
        logs = np.log(before.values)
        scale, bias = fit_calibration(logs[is_valid], steps, codes)
        assert (predictor.temperature, calibrated.temperature) == (None, pytest.approx(1 / scale, rel=1e-3))
        np.testing.assert_allclose(after.values, softmax(scale * logs + bias), atol=1e-5)
        order = np.argsort(before.values[:, 0], kind="stable")
        assert (np.diff(after.values[order, 0]) > -1e-6).all()


@pytest.mark.parametrize("pooling", ["last", "mean", "none"])
def test_other_data_calibrate_as_the_validation_part_does(pooling, tmp_path):
    with pure_python():
        predictor = trained(pooling)
        predictions = predictor.predict()
        parts, labels = recordings()
        if pooling == "none":
            ends = np.cumsum(predictions.lengths)
            is_valid = predictions.part[ends - 1] == "valid"
            labels = [[None, *[label] * (len(part) - 1)] for label, part in zip(labels, parts, strict=True)]
        else:
            is_valid = predictions.part == "valid"
        chosen = [part for part, own in zip(parts, is_valid, strict=True) if own]
        own_labels = [label for label, own in zip(labels, is_valid, strict=True) if own]
        predictor.save(tmp_path / "saved.safetensors")  # has no data of training
        saved = Predictor.load(tmp_path / "saved.safetensors")
        other = zoo.data.LabelledSequences.from_arrays(chosen, own_labels)
        expected = predictor.calibrated().predict(parts).values
        np.testing.assert_array_equal(saved.calibrated(other).predict(parts).values, expected)
        usual = [number for number, each in enumerate(own_labels) if "rare" not in each]
        one_class = [chosen[number] for number in usual], [own_labels[number] for number in usual]
        data = zoo.data.LabelledSequences.from_arrays(*one_class)
        with pytest.raises(
            UsageError, match=r"^arrays has no label 'rare', so the probability of this class"
        ):
            saved.calibrated(data)


def test_only_classes_with_a_validation_part_are_calibrated():
    parts, labels = recordings(40)
    given = {"cell": "vanilla", "hidden": 4, "steps": 1, "threads": 1}
    with pure_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            UsageError, match="the validation part of arrays has no labels, to which probabilities"
        ):
            zoo.fit(parts, label=labels, split="80,0,20", **given).calibrated()
        with pytest.raises(
            UsageError, match=r"the label 'label' is a number; only classes have probabilities\."
        ):
            zoo.fit(parts, label=[float(part.sum()) for part in parts], **given).calibrated()


def test_predictions_without_agreement_or_with_nan_are_reported():
    """A readout with the opposite sign predicts the other class."""
    parts, labels = recordings()
    with pure_python():
        predictor = zoo.fit(parts, label=labels, cell="vanilla", hidden=4, steps=60, lr=0.05, threads=1)
        predictor.model.params["Why"][...] *= -1
        with pytest.warns(
            ZooWarning, match=r"^the predictions for the validation part of arrays do not agree"
        ):
            values = predictor.calibrated().predict().values
        assert values.std(axis=0).max() < 0.01
        predictor.model.params["Why"][...] = np.nan
        with pytest.raises(
            UsageError, match=r"^the model predicts NaN for the validation part of arrays; train it"
        ):
            predictor.calibrated()


@pytest.mark.parametrize(("seed", "is_lacking"), [(1, True), (2, True), (4, False), (5, True), (11, False)])
def test_a_class_that_the_validation_part_lacks_is_one_sentence(seed, is_lacking):
    """The sequences of the class are of two persons, so one of three parts lacks it."""
    persons = np.repeat(np.arange(20), 2)
    moods = np.where(persons < 2, "odd", np.where(np.arange(40) % 2, "calm", "glad"))
    table = {"id": np.arange(40), "who": persons, "mood": moods, "x": np.arange(40.0) % 7}
    data = {name: np.repeat(values, 3) for name, values in table.items()}
    given = {"label": "mood", "series": "id", "group": "who", "split": "40,30,30", "split_seed": seed}
    with pure_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = zoo.fit(data, cell="vanilla", hidden=2, steps=1, threads=1, **given)
        predictions = predictor.predict()
        assert ("odd" not in predictions.actual[predictions.part == "valid"]) == is_lacking
        if not is_lacking:
            assert np.isfinite(predictor.calibrated().predict().values).all()
        else:
            with pytest.raises(UsageError, match=r"^the validation part of .* has no label 'odd', so the"):
                predictor.calibrated()


FORMS = {
    "list": lambda parts, labels: (parts, {"label": labels}),
    "mapping": lambda parts, labels: ({"inputs": parts, "labels": labels}, {}),
    "sequences": lambda parts, labels: (zoo.data.LabelledSequences.from_arrays(parts, labels), {}),
    "table": lambda parts, labels: (
        {
            "id": np.repeat(np.arange(len(parts)), [len(each) for each in parts]),
            "kind": np.repeat(labels, [len(each) for each in parts]),
            "a": np.concatenate(parts)[:, 0],
            "b": np.concatenate(parts)[:, 1],
        },
        {"series": "id", "label": "kind"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_sequences_of_training_in_memory_are_recognised(form, tmp_path):
    """Also after saving. Their validation part calibrates then, and not all of them."""
    parts, labels = recordings()
    data, roles = FORMS[form](parts, labels)
    opened = FORMS["sequences" if form == "list" else form]
    training, others = (opened(*recordings(seed=seed))[0] for seed in (0, 1))
    given = {"cell": "vanilla", "hidden": 4, "steps": 10, "lr": 0.05, "threads": 1, "split": "30,50,20"}
    with pure_python():
        predictor = zoo.fit(data, **{"label": None, **roles}, **given)
        predictor.save(tmp_path / "saved.safetensors")
        loaded = Predictor.load(tmp_path / "saved.safetensors")
        for each in (predictor, loaded):
            with pytest.warns(ZooWarning, match="^the model was trained on .*its validation part"):
                calibrated = each.calibrated(training)
            assert calibrated.calibration.labels == 49
        assert predictor.calibrated(others).calibration.labels == 100


# ---- zoo calibrate ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def csv_run(tmp_path_factory):
    """A run on a file with a rare class, and the file."""
    folder = tmp_path_factory.mktemp("calibrate")
    parts, labels = recordings()
    rows = [
        f"s{number},{label},{first:.4f},{second:.4f}"
        for number, (part, label) in enumerate(zip(parts, labels, strict=True))
        for first, second in part
    ]
    (folder / "data.csv").write_text("\n".join(["id,kind,a,b", *rows]) + "\n")
    given = {"cell": "vanilla", "hidden": 4, "steps": 10, "lr": 0.05, "threads": 1, "split": "30,50,20"}
    given |= {"series": "id", "label": "kind", "class_weights": "balanced"}
    with pure_python():
        zoo.train(str(folder / "data.csv"), out=folder / "run", **given)
    return folder


@pytest.fixture(scope="module")
def other_csv(csv_run):
    """Other sequences than those of training."""
    text = (csv_run / "data.csv").read_text()
    (csv_run / "other.csv").write_text(text.replace("\ns", "\nt"))
    return csv_run / "other.csv"


def call(*arguments, command="calibrate", piped=None):
    with pure_python():
        return CliRunner().invoke(cli, [command, *map(str, arguments)], input=piped)


@pytest.mark.parametrize("has_data", [False, True])
def test_the_command_writes_the_calibrated_model(csv_run, other_csv, tmp_path, has_data):
    data = other_csv if has_data else None
    out = tmp_path / "new.safetensors"
    flags = ("--data", data) if has_data else ()
    result = call(csv_run / "run", "--out", out, "--json", *flags)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)
    with pure_python():
        predictor = Predictor.load(csv_run / "run")
        calibrated = predictor.calibrated(data)
        written = Predictor.load(out)
        before, after = predictor.predict(), written.predict()
        np.testing.assert_array_equal(after.values, calibrated.predict().values)
        assert written.evaluate()["part"] == "test"
        calibrated.save(tmp_path / "saved.safetensors")
    assert (tmp_path / "saved.safetensors").read_bytes() == out.read_bytes()
    assert written.calibration == calibrated.calibration
    assert facts["temperature"] == calibrated.temperature
    assert tuple(facts["biases"].values()) == calibrated.calibration.biases
    read = (data or csv_run / "data.csv").read_bytes()
    assert facts["sha256"] == hashlib.sha256(read).hexdigest()
    assert not [name for name in load(out).arrays if not name.startswith(("params.", "buffers."))]
    assert [row["part"] for row in facts["parts"]] == (["all"] if has_data else ["valid", "test"])
    for row in facts["parts"]:
        chosen = np.ones(len(after.part), bool) if has_data else after.part == row["part"]
        assert row["labels"] == chosen.sum()
        for name, each in (("before", before), ("after", after)):
            right = each.values[chosen, (each.actual[chosen] == "usual").astype(int)]
            assert row["log_loss"][name] == pytest.approx(-np.log(right).mean())
            assert row["brier_score"][name] == pytest.approx(((1 - right) ** 2).mean())
    assert facts["parts"][0]["log_loss"]["after"] < facts["parts"][0]["log_loss"]["before"]


def test_the_command_replaces_no_file_unasked(csv_run, tmp_path):
    out = tmp_path / "kept.safetensors"
    out.write_text("mine")
    result = call(csv_run / "run", "--out", out)
    assert result.exit_code != 0
    assert "is there already; choose another --out, or add --force." in result.output
    assert out.read_text() == "mine"
    result = call(csv_run / "run", "--out", out, "--force")
    assert result.exit_code == 0, result.output
    assert re.search(r"^fitted +to 49 labels, validation part of data\.csv$", result.output, re.MULTILINE)
    assert re.search(r"^temperature +\d", result.output, re.MULTILINE)
    assert re.search(r"^test part +0\.\d+ ", result.output, re.MULTILINE)
    assert re.search(
        r"^test part: log loss \S+% lower \(95 % interval of the gain ", result.output, re.MULTILINE
    )
    shown = call(out, command="show").output
    assert re.search(
        r"^ *fitted +to 49 labels, validation part of data\.csv, sha256 \w{12}$", shown, re.MULTILINE
    )
    assert re.search(r"^ *temperature +\d", shown, re.MULTILINE)
    assert re.search(r"^ *bias of rare +-?\d", shown, re.MULTILINE)
    assert "temperature" not in call(csv_run / "run", command="show").output


@pytest.mark.parametrize("name", ["data.csv", "other.csv"])
@pytest.mark.parametrize("command", ["calibrate", "eval"])
def test_standard_input_is_read_once(csv_run, other_csv, tmp_path, command, name):
    """The results are those of the file, also if it is the file of training."""
    results = []
    for data, piped in ((csv_run / name, None), ("-", (csv_run / name).read_text())):
        out = tmp_path / f"{len(results)}.safetensors"
        flags = ("--out", out) if command == "calibrate" else ()
        result = call(csv_run / "run", "--data", data, "--json", *flags, command=command, piped=piped)
        assert result.exit_code == 0, result.output
        facts = json.loads(result.stdout)
        results.append({key: value for key, value in facts.items() if key not in ("file", "data")})
    assert results[0] == results[1]


def test_the_file_of_training_calibrates_with_its_validation_part(csv_run, tmp_path):
    copy = tmp_path / "moved.csv"
    copy.write_bytes((csv_run / "data.csv").read_bytes())
    expected = (
        r"the model was trained on moved\.csv, so the calibration is fitted to its validation part; give"
    )
    with pure_python():
        predictor = Predictor.load(csv_run / "run")
        with pytest.warns(ZooWarning, match="^" + expected):
            calibrated = predictor.calibrated(copy)
        np.testing.assert_array_equal(
            calibrated.calibration.biases, predictor.calibrated().calibration.biases
        )
    result = call(csv_run / "run", "--data", copy, "--out", tmp_path / "new.safetensors")
    assert re.search(
        "^Warning: " + expected + r" other sequences, or leave out --data\.$", result.stderr, re.MULTILINE
    )
    assert "to 49 labels, validation part of moved.csv" in result.stdout


@pytest.mark.parametrize("has_data", [False, True])
def test_csv_has_a_row_for_each_part(csv_run, other_csv, tmp_path, has_data):
    flags = ("--data", other_csv) if has_data else ()
    out = tmp_path / "new.safetensors"
    facts = json.loads(call(csv_run / "run", "--out", out, "--json", *flags).output)
    result = call(csv_run / "run", "--out", out, "--force", "--csv", *flags)
    rows = list(csv.DictReader(result.output.splitlines()))
    assert len(rows) == len(facts["parts"])
    for row, part in zip(rows, facts["parts"], strict=True):
        assert (row["part"], int(row["labels"])) == (part["part"], part["labels"])
        assert float(row["temperature"]) == facts["temperature"]
        for metric in ("log_loss", "brier_score"):
            for when in ("before", "after"):
                assert float(row[f"{metric}.{when}"]) == part[metric][when]
        if part["part"] == "test":
            assert float(row["improvement.low"]) == part["improvement"]["low"]
            gain = 1 - part["log_loss"]["after"] / part["log_loss"]["before"]
            assert part["improvement"]["low"] < gain == pytest.approx(part["improvement"]["value"])


@pytest.mark.parametrize("inside", ["", "checkpoints", "checkpoints/best"])
def test_the_command_writes_nothing_into_a_run(csv_run, tmp_path, inside):
    """Not even with --force, where it would replace a checkpoint."""
    run = csv_run / "run"
    best = next((run / "checkpoints").glob("*.safetensors"))
    out = best if inside == "checkpoints/best" else run / inside / "new.safetensors"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "link").symlink_to(out.parent)
    for target in (out, tmp_path / "link" / out.name):
        result = call(run, "--out", target, "--force")
        assert result.exit_code != 0
        assert result.output.startswith(f"Error: calibrate: {target} is in the directory of a run, {run};")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_dangling_link_is_not_replaced_unasked(csv_run, tmp_path):
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "nothing")
    result = call(csv_run / "run", "--out", tmp_path / "link.safetensors")
    assert "link.safetensors is there already; choose another --out" in result.output
    assert not (tmp_path / "nothing").exists()


def test_the_advice_on_a_lacking_class_depends_on_the_data(csv_run, other_csv, tmp_path):
    """A larger validation part does not help if other data lack a class."""
    rows = other_csv.read_text().splitlines()
    usual, bare = tmp_path / "usual.csv", tmp_path / "small.csv"
    usual.write_text("\n".join([row for row in rows if ",rare," not in row]))
    lines = ["id,kind,a", *(f"s{n},{'ab'[n % 2]},{n % 3}" for n in range(8))]
    bare.write_text("\n".join(lines))
    lacking = "has no label 'rare', so the probability of this class cannot be calibrated; "
    result = call(csv_run / "run", "--data", usual, "--out", tmp_path / "new.safetensors")
    assert result.output == f"Error: usual.csv {lacking}give sequences with labels of all classes.\n"
    given = {"cell": "vanilla", "hidden": 4, "steps": 1, "threads": 1, "series": "id", "label": "kind"}
    with pure_python():
        zoo.train(str(bare), out=tmp_path / "run", split="80,0,20", **given)
    result = call(tmp_path / "run", "--out", tmp_path / "new.safetensors")
    assert result.output == (
        "Error: the validation part of small.csv has no labels, to which probabilities are calibrated; train "
        "with a larger validation part, as in --split '50,25,25', or give other --data.\n"
    )
    assert not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"temperature": 0}, "a value is invalid"),
        ({"temperature": float("nan")}, "a value is invalid"),
        ({"temperature": []}, "float"),
        ({"biases": [1.0]}, "a value is invalid"),
        ({"biases": ["a", "b"]}, "could not convert"),
        ({"part": "train"}, "a value is invalid"),
        ({"labels": "many"}, "a value is invalid"),
        ({"sha256": "x"}, "a value is invalid"),
    ],
)
def test_a_damaged_calibration_is_one_sentence(change, sentence):
    stored = ClassCalibration(1.5, (0.1, -0.1), "data.csv", "valid", 3, "a" * 64).to_json()
    assert ClassCalibration.from_json(stored, 2, "m.safetensors").to_json() == stored
    with pytest.raises(
        CheckpointError, match=rf"^m\.safetensors: its description of the calibration .*{sentence}"
    ):
        ClassCalibration.from_json({**stored, **change}, 2, "m.safetensors")


SCALES = st.floats(0.1, 10)
BIASES = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(tuple)


@given(SCALES, BIASES, SCALES, BIASES)
def test_two_calibrations_are_one(first_scale, first_biases, second_scale, second_biases):
    first = ClassCalibration(first_scale, first_biases, "a", "valid", 1)
    second = ClassCalibration(second_scale, second_biases, "b", "all", 2)
    logits = np.array([[0.3, -1, 2], [4, 0, 0]])
    in_turn = (logits / first_scale + first_biases) / second_scale + second_biases
    both = second.after(first)
    np.testing.assert_allclose(logits / both.temperature + both.biases, in_turn, atol=1e-9)
    assert (both.data, second.after(None)) == ("b", second)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--out", "model.onnx"), "--out model.onnx: expected a name that ends in .safetensors"),
        (("--out", ".safetensors"), "--out .safetensors: expected a name that ends in .safetensors, such as"),
        (("--out", "no/m.safetensors"), "no: no such file or directory; create it first."),
        (("--data", "none.csv"), "none.csv: no such file or directory"),
    ],
)
def test_wrong_flags_of_the_command_are_one_sentence(csv_run, flags, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(csv_run / "run", *flags)
    assert result.exit_code != 0
    assert result.output.startswith("Error: " + sentence)
    assert not list(tmp_path.iterdir())


def test_a_model_without_classes_is_not_calibrated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    zoo.SequenceModel("vanilla", 2, 1, 3).save("plain.safetensors")
    result = call("plain.safetensors")
    assert result.output.startswith("Error: " + "plain.safetensors does not predict labels of sequences; ")
    assert [each.name for each in tmp_path.iterdir()] == ["plain.safetensors"]
