"""Products of the matrices of a chunk, against NumPy, with panels in an array that the caller allocates."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo import kernels
from zoo.kernels.chunk_products import (
    add_product_ta,
    empty_panels,
    panels_of,
    panels_of_transposed,
)
from zoo.kernels.prefetch import prefetch

# With the widths of panels.
sizes = st.one_of(st.integers(1, 70), st.sampled_from([8, 16, 32, 64, 128]))
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


@zoo.njit
def new_buffer(size, like):
    buffer = empty_panels(size, like)
    for n in range(buffer.size):
        buffer[n] = np.nan  # what no matrix has written must not enter a result
    return buffer


@zoo.njit
def products(a, w, other, c, buffer):
    by_panels, by_transpose = kernels.copy(c), kernels.copy(c)
    kernels.set_matmul(a, panels_of(w, buffer), by_panels)
    kernels.set_matmul(a, panels_of_transposed(other, buffer), by_transpose)
    return by_panels, by_transpose


@zoo.njit
def gradient(a, b, c, buffer):
    total = kernels.copy(c)
    add_product_ta(a, panels_of(b, buffer), total)
    return total


@given(rows=sizes, depth=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_products_equal_those_of_packed_weights(rows, depth, width, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    a, w = rng.normal(size=(rows, depth)).astype(dtype), rng.normal(size=(depth, width)).astype(dtype)
    c = np.full((rows, width), np.nan, dtype)  # replaced
    buffer = new_buffer(max(rows, depth, width), a)
    expected = np.zeros_like(c)
    kernels.add_matmul(a, kernels.pack(w), expected)
    for result in products(a, w, np.ascontiguousarray(w.T), c, buffer):
        np.testing.assert_array_equal(result, expected)


@given(steps=sizes, left=sizes, right=sizes, unused=st.integers(0, 20), dtype=dtypes, seed=seeds)
def test_gradient_equals_that_of_weights(steps, left, right, unused, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(steps, n)).astype(dtype) for n in (left + unused, right))
    start = rng.normal(size=(left, right)).astype(dtype)
    expected = start.copy()
    kernels.add_matmul_ta(np.ascontiguousarray(a[:, :left]), b, expected)
    result = gradient(a, b, start, new_buffer(max(steps, left, right), a))
    np.testing.assert_array_equal(result, expected)


def test_products_in_python() -> None:
    rng = np.random.default_rng(0)
    a, w, c = rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), np.empty((3, 5))
    with kernels.pure_python():
        buffer = empty_panels(5, a)
        for result in products(a, w, np.ascontiguousarray(w.T), c, buffer):
            np.testing.assert_allclose(result, a @ w)
        b = np.ones((3, 5))
        np.testing.assert_allclose(gradient(a, b, np.zeros((2, 5)), buffer), a[:, :2].T @ b)


@zoo.njit
def run_prefetch(array):
    prefetch(array)


@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 100)])
def test_prefetch_changes_nothing(shape, kind) -> None:
    array = np.ones(shape)
    with kernels.pure_python() if kind == "interpreted" else contextlib.nullcontext():
        run_prefetch(array)
    np.testing.assert_array_equal(array, np.ones(shape))
