"""Scores of labels against scikit-learn, their intervals, and the sentence on the comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.base.metric import higher_is_better, is_share, metric_text
from zoo.classification import metrics
from zoo.classification.metrics import (
    CLASS_METRICS,
    ORDER_METRICS,
    LabelScores,
    _Bootstrap,
    _scores_of_classes,
    class_scores,
    metric_value,
    number_scores,
)
from zoo.forecasting.metrics import Estimate

PROBABILITY_METRICS = {"auroc", "average_precision", "log_loss", "brier_score"}

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def drawn(classes, count=300, seed=0):
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, classes, count)
    sharp = rng.dirichlet(np.ones(classes), count) + 0.5 * np.eye(classes)[actual]
    flat = np.full((count, classes), 1 / classes)
    return actual, {"model": sharp / sharp.sum(axis=1, keepdims=True), "majority class": flat}


def expected_of_probabilities(actual, probabilities):
    """The scores of probabilities; of their order only if two classes occur."""
    labels = range(probabilities.shape[1])
    expected = {
        "log_loss": sklearn_metrics.log_loss(actual, probabilities, labels=labels),
        "brier_score": sklearn_metrics.brier_score_loss(actual, probabilities, labels=labels),
    }
    if len(labels) == 2 and len(np.unique(actual)) == 2:
        expected["auroc"] = sklearn_metrics.roc_auc_score(actual, probabilities[:, 1])
        expected["average_precision"] = sklearn_metrics.average_precision_score(actual, probabilities[:, 1])
    return expected


@pytest.mark.filterwarnings("ignore:`?(y_pred|y_prob)")  # older versions have other names
@settings(max_examples=60)
@given(
    classes=st.integers(2, 4),
    present=st.integers(1, 4),
    count=st.integers(1, 40),
    decimals=st.sampled_from([0, 1, 2, 16]),
    seed=st.integers(0, 999),
)
def test_scores_of_probabilities_are_those_of_scikit_learn(classes, present, count, decimals, seed):
    """With ties, probabilities of 0 and 1, absent classes, and few labels."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, min(present, classes), count)
    whole = 10**decimals
    probabilities = rng.multinomial(min(whole, 10**6), rng.dirichlet(np.ones(classes), count)) / min(
        whole, 10**6
    )
    expected = expected_of_probabilities(actual, probabilities)
    scores = class_scores("y", actual, {"model": probabilities, "b": probabilities}).metrics["model"]
    assert {name: scores[name].value for name in scores.keys() & PROBABILITY_METRICS} == pytest.approx(
        expected
    )
    for metric in PROBABILITY_METRICS:
        value = metric_value(metric, actual, probabilities)
        assert value == pytest.approx(expected.get(metric, np.nan), nan_ok=True)


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
    expected |= expected_of_probabilities(actual, probabilities["model"])
    if classes == 2:
        assert scores.metrics["majority class"]["auroc"].value == 0.5
    assert {name: each.value for name, each in scores.metrics["model"].items()} == pytest.approx(expected)
    for name, each in scores.metrics["model"].items():
        assert 0 <= each.low < each.value < each.high <= (1 if is_share(name) else np.inf)
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
            (0.0, -0.01, 0.02),
            "y: not clearly better or worse than the best baseline, b: accuracy 90.0% against 90.0%, no "
            "difference (95 % interval of the gain -1.0 to +2.0 points, which contains 0).",
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


def by_hand(actual, predicted, probabilities, metric):
    """A score of some labels, each of which may occur several times."""
    if metric in PROBABILITY_METRICS:
        return expected_of_probabilities(actual, probabilities)[metric]
    if metric == "accuracy":
        return sklearn_metrics.accuracy_score(actual, predicted)
    if metric == "macro_f1":
        return sklearn_metrics.f1_score(actual, predicted, average="macro")
    classes = np.unique(actual)
    return sklearn_metrics.recall_score(actual, predicted, average=None, labels=classes).mean()


@settings(max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=4), st.integers(5, 12), st.integers(0, 99))
def test_resamples_without_a_class_widen_no_interval(counts, groups, seed):
    """The balanced accuracy of one predicted class is 1 / K in each resample with all K classes."""
    actual = np.repeat(np.arange(len(counts)), counts)
    largest = np.eye(len(counts))[np.full(len(actual), int(np.argmax(counts)))]
    bootstrap = _Bootstrap.of(len(actual), np.random.default_rng(seed).integers(0, groups, len(actual)))
    weights = np.concatenate(
        [bootstrap.weights(np.random.default_rng(seed), 200), np.ones((1, bootstrap.count))]
    )
    scores = _scores_of_classes(actual, largest, bootstrap)
    drawn_scores = {name: scores[name](weights) for name in ("balanced_accuracy", "macro_f1")}
    lacks = (bootstrap.counts(actual, np.ones(len(actual), bool), len(counts)).T @ weights.T == 0).any(axis=0)
    for values in drawn_scores.values():
        np.testing.assert_array_equal(np.isnan(values), lacks)
    np.testing.assert_allclose(drawn_scores["balanced_accuracy"][~lacks], 1 / len(counts), rtol=1e-12)


