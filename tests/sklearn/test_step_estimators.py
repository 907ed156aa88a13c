"""``StepClassifier`` and ``StepRegressor``: labels of steps in all forms, missing labels, and errors."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score

import zoo
from zoo.errors import CheckpointError
from zoo.sklearn import StepClassifier, StepRegressor, load
from zoo.storage import Checkpoint
from zoo.storage import load as load_file
from zoo.storage import save as save_file

SMALL = {"cell": "vanilla", "hidden_size": 8, "dtype": "float64", "threads": 1, "random_state": 0, "lr": 0.02}
CLASSIFIER, REGRESSOR = StepClassifier(**SMALL, epochs=2), StepRegressor(**SMALL, epochs=2)


@pytest.fixture(scope="module")
def recordings():
    """Sequences of two features, the sums of the first one up to each step, and whether they are above 0."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(steps, 2)) for steps in rng.integers(4, 16, 60)]
    sums = [np.cumsum(row[:, 0]) for row in rows]
    return rows, [np.where(each > 0, "up", "down") for each in sums], sums


def with_gaps(labels, seed=1):
    """Labels of which a third is None; the third sequence has none."""
    rng = np.random.default_rng(seed)
    labels = [np.array(each, object) for each in labels]
    for n, each in enumerate(labels):
        each[rng.random(len(each)) < (1.0 if n == 2 else 0.3)] = None
    return labels


def test_steps_are_classified(recordings):
    rows, labels, _ = recordings
    fitted = clone(CLASSIFIER).set_params(epochs=40, patience=20).fit(rows[:50], with_gaps(labels[:50]))
    predicted, shares = fitted.predict(rows[50:]), fitted.predict_proba(rows[50:])
    assert fitted.classes_.tolist() == ["down", "up"]
    for row, classes, probabilities in zip(rows[50:], predicted, shares, strict=True):
        assert classes.shape == (len(row),)
        assert probabilities.shape == (len(row), 2)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert (classes == fitted.classes_[probabilities.argmax(axis=1)]).all()
    expected = np.mean(np.concatenate(predicted) == np.concatenate(labels[50:]))
    assert fitted.score(rows[50:], labels[50:]) == pytest.approx(expected)
    assert expected > 0.9
    assert len(fitted.validation_losses_) <= 40


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 0.0), (1e6, -3e7), (1e-4, 5.0)])
def test_numbers_are_predicted_in_any_unit(factor, shift, recordings):
    rows, _, sums = recordings
    sums = [np.array([np.nan if each is None else each for each in row], float) for row in with_gaps(sums)]
    one, other = (
        clone(REGRESSOR).fit(rows, [scale * each + start for each in sums])
        for scale, start in ((1.0, 0.0), (factor, shift))
    )
    for values, expected in zip(other.predict(rows), one.predict(rows), strict=True):
        np.testing.assert_allclose((values - shift) / factor, expected, atol=1e-6)
    actual, predicted = np.concatenate(sums), np.concatenate(one.predict(rows))
    chosen = ~np.isnan(actual)
    errors, spread = actual[chosen] - predicted[chosen], actual[chosen] - actual[chosen].mean()
    assert one.score(rows, sums) == pytest.approx(1 - (errors**2).sum() / (spread**2).sum())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=["classifier", "regressor"])
def test_predictions_are_those_of_the_model_for_each_sequence_alone(estimator, bidirectional, recordings):
    rows, labels, sums = recordings
    fitted = clone(estimator).set_params(bidirectional=bidirectional)
    fitted.fit(rows, labels if estimator is CLASSIFIER else sums)
    for row, predicted in zip(rows[:9], fitted.predict(rows), strict=False):
        outputs, _ = fitted.model_.outputs(row[:, None])
        if estimator is CLASSIFIER:
            expected = fitted.classes_[outputs[:, 0].argmax(axis=1)]
            assert predicted.tolist() == expected.tolist()
        else:
            expected = outputs[:, 0, 0] * fitted.target_scale_ + fitted.target_mean_
            np.testing.assert_allclose(predicted, expected, atol=1e-12)


