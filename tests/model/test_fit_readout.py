"""Fit readouts by ridge regression: RidgeRegression, and model.fit_readout with its arguments."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.errors import UsageError
from zoo.model.ridge_regression import RidgeRegression

Array = Any

T, N, I, H, V = 6, 5, 3, 4, 2  # noqa: E741 - the letters of the documents


def least_squares(features: Array, targets: Array, weights: Array, ridge: float) -> tuple[Array, Array]:
    """Weights and bias from the rows of the regression and of its penalty, without sums of products."""
    size = features.shape[1]
    root = np.sqrt(weights)[:, None]
    rows = np.block([[root * features, root], [np.sqrt(ridge) * np.eye(size), np.zeros((size, 1))]])
    right = np.concatenate([root * targets, np.zeros((size, targets.shape[1]))])
    solution = np.linalg.lstsq(rows, right, rcond=None)[0]
    return solution[:-1], solution[-1]


def sequences(seed: int = 0) -> tuple[Array, Array]:
    """Inputs and targets of N sequences."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(T, N, I)), rng.normal(size=(T, N, V))


def model(cell: str = "vanilla", **options: Any) -> zoo.SequenceModel:
    """A model for them, in float64."""
    return zoo.SequenceModel(
        cell, I, V, hidden_size=H, **{"loss": "squared_error", "dtype": "float64"} | options
    )


