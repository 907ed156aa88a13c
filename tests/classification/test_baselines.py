"""Baselines of labels: summary features, and regressions against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.classification.baselines import (
    WINDOW,
    logistic_regression,
    majority_class,
    ridge_regression,
    step_features,
    summary_features,
    training_mean,
)
from zoo.data import growing_array

linear_model = pytest.importorskip("sklearn.linear_model")
TRAIN = np.arange(80)


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(120, 6)) * [1, 10, 0.1, 1, 1, 0] + 3


def standardised(values):
    scale = values[TRAIN].std(axis=0)
    return (values - values[TRAIN].mean(axis=0)) / np.where(scale > 0, scale, 1)


def test_summary_features_against_a_loop():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(length, 2)) for length in (4, 1, 7)]
    offsets = np.array([0, 4, 5, 12])
    result = summary_features(np.concatenate(parts), offsets)
    assert result.shape == (3, 7 * 2 + 1)
    for row, part in zip(result, parts, strict=True):
        change = np.abs(np.diff(part, axis=0)).sum(axis=0) / max(len(part) - 1, 1)
        each = [part.mean(0), part.std(0), part.min(0), part.max(0), part[0], part[-1], change]
        np.testing.assert_allclose(row, [*np.concatenate(each), len(part)], atol=1e-12)


def test_missing_values_are_left_out_of_the_features():
    values = np.array([[1.0], [np.nan], [3.0], [np.nan], [np.nan]])
    result = summary_features(values, np.array([0, 3, 5]))
    assert result[0].tolist() == [2, 1, 1, 3, 1, 3, 0, 3]
    assert np.isfinite(result[1]).all()


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("chunk", [1, 2**22])
def test_step_features_against_a_loop(both, chunk, monkeypatch):
    monkeypatch.setattr(growing_array, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(length, 2)) for length in (14, 1, 33)]
    for part in parts:
        part[rng.random(part.shape) < 0.2] = np.nan
    values, offsets = np.concatenate(parts), np.array([0, 14, 15, 48])
    rows = rng.permutation(48)[:30]
    result = step_features(values, offsets, rows, both)
    assert result.shape == (30, 16 if both else 9)
    for row, features_of_row in zip(rows, result, strict=True):
        number = int(np.searchsorted(offsets, row, side="right")) - 1
        part, step = parts[number], row - offsets[number]
        expected = [*np.nan_to_num(part[step])]
        for window in (part[: step + 1][::-1][:WINDOW], part[step:][:WINDOW])[: 1 + both]:
            change = window[0] - window[1] if len(window) > 1 else np.zeros(2)
            present = [column[~np.isnan(column)] for column in window.T]
            expected += [*np.nan_to_num(change)]
            expected += [each.mean() if len(each) else 0.0 for each in present]
            expected += [each.std() if len(each) else 0.0 for each in present]
            expected += [step if len(expected) < 9 else len(part) - 1 - step]
        np.testing.assert_allclose(features_of_row, expected, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_regression_is_that_of_scikit_learn(classes):
    x, rng = features(), np.random.default_rng(1)
    actual = (standardised(x) @ rng.normal(size=(6, classes)) + rng.gumbel(size=(120, classes))).argmax(
        axis=1
    )
    result = logistic_regression(x, actual, TRAIN, classes)
    # With two classes scikit-learn has one vector of weights, the difference of ours: half the penalty.
    model = linear_model.LogisticRegression(C=2.0 if classes == 2 else 1.0, tol=1e-10, max_iter=10_000)
    expected = model.fit(standardised(x)[TRAIN], actual[TRAIN]).predict_proba(standardised(x))
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_ridge_regression_is_that_of_scikit_learn():
    x, rng = features(), np.random.default_rng(1)
    actual = x @ rng.normal(size=6) + rng.normal(size=120)
    expected = linear_model.Ridge(alpha=1.0).fit(standardised(x)[TRAIN], actual[TRAIN])
    np.testing.assert_allclose(
        ridge_regression(x, actual, TRAIN), expected.predict(standardised(x)), atol=1e-9
    )


def test_baselines_without_features_read_the_training_part_only():
    actual = np.array([0, 0, 1, 2, 2, 2, 2])
    shares = majority_class(actual, np.arange(4), 3)
    assert shares.shape == (7, 3)
    assert shares[5].tolist() == [0.5, 0.25, 0.25]
    assert training_mean(actual.astype(float), np.arange(4)).tolist() == [0.75] * 7