def test_a_fit_is_that_of_the_model_with_weights_of_zero_for_missing_labels(recordings):
    rows, labels = [row[:4] for row in recordings[0]], with_gaps([each[:4] for each in recordings[1]])
    fitted = clone(CLASSIFIER).fit(rows, labels)
    chosen = [n for n in range(60) if n != 2]
    targets = np.array([[each == "up" for each in labels[n]] for n in chosen]).T.astype(int)
    weights = np.array([[each is not None for each in labels[n]] for n in chosen]).T.astype(float)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    model = zoo.SequenceModel("vanilla", 2, 2, 8, dtype="float64", threads=1, seed=seed)
    inputs = np.stack([rows[n] for n in chosen], axis=1)
    history = model.fit(inputs, targets, weights, epochs=2, optimizer="adam", lr=0.02, clip=1.0, seed=seed)
    np.testing.assert_allclose(fitted.model_.theta, model.theta, rtol=1e-12)
    assert fitted.losses_ == pytest.approx([event["loss"] for event in history if event["event"] == "step"])


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("kind", ["lists", "objects", "padded", "nan", "booleans"])
def test_forms_of_labels_are_equivalent(kind, recordings):
    rows, labels = recordings[0][:12], with_gaps(recordings[1][:12])
    settings = {**SMALL, "epochs": 1, "hidden_size": 3}
    expected = StepClassifier(**settings).fit(rows, labels)
    longest = max(map(len, rows))
    if kind == "lists":
        given = rows, [each.tolist() for each in labels]
    elif kind == "objects":
        given = rows, np.array([*labels, None], object)[:-1]
    elif kind == "padded":
        padded = np.stack(
            [np.pad(row, ((0, longest - len(row)), (0, 0)), constant_values=np.nan) for row in rows]
        )
        given = padded, np.stack([np.pad(each, (0, longest - len(each))) for each in labels])
    elif kind == "nan":
        codes = {"up": 1.0, "down": 0.0, None: np.nan}
        given = rows, [np.array([codes[each] for each in row]) for row in labels]
    else:
        given = rows, [[None if each is None else each == "up" for each in row] for row in labels]
    fitted = StepClassifier(**settings).fit(*given)
    np.testing.assert_array_equal(fitted.model_.theta, expected.model_.theta)
    decoded = [np.where(each == fitted.classes_[1], "up", "down") for each in fitted.predict(given[0])]
    for one, other in zip(decoded, expected.predict(rows), strict=True):
        assert one.tolist() == other.tolist()
    assert fitted.score(*given) == expected.score(rows, labels)


@pytest.mark.usefixtures("plain_python")
def test_weights_of_sequences_and_classes(recordings):
    """A weight of zero leaves a sequence out, and weights of classes balance the labelled steps."""
    rows, labels = recordings[0][:12], with_gaps(recordings[1][:12])
    settings = {**SMALL, "epochs": 1, "hidden_size": 3}
    weights = np.r_[np.zeros(4), np.ones(8)]
    one = StepClassifier(**settings).fit(rows, labels, weights)
    other = StepClassifier(**settings).fit(rows[4:], labels[4:])
    np.testing.assert_array_equal(one.model_.theta, other.model_.theta)
    assert one.score(rows, labels, weights) == pytest.approx(other.score(rows[4:], labels[4:]))
    present = [each for row in labels for each in row if each is not None]
    balanced = {each: len(present) / 2 / present.count(each) for each in ("up", "down")}
    one, other = (
        StepClassifier(**settings, class_weight=given).fit(rows, labels) for given in ("balanced", balanced)
    )
    np.testing.assert_array_equal(one.model_.theta, other.model_.theta)
    plain = StepClassifier(**settings).fit(rows, labels)
    assert np.abs(one.model_.theta - plain.model_.theta).max() > 0


@pytest.mark.usefixtures("plain_python")
def test_searches_divide_sequences(recordings):
    rows, labels, sums = (each[:12] for each in recordings)
    settings = {**SMALL, "epochs": 1, "hidden_size": 3}
    assert not is_classifier(StepClassifier())  # folds of classes need one class for each sequence
    for estimator, y in (
        (StepClassifier(**settings), [each.tolist() for each in labels]),
        (StepRegressor(**settings), sums),
    ):
        scores = cross_val_score(estimator, rows, y, cv=3)
        search = GridSearchCV(estimator, {"lr": [0.01, 0.02]}, cv=2).fit(rows, y)
        assert np.isfinite(scores).all()
        assert search.best_estimator_.score(rows, y) == pytest.approx(search.score(rows, y))


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=["classifier", "regressor"])
def test_saved_estimators_are_loaded(estimator, recordings, tmp_path):
    rows, labels, sums = (each[:12] for each in recordings)
    y = labels if estimator is CLASSIFIER else sums
    validation = rows[:3], y[:3]
    fitted = clone(estimator).set_params(hidden_size=3, epochs=2).fit(rows, y, validation=validation)
    assert len(fitted.validation_losses_) == 2
    fitted.save(tmp_path / "saved.safetensors")
    for other in (load(tmp_path / "saved.safetensors"), pickle.loads(pickle.dumps(fitted))):
        assert other.get_params() == fitted.get_params()
        for one, expected in zip(other.predict(rows), fitted.predict(rows), strict=True):
            np.testing.assert_array_equal(one, expected)
    checkpoint = load_file(tmp_path / "saved.safetensors")
    stored = checkpoint.meta["estimator"]
    name = "classes_" if estimator is CLASSIFIER else "target_scale_"
    fitted_values = {**stored["fitted"], name: {"dtype": "<f8", "values": [1.0, 2.0, 3.0]}}
    changed = {**checkpoint.meta, "estimator": {**stored, "fitted": fitted_values}}
    save_file(tmp_path / "other.safetensors", Checkpoint(checkpoint.arrays, changed))
    with pytest.raises(CheckpointError, match="its description of the estimator does not fit its model"):
        load(tmp_path / "other.safetensors")


