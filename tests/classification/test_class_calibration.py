"""Calibrated probabilities of classes: the best scale and biases, and predictors that have them."""

from __future__ import annotations

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
from zoo.classification.calibration import fit_calibration
from zoo.cli.app import cli
from zoo.errors import UsageError, ZooWarning
from zoo.kernels import pure_python


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


def call(*arguments):
    with pure_python():
        return CliRunner().invoke(cli, ["calibrate", *map(str, arguments)])


@pytest.mark.parametrize("has_data", [False, True])
def test_the_command_writes_the_calibrated_model(csv_run, tmp_path, has_data):
    data = csv_run / "data.csv" if has_data else None
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
    assert facts["temperature"] == calibrated.temperature
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


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--out", "model.onnx"), "--out model.onnx: expected a name that ends in .safetensors."),
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
