"""Linear equations and matrix exponentials against NumPy, closed forms and sums in higher precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zoo
from zoo import kernels

MODES = {"compiled": contextlib.nullcontext, "interpreted": kernels.pure_python}
in_both_modes = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
Mode = Callable[[], Any]


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def skewed(a: np.ndarray) -> np.ndarray:
    return a - a.T


def solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.full_like(b, 7.0)
    kernels.solve(a, b, out)
    return out


def expm(a: np.ndarray) -> np.ndarray:
    out = np.full_like(a, 7.0)
    kernels.expm(a, out)
    return out


def expm_derivative(a: np.ndarray, e: np.ndarray) -> np.ndarray:
    out = np.full_like(a, 7.0)
    kernels.expm_derivative(a, e, out)
    return out


def relative(result: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(result - expected).max() / np.abs(expected).max())


# Linear equations.


@in_both_modes
@pytest.mark.parametrize(("size", "width"), [(1, 1), (2, 5), (7, 3), (33, 1), (64, 64)])
def test_solve_matches_numpy(mode: Mode, size: int, width: int) -> None:
    a, b = random(size, size, size), random(width, size, width)
    with mode():
        assert relative(solve(a, b), np.linalg.solve(a, b)) < 1e-11
        single = solve(a.astype(np.float32), b.astype(np.float32))
    assert single.dtype == np.float32
    exact = np.linalg.solve(a.astype(np.float32).astype(float), b.astype(np.float32).astype(float))
    assert relative(single, exact) < 1e-7  # rounded once


@in_both_modes
def test_solve_pivots(mode: Mode) -> None:
    a = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 4.0], [8.0, 0.0, 0.0]])
    with mode():
        np.testing.assert_array_equal(solve(a, np.eye(3)), np.linalg.inv(a))
        badly_scaled = np.diag([1e-200, 1.0, 1e200])
        np.testing.assert_allclose(solve(badly_scaled, np.eye(3)), np.diag([1e200, 1.0, 1e-200]), rtol=1e-15)


def rank_deficient(seed: int) -> np.ndarray:
    size = 2 + seed % 9
    return random(seed, size, size - 1) @ random(seed + 50, size - 1, size)


SINGULAR = {
    "zeros": np.zeros((3, 3)),
    "equal rows": np.array([[0.1, 0.3], [0.1, 0.3]]),
    "a multiple that rounding hides": np.array([[0.1, 0.3], [0.3, 0.9]]),
    "not a number": np.array([[1.0, np.nan], [0.0, 1.0]]),
    "not a number at the end": np.array([[1.0, 0.0], [0.0, np.nan]]),
    "infinite": np.array([[np.inf, 0.0], [0.0, 1.0]]),
    **{f"rank below the size, {seed}": rank_deficient(seed) for seed in range(9)},
}


@in_both_modes
@pytest.mark.parametrize("a", SINGULAR.values(), ids=SINGULAR)
def test_solve_of_singular_matrix_is_nan(mode: Mode, a: np.ndarray) -> None:
    with mode():
        assert np.isnan(solve(a, np.eye(len(a)))).all()


# Exponentials.


def taylor(a: np.ndarray) -> np.ndarray:
    """The scaled series, in extended precision."""
    squarings = max(0, int(np.ceil(np.log2(np.abs(a).sum() + 1))))
    scaled = a.astype(np.longdouble) / 2**squarings
    term = total = np.eye(len(a), dtype=np.longdouble)
    for number in range(1, 40):
        term = term @ scaled / number
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total.astype(float)


@in_both_modes
@pytest.mark.parametrize("size", [1, 2, 5, 16])
@pytest.mark.parametrize("scale", [0.0, 1e-9, 0.1, 1.0, 3.0])
def test_expm_matches_its_series(mode: Mode, size: int, scale: float) -> None:
    a = scale * random(size, size, size)
    with mode():
        assert relative(expm(a), taylor(a)) < 1e-13
        assert relative(expm(a.astype(np.float32)), taylor(a.astype(np.float32))) < 1e-7


@in_both_modes
def test_expm_closed_forms(mode: Mode) -> None:
    with mode():
        nilpotent = np.triu(random(1, 4, 4), 1)
        powers = [np.linalg.matrix_power(nilpotent, n) for n in range(4)]
        expected = powers[0] + powers[1] + powers[2] / 2 + powers[3] / 6
        np.testing.assert_allclose(expm(nilpotent), expected, atol=1e-14)
        for angle in (0.3, 40.0, 900.0):
            turned = expm(np.array([[0.0, -angle], [angle, 0.0]]))
            expected = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            np.testing.assert_allclose(turned, expected, atol=1e-15 * (10 + 4 * angle))
        values, vectors = np.linalg.eigh(random(2, 9, 9) + random(2, 9, 9).T)
        symmetric = (vectors * values) @ vectors.T
        assert relative(expm(symmetric), (vectors * np.exp(values)) @ vectors.T) < 1e-13
        orthogonal = expm(skewed(random(3, 60, 60)))
        np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(60), atol=1e-13)


@in_both_modes
@pytest.mark.parametrize("scale", [1e-9, 0.1, 1.0, 6.0])
def test_expm_derivative_is_a_block_of_an_exponential(mode: Mode, scale: float) -> None:
    a, e = scale * random(1, 6, 6), random(2, 6, 6)
    block = taylor(np.block([[a, e], [np.zeros_like(a), a]]))[:6, 6:]
    with mode():
        assert relative(expm_derivative(a, e), block) < 1e-12
        assert relative(expm_derivative(a.astype(np.float32), e.astype(np.float32)), block) < 1e-5
        assert relative(expm_derivative(a, 1e12 * e), 1e12 * block) < 1e-12


@in_both_modes
def test_expm_without_correct_digits_is_nan(mode: Mode) -> None:
    for a in (np.full((2, 2), np.nan), np.array([[0.0, np.inf], [0.0, 0.0]]), skewed(1e16 * random(0, 3, 3))):
        with mode():
            assert np.isnan(expm(a)).all()
            assert np.isnan(expm_derivative(a, np.ones_like(a))).all()
    with mode(), np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(expm(np.diag([800.0, 0.0]))).all()


# The functions of zoo on plain arrays.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_algebra_on_numpy_arrays(dtype: str) -> None:
    a = random(4, 5, 5).astype(dtype)
    assert zoo.expm(a).dtype == dtype
    assert relative(zoo.expm(a), taylor(a)) < (1e-13 if dtype == "float64" else 1e-7)
    orthogonal = zoo.cayley(skewed(a))
    assert orthogonal.dtype == dtype
    np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(5), atol=10 * np.finfo(dtype).eps)
    identity = np.eye(5)
    inverse = np.linalg.inv((identity + a).astype(float))
    np.testing.assert_allclose(zoo.cayley(a), inverse @ (identity - a), rtol=1e-3, atol=1e-5)
    assert zoo.expm(np.array([[1, 0], [0, 2]])).dtype == float


@pytest.mark.parametrize("function", [zoo.expm, zoo.cayley])
@pytest.mark.parametrize("a", [1.0, np.ones(3), np.ones((2, 3)), np.ones((2, 2, 2)), [["a"]]])
def test_non_square_matrix_raises(function: Any, a: Any) -> None:
    expected = rf"{function.__name__}: found an array of shape .*; expected one square matrix"
    with pytest.raises(zoo.UsageError, match=expected):
        function(a)


def test_complex_matrices() -> None:
    a = np.array([[0, 1j], [1j, 0]])
    with pytest.raises(zoo.UsageError, match="dtype complex128; expected one square matrix of real numbers"):
        zoo.expm(a)
    unitary = zoo.cayley(a)
    np.testing.assert_allclose(unitary @ unitary.conj().T, np.eye(2), atol=1e-15)


def test_nested_lists_are_accepted_as_matrices() -> None:
    a = [[0, 1], [-1, 0]]
    np.testing.assert_allclose(zoo.cayley(a), [[0, -1], [1, 0]], atol=1e-15)
    np.testing.assert_allclose(zoo.expm(a), [[np.cos(1), np.sin(1)], [-np.sin(1), np.cos(1)]], atol=1e-14)