X = [np.arange(6.0).reshape(3, 2), np.ones((2, 2))]
Y = [["a", "b", None], ["b", "a"]]
N = [[1.0, 2.0, None], [0.5, 4.0]]


DAYS = [np.array(["2020-01-01"] * len(each), "M8[D]") for each in Y]
NONE = [[None] * 3, [np.nan] * 2]


@pytest.mark.parametrize(
    ("estimator", "given", "words"),
    [
        (CLASSIFIER, (X, None), "StepClassifier requires y to be passed, but the target y is None"),
        (CLASSIFIER, (X, "ab"), "y is 'ab'; expected a list with a vector (T,) for each sequence."),
        (CLASSIFIER, (X, ["a", "b"]), "y holds 'a' for sequence 0; expected a vector (T,) of the labels of"),
        (CLASSIFIER, (X, np.array(["a", "b"])), "For a label of each sequence use SequenceClassifier."),
        (REGRESSOR, (X, [1.0, 2.0]), "For a label of each sequence use SequenceRegressor."),
        (CLASSIFIER, (X, Y[:1]), "inconsistent numbers of samples: [2, 1]"),
        (CLASSIFIER, (X, [["a", "b"]] * 3), "y has 3 rows of 2 targets, and X has 2 sequences of up to 3"),
        (REGRESSOR, (X, np.ones((3, 2))), "expected (N, T). Exchange the axes, np.transpose(y)."),
        (CLASSIFIER, (X, [[["a"], "b"]] * 3), "y has 3 rows of 2 targets"),
        (CLASSIFIER, (X, [Y[0], ["a"]]), "sequence 1 has 2 steps and 1 label; expected one for each step"),
        (CLASSIFIER, (X, [Y[0], ["b", "a", "a"]]), "sequence 1 has 2 steps and 3 labels; expected one for"),
        (CLASSIFIER, (X, NONE), "y holds no label; expected one for at least one step."),
        (REGRESSOR, (X, NONE), "y holds no number; expected one for at least one step."),
        (CLASSIFIER, (X, [["a", 1, None], ["b", "a"]]), "y holds texts as well as numbers; expected"),
        (CLASSIFIER, (X, [[0.5, 1.5, 2.5], [1.5, 0.25]]), "Unknown label type: continuous"),
        (CLASSIFIER, (X, [np.zeros((3, 2))] * 2), "y of sequence 0 is float64(3, 2); expected (T,)."),
        (REGRESSOR, (X, Y), "y of sequence 0 is objects(3,); expected numbers. For classes use StepClass"),
        (REGRESSOR, (X, [[1.0, np.inf, 2.0], [1.0, 2.0]]), "y of sequence 0 holds infinity; expected"),
        (CLASSIFIER, (X, Y, [0.0, 0.0]), "runs from 0.0 to 0.0; expected (2,), numbers of at least zero"),
        (REGRESSOR, (X, [[1, 2, 3], NONE[1]], [0.0, 1.0]), "sample_weight is 0 for all sequences with a l"),
        (CLASSIFIER, (X, DAYS), "StepClassifier: y contains 2020-01-01"),
        (REGRESSOR, (X, DAYS), "StepRegressor: y contains 2020-01-01"),
    ],
)
def test_invalid_labels_raise(estimator, given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        clone(estimator).fit(*given)


@pytest.mark.parametrize(
    ("estimator", "y", "validation", "words"),
    [
        (CLASSIFIER, Y, (X, [["a", "c", None], ["b", "a"]]), "validation has the class 'c', which training"),
        (CLASSIFIER, Y, (X, NONE), "StepClassifier: validation: y holds no label; expected"),
        (REGRESSOR, N, (X, NONE), "StepRegressor: validation: y holds no number; expected"),
        (REGRESSOR, N, (X, N[:1]), "inconsistent numbers of samples"),
        (REGRESSOR, N, X, "StepRegressor: validation is [float64(3, 2), float64(2, 2)]; expected a pair (X,"),
    ],
)
def test_invalid_validation_raises(estimator, y, validation, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        clone(estimator).fit(X, y, validation=validation)
