"""Functions that zoo adds to NumPy, compared with other formulas on arrays and on symbols."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import step_asserts as checks
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import zoo
from zoo import functions

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
# Bounded, so that no square overflows; extreme inputs have a test of their own.
VECTORS = arrays(np.float64, st.integers(1, 6), elements=st.floats(-40, 40))


def scalar(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.array([function(float(each)) for each in x.ravel()]).reshape(x.shape)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.array([1 / math.fsum(math.exp(other - each) for other in x) for each in x.tolist()])


def layer_norm(x: np.ndarray) -> np.ndarray:
    return (x - np.mean(x)) / np.sqrt(np.var(x) + 1e-5)


def rms_norm(x: np.ndarray) -> np.ndarray:
    return x * (np.mean(x**2) + 1e-5) ** -0.5


def gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def two_largest(x: np.ndarray) -> np.ndarray:
    kept = np.argsort(-x, kind="stable")[:2]
    return np.array([each if place in kept else 0.0 for place, each in enumerate(x)])


OTHERWISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": scalar(math.exp),
    "exp_diff": scalar(lambda x: math.exp(x) * math.e),
    "tanh": scalar(math.tanh),
    "sigmoid": scalar(
        lambda x: 0.5 * (1 + math.tanh(0.5 * x)) if x > -1 else math.exp(x) / (1 + math.exp(x))
    ),
    "hard_sigmoid": scalar(lambda x: min(max(x + 3, 0), 6) / 6),
    "relu": scalar(lambda x: max(x, 0.0)),
    "leaky_relu": scalar(lambda x: max(x, 0.01 * x)),
    "silu": scalar(lambda x: x / (1 + math.exp(-x))),
    "gelu": scalar(gelu),
    "erf": scalar(math.erf),
    "top_k": two_largest,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "log_sigmoid": lambda x: -np.logaddexp(0.0, -x),
    "softmax": softmax,
    "cumax": lambda x: np.array([math.fsum(softmax(x)[: i + 1]) for i in range(len(x))]),
    "cumsum": lambda x: np.array([sum(x[: i + 1]) for i in range(len(x))]),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "roll": lambda x: np.array([x[i - 1] for i in range(len(x))]),
    "outer": lambda x: np.einsum("i,j->ij", x, x),
    "stop_gradient": lambda x: x,
    "heaviside": scalar(lambda x: float(x >= 0)),
    "log": lambda x: scalar(math.log)(np.abs(x) + 1),
    "sqrt": lambda x: scalar(math.sqrt)(np.abs(x)),
}
# How a function is called that takes more than x, or takes it from where it is defined.
CALLS: dict[str, Callable[[Any], Any]] = {
    "exp_diff": lambda x: zoo.exp_diff(x, -1.0),
    "roll": lambda x: zoo.roll(x, 1),
    "top_k": lambda x: np.where(zoo.top_k(x, 2), x, 0.0),
    "outer": lambda x: zoo.outer(x, x),
    "log": lambda x: zoo.log(np.abs(x) + 1),
    "sqrt": lambda x: zoo.sqrt(np.abs(x)),
}


def call(name: str) -> Callable[[Any], Any]:
    return CALLS.get(name, getattr(functions, name))


def test_every_function_is_tested() -> None:
    elsewhere = {"cayley", "expm", "short_convolution"}  # test_kernels_linear_algebra.py, test_blocks.py
    assert set(functions.__all__) == {*OTHERWISE, *elsewhere, "split", "eye"}


@pytest.mark.parametrize("name", OTHERWISE)
@given(x=VECTORS)
def test_on_arrays(name: str, x: np.ndarray) -> None:
    actual = call(name)(x)
    expected = OTHERWISE[name](x)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OTHERWISE)
def test_float32_stays(name: str) -> None:
    x = np.array([-3.0, -0.5, 0.0, 2.0], np.float32)
    assert call(name)(x).dtype == np.float32


EXTREME = [0.0, -0.0, 1e-300, 1.0, 40.0, -40.0, 710.0, -710.0, 1e6, -1e6, 1e30, -1e30]
BOUNDED = [name for name in OTHERWISE if name not in ("exp", "exp_diff", "outer", "layer_norm", "rms_norm")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BOUNDED)
def test_extreme_inputs_are_finite_without_warnings(name: str, dtype: str) -> None:
    assert np.isfinite(call(name)(np.array(EXTREME).astype(dtype))).all()


THROUGH_NAN = sorted(set(OTHERWISE) - {"roll", "outer"})


@pytest.mark.parametrize("name", THROUGH_NAN)
def test_nan_stays_nan(name: str) -> None:
    assert np.isnan(call(name)(np.array([np.nan]))).all()


def cell_of(body: Callable[[Any], Any], **members: Any) -> zoo.Cell:
    """A cell whose output is a function of a mixture of everything."""

    def step(self: Any, x: Any, h: Any) -> Any:
        a = x @ self.W + h * self.u
        y = body(a)
        return zoo.Output(y.reshape(-1), 0.5 * h + 0.1 * a)

    members = {"W": zoo.Param("I", "H"), "u": zoo.Param("H"), "h": zoo.State("H"), **members}
    return type("OfAll", (zoo.Cell,), {"__doc__": "A cell.", "card": CARD, "step": step, **members})()


@pytest.mark.parametrize("name", sorted(set(OTHERWISE) - {"heaviside", "stop_gradient"}))
def test_on_symbols_value_and_gradient(name: str) -> None:
    checks.check(checks.trial(cell_of(call(name)), sizes=(3, 4)), tokens=False)


@pytest.mark.parametrize("name", sorted(set(OTHERWISE) - {"outer"}))
def test_matrix_applies_to_last_axis(name: str) -> None:
    x = np.arange(6.0).reshape(2, 3) / 7 - 0.3
    rows = np.stack([call(name)(row) for row in x])
    np.testing.assert_allclose(call(name)(x), rows, rtol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "rms_norm", "cumsum", "cumax"])
def test_another_axis(name: str) -> None:
    x = np.arange(6.0).reshape(2, 3) ** 2 / 11
    np.testing.assert_allclose(getattr(zoo, name)(x, axis=0), getattr(zoo, name)(x.T).T, rtol=1e-12)


def test_split_and_eye() -> None:
    first, second = zoo.split(np.arange(6.0), 2)
    assert (first.tolist(), second.tolist()) == ([0, 1, 2], [3, 4, 5])
    assert zoo.split(np.zeros((4, 6)), 2, axis=0)[0].shape == (2, 6)
    assert (zoo.eye(3) == np.identity(3)).all()


def test_split_and_eye_on_symbols() -> None:
    def body(a: Any) -> Any:
        first, second = zoo.split(a, 2)
        return np.concatenate([first * second, a @ (2.0 * zoo.eye(a.shape[0]))])

    checks.check(checks.trial(cell_of(body), sizes=(3, 4)))


def test_gelu_is_near_the_exact_one() -> None:
    x = np.linspace(-6, 6, 200)
    exact = scalar(lambda each: 0.5 * each * (1 + math.erf(each / math.sqrt(2))))(x)
    assert np.abs(zoo.gelu(x) - exact).max() < 1e-3


def test_exact_gelu_is_written_with_the_error_function() -> None:
    def exact(x: Any) -> Any:
        return 0.5 * x * (1 + zoo.erf(x / math.sqrt(2)))

    x = np.linspace(-6, 6, 200)
    expected = scalar(lambda each: 0.5 * each * math.erfc(-each / math.sqrt(2)))(x)
    np.testing.assert_allclose(exact(x), expected, rtol=0, atol=1e-15)
    case = checks.trial(cell_of(exact), sizes=(3, 4))
    y, _, _ = case.both_passes(case.x)[0]
    np.testing.assert_allclose(y, case.reference(case.x)[0], rtol=1e-15, atol=1e-15)
    checks.check(case)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_top_k_marks_exactly_k_entries(k: int) -> None:
    x = np.random.default_rng(k).integers(0, 3, (40, 5)).astype(float)  # with many that are equal
    mask = zoo.top_k(x, k)
    assert mask.dtype == bool
    assert (mask.sum(axis=-1) == min(k, 5)).all()
    assert (np.where(mask, x, np.inf).min(axis=-1) >= np.where(mask, -np.inf, x).max(axis=-1)).all()
    np.testing.assert_array_equal(zoo.top_k(x.T, k, axis=0), mask.T)


def test_top_k_marks_nan_in_addition() -> None:
    mask = zoo.top_k(np.array([1.0, np.nan, 3.0, 2.0]), 1)
    assert mask.tolist() == [False, True, True, False]


def test_top_k_has_no_own_derivative() -> None:
    case = checks.trial(cell_of(lambda a: np.where(zoo.top_k(a, 2), 1.0, 0.0)), steps=1)
    with checks.interpreted(case):
        _, (dx, _, _) = case.both_passes(case.x)
    np.testing.assert_allclose(dx[0], 0.1 * case.dlast[0] @ case.params["W"].T, rtol=1e-12)


def test_relu_has_no_gradient_at_zero() -> None:
    case = checks.trial(cell_of(zoo.relu), steps=1, ranges={"x": (0.0, 0.0), "h": (0.0, 0.0)})
    with checks.interpreted(case):
        _, (dx, _, _) = case.both_passes(case.x)
    through_state = case.dlast[0] @ case.params["W"].T * 0.1
    np.testing.assert_allclose(dx[0], through_state, rtol=1e-12)


# Surrogate gradients.

SURROGATES: dict[str, Callable[[float, float], float]] = {
    "fast_sigmoid": lambda x, slope: (1 + slope * abs(x)) ** -2,
    "sigmoid": lambda x, slope: slope / (2 + math.exp(slope * x) + math.exp(-slope * x)),
    "arctan": lambda x, slope: slope / 2 / (1 + (math.pi / 2 * slope * x) ** 2),
    "triangle": lambda x, slope: max(0.0, 1 - slope * abs(x)),
    "straight_through": lambda x, slope: slope,
    "boxcar": lambda x, slope: float(abs(x) <= 0.5 / slope),
    "exponential": lambda x, slope: slope / 2 / math.exp(slope * abs(x)),
    "double_gaussian": lambda x, slope: 1.15 * density(x, 1 / slope) - 0.3 * density(x, 6 / slope),
}


def density(x: float, deviation: float) -> float:
    return math.exp(-(x**2) / 2 / deviation**2) / deviation / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(("slope", "scale"), [(1.0, 1.0), (2.5, 0.4)])
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_surrogate_is_the_gradient_of_a_spike(surrogate: str, slope: float, scale: float) -> None:
    cell = cell_of(lambda a: zoo.heaviside(a, surrogate, slope, scale))
    case = checks.trial(cell, steps=1, batch=1)
    with checks.interpreted(case):
        (y, _, _), (_, (dh,), _) = case.both_passes(case.x)
    a = case.x[0] @ case.params["W"] + case.state["h"] * case.params["u"]
    assert (y[0] == (a >= 0)).all()
    through_spike = case.dy[0] * scalar(lambda x: scale * SURROGATES[surrogate](x, slope))(a)
    expected = case.dlast[0] * 0.5 + (through_spike + 0.1 * case.dlast[0]) * case.params["u"]
    np.testing.assert_allclose(dh, expected, rtol=1e-12)


def test_unknown_surrogate_raises() -> None:
    with pytest.raises(zoo.UsageError, match=r"expected one of fast_sigmoid, .* Did you mean 'triangle'\?"):
        zoo.heaviside(np.zeros(2), "triangel")


@pytest.mark.parametrize("part", ["real", "imag"])
def test_no_gradient_flows_through_stop_gradient(part: str) -> None:
    def stopped(a: Any) -> Any:
        return getattr(zoo.stop_gradient(a + 2j * a), part)

    case = checks.trial(cell_of(stopped), steps=1)
    with checks.interpreted(case):
        (y, _, _), (dx, _, _) = case.both_passes(case.x)
    np.testing.assert_allclose(y, case.reference(case.x)[0], rtol=1e-12)
    np.testing.assert_allclose(dx[0], 0.1 * case.dlast[0] @ case.params["W"].T, rtol=1e-12)