@pytest.mark.parametrize("has_ties", [False, True])
@pytest.mark.parametrize("is_grouped", [False, True])
def test_scores_of_resampled_groups_are_those_of_their_labels(is_grouped, has_ties):
    """A score of weights of groups is the score of the labels of all drawn groups, as often as drawn."""
    rng = np.random.default_rng(0)
    actual, probabilities = drawn(2, count=60, seed=3)
    values = np.round(probabilities["model"], 1) if has_ties else probabilities["model"]
    groups = rng.integers(0, 7, 60) if is_grouped else None
    bootstrap = _Bootstrap.of(60, groups)
    weights = bootstrap.weights(np.random.default_rng(1), 5)
    assert weights.shape == (5, 7 if is_grouped else 60)
    scores = _scores_of_classes(actual, values, bootstrap)
    predicted = values.argmax(axis=1)
    for row, weight in enumerate(weights):
        repeats = weight[groups if is_grouped else np.arange(60)].astype(int)
        labels = np.repeat(np.arange(60), repeats)
        for metric, score in scores.items():
            expected = by_hand(actual[labels], predicted[labels], values[labels], metric)
            assert score(weights)[row] == pytest.approx(expected), metric


@pytest.mark.parametrize("thresholds", [2048, 20])
def test_groups_that_are_many_have_the_same_order(monkeypatch, thresholds):
    """Sums by group and sums over labels agree, also if neighbouring scores are one threshold."""
    actual, probabilities = drawn(2, count=80)
    groups = np.random.default_rng(0).integers(0, 20, 80)
    bootstrap = _Bootstrap.of(80, groups)
    weights = bootstrap.weights(np.random.default_rng(1), 4)
    monkeypatch.setattr(metrics, "_THRESHOLDS", thresholds)
    values = []
    for dense in (0, 1000):
        monkeypatch.setattr(metrics, "_DENSE", dense)
        scores = _scores_of_classes(actual, probabilities["model"], bootstrap)
        values.append([scores[name](weights) for name in ORDER_METRICS])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


@pytest.mark.parametrize("rate", [0.02, 0.4])
@pytest.mark.parametrize("has_ties", [False, True])
def test_resamples_of_many_labels_are_near_the_scores_of_all_thresholds(monkeypatch, rate, has_ties):
    rng = np.random.default_rng(0)
    actual = (rng.random(6_000) < rate).astype(int)
    high = rng.normal(size=6_000) + 1.5 * actual
    high = np.round(high, 2) if has_ties else high
    probabilities = np.stack([-high, high], axis=1)
    bootstrap = _Bootstrap.of(6_000, rng.integers(0, 40, 6_000))
    weights = np.concatenate([bootstrap.weights(rng, 50), np.ones((1, 40))])
    values = []
    for thresholds in (1000, 10**9):
        monkeypatch.setattr(metrics, "_THRESHOLDS", thresholds)
        ranking = metrics._Ranking(actual == 1, probabilities[:, 1], bootstrap)
        values.append(np.array([ranking.auroc(weights), ranking.average_precision(weights)]))
    np.testing.assert_allclose(values[0][:, -1], values[1][:, -1], rtol=1e-12)  # the labels themselves
    largest = np.abs(values[0] - values[1]).max(axis=1)
    assert (largest < 0.1 * values[1].std(axis=1)).all()


@pytest.mark.parametrize("main", CLASS_METRICS)
def test_the_comparison_uses_the_chosen_score(main):
    actual, probabilities = drawn(2)
    scores = class_scores("y", actual, probabilities, main)
    model, baseline = (scores.metrics[name][main].value for name in ("model", "majority class"))
    assert scores.improvement.value > 0
    assert metric_value(main, actual, probabilities["model"]) == pytest.approx(model)
    if higher_is_better(main):
        assert scores.improvement.value == pytest.approx(model - baseline)
        assert f": {metric_text(main)} {model:.1%} against {baseline:.1%}, " in scores.sentence
    else:
        assert scores.improvement.value == pytest.approx(1 - model / baseline)
        assert f": {metric_text(main)} {model:.4g} against {baseline:.4g}, " in scores.sentence


@pytest.mark.parametrize("main", ORDER_METRICS)
def test_the_order_of_one_class_is_not_a_number(main):
    actual, probabilities = np.zeros(9, np.int64), {"model": np.full((9, 2), 0.5), "b": np.full((9, 2), 0.5)}
    assert np.isnan(metric_value(main, actual, probabilities["model"]))
    assert class_scores("y", actual, probabilities, main).main == "accuracy"


def test_an_error_of_numbers_may_be_chosen():
    actual = np.arange(40.0)
    predictions = {"model": actual + 1, "mean of training": np.where(actual, actual, 9.0)}
    assert number_scores("y", actual, predictions).improvement.value < 0  # MAE 1 against 0.225
    scores = number_scores("y", actual, predictions, "rmse")  # RMSE 1 against 1.42
    assert scores.improvement.value == pytest.approx(1 - 1 / (9 / np.sqrt(40)))
    assert ": RMSE 1 against 1.423, " in scores.sentence
