"""Cells with inverses, Cayley maps and exponentials of parameters: gradients by formulas, and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo

no_files = checks.no_files

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")


class Orthogonal(zoo.Cell):
    """Two orthogonal matrices."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform")
    A = zoo.Param("H", "H", init="glorot_uniform")
    B = zoo.Param("H", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        turned = np.tanh(h @ zoo.cayley(self.A - self.A.T))
        return np.tanh(x @ self.W + turned @ zoo.expm(self.B - self.B.T))


class Rotated(zoo.Cell):
    """One orthogonal matrix."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform")
    A = zoo.Param("H", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(x @ self.W + h @ zoo.cayley(self.A - self.A.T))


def test_both_passes_equal_the_reference() -> None:
    checks.check(checks.trial(Orthogonal()))
    checks.check(checks.trial(Orthogonal(), sizes=(2, 1), steps=1, batch=1))


# The laws compile an exponential in float64, that of exp_rnn.
@pytest.mark.parametrize(
    ("cell", "dtype", "tolerance"), [(Rotated(), "float64", 1e-9), (Orthogonal(), "float32", 1e-4)]
)
def test_compiled_passes_equal_interpreted_passes(cell: zoo.Cell, dtype: str, tolerance: float) -> None:
    case = checks.trial(cell, sizes=(3, 5))
    x = case.x if dtype == "float32" else case.tokens  # both of each would compile twice as long
    with checks.interpreted(case):
        expected = case.both_passes(x)
    checks.assert_same(case.both_passes(x, dtype), expected, f"compiled, {dtype}", tolerance)


# One product each, whose gradient has a formula.


def one_matrix(function: Callable[[Any], Any]) -> zoo.Cell:
    def step(self: Any, x: Any, h: Any) -> Any:
        return zoo.Output(h @ function(self.A) + (x @ self.W).sum(), h)

    members = {"W": zoo.Param("I", 1), "A": zoo.Param("H", "H"), "h": zoo.State("H"), "step": step}
    return type("OneMatrix", (zoo.Cell,), {"__doc__": "One matrix.", "card": CARD, **members})()


def of_inverse(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(a)
    return -inverse.T @ g @ inverse.T


def of_cayley(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(np.eye(len(a)) + a)
    map_ = inverse @ (np.eye(len(a)) - a)
    return -inverse.T @ g @ (np.eye(len(a)) + map_).T


def of_exponential(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Divided differences of the eigenvalues (Daleckii & Krein)."""
    values, vectors = np.linalg.eig(a.astype(complex))
    inverse = np.linalg.inv(vectors)
    gaps = values[:, None] - values[None, :]
    means = np.exp((values[:, None] + values[None, :]) / 2)
    quotients = means * np.where(gaps == 0, 1.0, 2 * np.sinh(gaps / 2) / np.where(gaps == 0, 1.0, gaps))
    return (inverse.T @ (quotients * (vectors.T @ g @ inverse.T)) @ vectors.T).real


FORMULAS = {
    "inverse": (np.linalg.inv, of_inverse),
    "Cayley map": (zoo.cayley, of_cayley),
    "exponential": (zoo.expm, of_exponential),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_gradient_equals_its_formula(name: str) -> None:
    function, formula = FORMULAS[name]
    case = checks.trial(one_matrix(function), sizes=(2, 6), steps=4, batch=3)
    with checks.interpreted(case):
        _, (_, _, (_, gradient)) = case.both_passes(case.x)
    by_matrix = case.state["h"].T @ case.dy.sum(axis=0)
    np.testing.assert_allclose(gradient, formula(case.params["A"], by_matrix), rtol=1e-9, atol=1e-9)


def test_singular_matrix_gives_nan() -> None:
    rnn = zoo.Recurrent(one_matrix(np.linalg.inv), 2, 3, dtype="float64")
    rnn.fill({"l0.A": np.diag([1.0, 0.0, 2.0])})
    with zoo.kernels.pure_python():
        y, _ = rnn.forward(np.ones((2, 1, 2)), {"l0.h": np.ones((1, 3))})
    assert np.isnan(y).all()
