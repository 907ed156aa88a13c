"""Scores of labels against scikit-learn, their intervals, and the sentence on the comparison."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.classification.metrics import LabelScores, class_scores, number_scores
from zoo.forecasting.metrics import Estimate

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def drawn(classes, count=300, seed=0):
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, classes, count)
    sharp = rng.dirichlet(np.ones(classes), count) + 0.5 * np.eye(classes)[actual]
    flat = np.full((count, classes), 1 / classes)
    return actual, {"model": sharp / sharp.sum(axis=1, keepdims=True), "majority class": flat}


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_of_classes_are_those_of_scikit_learn(classes):
    actual, probabilities = drawn(classes)
    actual[actual == 3] = 0  # a class that does not occur
    scores = class_scores("y", actual, probabilities)
    predicted = probabilities["model"].argmax(axis=1)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(actual, predicted),
        "macro_f1": sklearn_metrics.f1_score(actual, predicted, average="macro"),
    }
    recalls = sklearn_metrics.recall_score(actual, predicted, average=None, labels=np.unique(actual))
    expected["balanced_accuracy"] = recalls.mean()
    if classes == 2:
        expected["auroc"] = sklearn_metrics.roc_auc_score(actual, probabilities["model"][:, 1])
        assert scores.metrics["majority class"]["auroc"].value == 0.5
    assert {name: each.value for name, each in scores.metrics["model"].items()} == pytest.approx(expected)
    for each in scores.metrics["model"].values():
        assert 0 <= each.low < each.value < each.high <= 1
    np.testing.assert_array_equal(
        scores.confusion, sklearn_metrics.confusion_matrix(actual, predicted, labels=range(classes))
    )


def test_ties_count_one_half():
    rng = np.random.default_rng(0)
    actual, score = rng.integers(0, 2, 200), rng.integers(0, 5, 200) / 5
    probabilities = {"model": np.stack([1 - score, score], axis=1), "majority class": np.full((200, 2), 0.5)}
    value = class_scores("y", actual, probabilities).metrics["model"]["auroc"].value
    assert value == pytest.approx(sklearn_metrics.roc_auc_score(actual, score))


def test_interval_of_the_accuracy_has_its_standard_error():
    actual, probabilities = drawn(3, count=2000)
    accuracy = class_scores("y", actual, probabilities).metrics["model"]["accuracy"]
    error = np.sqrt(accuracy.value * (1 - accuracy.value) / 2000)
    assert accuracy.high - accuracy.low == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_errors_of_numbers():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=50)
    predictions = {"model": actual + 0.1, "mean of training": np.zeros(50), "ridge regression": actual - 0.2}
    scores = number_scores("y", actual, predictions)
    assert scores.best_baseline == "ridge regression"
    assert scores.metrics["model"]["mae"].value == pytest.approx(0.1)
    assert scores.metrics["model"]["rmse"].value == pytest.approx(0.1)
    assert scores.improvement.value == pytest.approx(0.5)
    assert scores.sentence == (
        "y: better than the best baseline, ridge regression: MAE 0.1 against 0.2, 50.0% lower (95 % interval "
        "of the gain +50.0% to +50.0%)."
    )


def sentence(gain, low=None, high=None, ours=0.9):
    metrics = {name: {"accuracy": Estimate(value)} for name, value in (("model", ours), ("b", ours - gain))}
    return LabelScores("y", metrics, "accuracy", "b", Estimate(gain, low, high), 60, None).sentence


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            (0.1, 0.05, 0.15),
            "y: better than the best baseline, b: accuracy 90.0% against 80.0%, 10.0 points more (95 % "
            "interval of the gain +5.0 to +15.0 points).",
        ),
        (
            (-0.05, -0.07, -0.01),
            "y: worse than the best baseline, b: accuracy 90.0% against 95.0%, 5.0 points less (95 % "
            "interval of the gain -7.0 to -1.0 points). Use the baseline, train longer, or change the model.",
        ),
        (
            (0.02, -0.01, 0.05),
            "y: not clearly better or worse than the best baseline, b: accuracy 90.0% against 88.0%, 2.0 "
            "points more (95 % interval of the gain -1.0 to +5.0 points, which contains 0).",
        ),
        (
            (0.02,),
            "y: better than the best baseline, b: accuracy 90.0% against 88.0%, 2.0 points more. There are "
            "too few sequences for an interval, so this is not certain.",
        ),
    ],
)
def test_sentence_states_how_certain_the_gain_is(arguments, expected):
    assert sentence(*arguments) == expected


def test_perfect_score_is_not_certain():
    text = sentence(0.1, 0.05, 0.15, ours=1.0)
    assert text.endswith("No error in 60 sequences is compatible with an error rate of up to 5.0%.")


def test_few_sequences_give_no_interval():
    actual, probabilities = drawn(2, count=4)
    assert class_scores("y", actual, probabilities).improvement.low is None
