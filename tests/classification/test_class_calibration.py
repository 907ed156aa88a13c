"""Calibrated probabilities of classes: the best scale and biases, and predictors that have them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.classification import Predictor
from zoo.classification.baselines import softmax
from zoo.classification.calibration import fit_calibration
from zoo.errors import UsageError
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


@pytest.mark.parametrize(("classes", "true_scale", "longest"), [(2, 0.3, 1), (4, 2.5, 1), (3, 1.5, 5)])
def test_the_parameters_of_many_labels_are_recovered(classes, true_scale, longest):
    logits, sizes, codes, bias = drawn(3_000, classes, true_scale, 1, longest)
    scale, fitted = fit_calibration(logits, sizes, codes)
    assert scale == pytest.approx(true_scale, rel=0.2)
    np.testing.assert_allclose(fitted, bias - bias.mean(), atol=0.25)


def test_chunks_change_nothing_beyond_rounding(monkeypatch):
    logits, sizes, codes, _ = drawn(40, 3, 1.5, 0, longest=4)
    whole = fit_calibration(logits, sizes, codes)
    monkeypatch.setattr("zoo.classification.calibration._CHUNK", 50)
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
        np.testing.assert_allclose(after.values, softmax(scale * logs + bias), atol=1e-5)
        order = np.argsort(before.values[:, 0], kind="stable")
        assert (np.diff(after.values[order, 0]) > -1e-6).all()


def test_only_classes_with_a_validation_part_are_calibrated():
    parts, labels = recordings(40)
    given = {"cell": "vanilla", "hidden": 4, "steps": 1, "threads": 1}
    with pure_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            UsageError, match="arrays has no labels in a validation part, to which probabilities"
        ):
            zoo.fit(parts, label=labels, split="80,0,20", **given).calibrated()
        with pytest.raises(
            UsageError, match=r"the label 'label' is a number; only classes have probabilities\."
        ):
            zoo.fit(parts, label=[float(part.sum()) for part in parts], **given).calibrated()