@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-6, 1.0, 100.0]),
    st.booleans(),
    st.sampled_from([0.0, 1e3]),
)
def test_the_sums_of_batches_give_the_least_squares_solution(
    seed: int, size: int, outputs: int, ridge: float, weighted: bool, offset: float
) -> None:
    """Also with features far from zero, and with weights of zero."""
    rng = np.random.default_rng(seed)
    features, targets = rng.normal(size=(40, size)) + offset, rng.normal(size=(40, outputs))
    weights = rng.integers(0, 3, 40).astype(float) if weighted else np.ones(40)
    regression = RidgeRegression(size, outputs)
    for rows in np.split(np.arange(40), [0, 7, 30]):
        regression.add(features[rows], targets[rows], weights[rows] if weighted else None)
    expected, bias = least_squares(features - offset, targets, weights, ridge)
    result = regression.solve(ridge)
    np.testing.assert_allclose(result[0], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(result[1] + offset * result[0].sum(axis=0), bias, rtol=1e-7, atol=1e-9)


def test_equal_features_share_their_weight_without_a_ridge() -> None:
    """A direction in which features do not vary gets no weight."""
    column = np.random.default_rng(0).normal(size=(30, 1))
    regression = RidgeRegression(3, 1)
    regression.add(np.concatenate([column, column, np.full((30, 1), 7.0)], axis=1), 3 * column - 1)
    weights, bias = regression.solve(0.0)
    np.testing.assert_allclose(weights, [[1.5], [1.5], [0.0]], atol=1e-9)
    np.testing.assert_allclose(bias, [-1.0], atol=1e-9)


def test_a_regression_without_rows_has_no_solution() -> None:
    """Rows of weight zero are none."""
    regression = RidgeRegression(2, 1)
    regression.add(np.ones((3, 2)), np.ones((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match="no row has a weight above zero"):
        regression.solve(1.0)


@pytest.mark.parametrize(
    ("features", "targets", "weights", "sentence"),
    [
        (
            np.ones((3, 4)),
            np.ones((3, 1)),
            None,
            "features are float64(3, 4); expected numbers of the shape (N,",
        ),
        (np.ones(2), np.ones((3, 1)), None, "features are float64(2,); expected numbers of the shape (N, 2)"),
        ([["a", "b"]], [[1.0]], None, "features are texts(1, 2); expected numbers of the shape (N, 2)"),
        (np.ones((3, 2)), np.ones(3), None, "targets are float64(3,); expected numbers of the shape (3, 1)"),
        (np.ones((3, 2)), [[1.0]], None, "targets are float64(1, 1); expected numbers of the shape (3, 1)"),
        (np.ones((1, 2)), [[1.0]], np.ones(2), "weights are float64(2,); expected numbers of the shape (1,)"),
        (np.ones((1, 2)), [[1.0]], [-1.0], "weights run from -1.0 to -1.0; expected finite numbers, zero or"),
    ],
)
def test_invalid_rows(features: Any, targets: Any, weights: Any, sentence: str) -> None:
    """They are errors, and NumPy repeats none of them."""
    with pytest.raises(UsageError, match=f"^RidgeRegression: {re.escape(sentence)}"):
        RidgeRegression(2, 1).add(features, targets, weights)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_a_regression_of_values_that_are_too_large_has_no_solution(value: float) -> None:
    """The error says so in place of NaN."""
    regression = RidgeRegression(2, 1)
    with np.errstate(all="ignore"):
        regression.add([[value, 1.0], [-value, 2.0]], [[1.0], [2.0]])
    with pytest.raises(UsageError, match=r"^RidgeRegression: features or targets are NaN or infinite, or to"):
        regression.solve(1.0)


@pytest.mark.parametrize(("size", "outputs"), [(0, 1), (2, 0), (2.5, 1), ("2", 1)])
def test_invalid_sizes_of_a_regression(size: Any, outputs: Any) -> None:
    """Both are positive integers."""
    with pytest.raises(UsageError, match=r"^RidgeRegression: (features|targets) is "):
        RidgeRegression(size, outputs)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cell", ["vanilla", "esn"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("washout", [0, 2])
def test_the_gradient_of_the_penalised_loss_vanishes(cell: str, padded: bool, washout: int) -> None:
    """The readout is the minimum, and nothing else changes."""
    x, y = sequences()
    lengths = np.array([6, 3, 5, 6, 4]) if padded else None
    weights = np.random.default_rng(1).uniform(0.5, 2, (T, N))
    network = model(cell)
    before = {name: value.copy() for name, value in network.params.items()}
    fitted = network.fit_readout(x, y, weights, ridge=0.1, washout=washout, lengths=lengths)
    assert fitted == zoo.model.ReadoutFit(0.1, {})
    weights[:washout] = 0
    network.loss_and_grad(x, y, weights, lengths=lengths)
    counts = weights if lengths is None else weights * (np.arange(T)[:, None] < lengths)
    scale = counts.sum() * V  # the loss is a mean over steps and outputs
    np.testing.assert_allclose(
        network.grads["Why"] * scale, -2 * 0.1 * network.params["Why"], rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(network.grads["by"] * scale, 0, atol=1e-12)
    for name in before.keys() - {"Why", "by"}:
        np.testing.assert_array_equal(network.params[name], before[name])
    assert not np.array_equal(network.params["Why"], before["Why"])


@pytest.mark.usefixtures("plain_python")
def test_targets_of_the_last_step_are_fitted_there() -> None:
    """One-hot classes, one for each sequence."""
    x, _ = sequences()
    classes = np.eye(V)[[0, 1, 1, 0, 1]]
    network = model()
    network.fit_readout(x, classes, ridge=0.5)
    layer = zoo.Recurrent("vanilla", I, H, dtype="float64")
    layer.fill({name: value for name, value in network.params.items() if name.startswith("l0")})
    y, _ = layer.forward(x)
    weights, bias = least_squares(y[-1], classes, np.ones(N), 0.5)
    np.testing.assert_allclose(network.params["Why"], weights, atol=1e-12)
    np.testing.assert_allclose(network.params["by"], bias, atol=1e-12)


@pytest.mark.usefixtures("plain_python")
def test_a_regression_over_batches_is_the_fit_of_all_sequences() -> None:
    """The loop of the page, with weights, lengths, and batches of one and of several sequences."""
    x, y = sequences()
    weights, lengths = np.random.default_rng(1).uniform(0.5, 2, (T, N)), np.array([6, 3, 5, 6, 4])
    whole, parts = model(), model()
    whole.fit_readout(x, y, weights, ridge=0.1, lengths=lengths)
    regression = RidgeRegression(H, V)
    for rows in ([0], [1, 2, 3], [4]):
        given = x[:, rows], y[:, rows], weights[:, rows]
        parts.add_to_regression(regression, *given, lengths=lengths[rows])
    parts.params["Why"], parts.params["by"] = regression.solve(0.1)
    np.testing.assert_allclose(parts.theta, whole.theta, rtol=1e-9, atol=1e-12)


def test_a_regression_of_another_size_is_an_error() -> None:
    """So are other losses, and values that are no regression."""
    x, y = sequences()
    with pytest.raises(UsageError, match=r"has 3 features and 2 targets; expected RidgeRegression\(4, 2\)"):
        model().add_to_regression(RidgeRegression(3, V), x, y)
    with pytest.raises(UsageError, match=r"regression is 1; expected a zoo\.model\.RidgeRegression"):
        model().add_to_regression(1, x, y)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^add_to_regression: the loss of the model is 'absolute_error'"):
        model(loss="absolute_error").add_to_regression(RidgeRegression(H, V), x, y)


@pytest.mark.usefixtures("plain_python")
def test_batches_give_the_result_of_all_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches, and several blocks of rows, are one regression."""
    x, y = sequences()
    whole, parts = model(bidirectional=True), model(bidirectional=True)
    whole.fit_readout(x, y)
    monkeypatch.setattr("zoo.training.readout_fit.EVALUATION_BATCH", 2)
    monkeypatch.setattr("zoo.model.ridge_regression._BLOCK_ROWS", 5)
    parts.fit_readout(x, y)
    np.testing.assert_allclose(parts.params["Why"], whole.params["Why"], rtol=1e-6)


@pytest.mark.usefixtures("plain_python")
def test_the_penalty_with_the_least_validation_loss_is_used() -> None:
    """Validation losses are those of models with these readouts."""
    x, y = sequences()
    other = sequences(1)
    network = model()
    fitted = network.fit_readout(x, y, ridge=(1e-6, 1.0, 1e3), validation=other)
    assert list(fitted.validation_losses) == [1e-6, 1.0, 1e3]
    assert fitted.ridge == min(fitted.validation_losses, key=fitted.validation_losses.__getitem__)
    for ridge, loss in fitted.validation_losses.items():
        single = model()
        assert single.fit_readout(x, y, ridge=ridge).validation_losses == {}
        assert single.evaluate(*other)["loss"] == loss
    assert network.evaluate(*other)["loss"] == fitted.validation_losses[fitted.ridge]


@pytest.mark.usefixtures("plain_python")
def test_a_share_of_the_sequences_is_for_validation() -> None:
    """They are not fitted, and the seed chooses them."""
    x, y = sequences()
    results = [model().fit_readout(x, y, validation=0.4, seed=seed) for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ridge": -1.0}, "fit_readout: ridge is -1.0; expected a number, zero or more, or a sequence of"),
        ({"ridge": []}, "fit_readout: ridge is []; expected a number, zero or more, or a sequence of them."),
        ({"ridge": "1e-6"}, "fit_readout: ridge is '1e-6'; expected a number, zero or more"),
        ({"ridge": (1.0, np.inf)}, "fit_readout: ridge is inf; expected a number, zero or more"),
        ({"ridge": (1.0, 2.0)}, "ridge holds 2 penalties without validation data to choose from them; give"),
        ({"washout": -1}, "fit_readout: washout is -1; expected"),
        ({"washout": 6}, "washout is 6, and no sequence of the data has a step with a target after it"),
        (
            {"washout": 2, "validation": (np.ones((2, 1, I)), np.ones((2, 1, V)))},
            "sequence of the validation",
        ),
        ({"targets": np.ones((T, N), int)}, "targets (6, 5) for inputs of 6 steps and 5 sequences"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    """Each is one sentence, and the model stays as it is."""
    x, y = sequences()
    network = model()
    before = network.theta.copy()
    with pytest.raises(UsageError, match=re.escape(message)):
        network.fit_readout(**{"inputs": x, "targets": y} | change)
    np.testing.assert_array_equal(network.theta, before)


@pytest.mark.usefixtures("plain_python")
def test_outputs_that_overflow_are_an_error() -> None:
    """The readout stays as it is."""
    x, y = sequences()
    network = zoo.SequenceModel("irnn", I, V, hidden_size=H, loss="squared_error", dtype="float64")
    network.params["l0.Wh"] = 1e200 * np.eye(H)
    before = network.theta.copy()
    with (
        pytest.raises(UsageError, match="outputs of the layers are NaN or infinite; scale the inputs, or"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        network.fit_readout(np.abs(x), y)
    np.testing.assert_array_equal(network.theta, before)


def test_other_losses_are_an_error() -> None:
    """Classes need one-hot targets."""
    x, _ = sequences()
    with pytest.raises(
        UsageError, match="the loss of the model is 'cross_entropy'; least squares need loss="
    ):
        model(loss="cross_entropy").fit_readout(x, np.zeros(N, int))
