"""Loops of vector instructions against their plain form, for rows shorter and longer than a vector."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.kernels.vector_loops import vector_loop


@vector_loop(1, 2, sums=1)
def add_and_sum(target, a, b, factor):
    new = target + a * factor
    return new, new * b


@vector_loop(2, 0)
def exchange(a, b):
    return b, a


@vector_loop(1, 1, sums=2)
def two_sums(target, a):
    return target - a, a * a, target


@zoo.njit
def run_two_sums(target, a):
    return two_sums(target, a)


@zoo.njit
def run(target, a, b, factor):
    exchange(a, b)
    return add_and_sum(target, a, b, factor)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loops_equal_their_plain_form(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for length in (0, 1, 5, 16, 37):
        rows = rng.normal(size=(3, length)).astype(dtype)
        compiled, plain = rows.copy(), rows.copy()
        total = run(*compiled, rows.dtype.type(0.5))
        plain[1:] = plain[:0:-1]
        expected = add_and_sum(*plain, rows.dtype.type(0.5))
        np.testing.assert_allclose(compiled, plain, rtol=1e-6)
        np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-6)


def test_masked_lanes_leave_neighbours_alone() -> None:
    rows = np.ones((3, 8))
    run(rows[0, :3], rows[1, :3], rows[2, :3], 2.0)
    np.testing.assert_array_equal(rows, [[3, 3, 3, 1, 1, 1, 1, 1], [1] * 8, [1] * 8])


@pytest.mark.parametrize("length", [0, 3, 16, 21])
def test_a_loop_returns_several_sums(length: int) -> None:
    rows = np.random.default_rng(0).normal(size=(2, length))
    compiled, plain = rows.copy(), rows.copy()
    np.testing.assert_allclose(run_two_sums(*compiled), two_sums(*plain), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(compiled, plain)
