"""Products on packed weights, against NumPy."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import kernels

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

sizes = st.integers(1, 70)
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


def normal(rng, dtype, *shape):
    return rng.normal(size=shape).astype(dtype)


def assert_sum_of_products(found, start, a, b) -> None:
    """``found`` is ``start + a @ b`` to what rounding allows: each of ``depth`` sums once, in any order."""
    exact = start.astype(np.longdouble) + a.astype(np.longdouble) @ b.astype(np.longdouble)
    weight = np.abs(start).astype(np.longdouble) + np.abs(a) @ np.abs(b).astype(np.longdouble)
    bound = (a.shape[1] + 2) * np.finfo(found.dtype).eps * weight
    assert (np.abs(found - exact) <= bound).all()


@given(rows=st.integers(0, 70), depth=st.integers(0, 70), width=sizes, dtype=dtypes, seed=seeds)
def test_add_matmul(rows: int, depth: int, width: int, dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, w, start = (
        normal(rng, dtype, rows, depth),
        normal(rng, dtype, depth, width),
        normal(rng, dtype, rows, width),
    )
    panels = kernels.pack(w)
    c = start.copy()
    kernels.add_matmul(a, panels, c)
    assert_sum_of_products(c, start, a, w)
    other = start.copy()
    kernels.add_matmul(a, kernels.pack_transposed(np.ascontiguousarray(w.T)), other)
    np.testing.assert_array_equal(other, c, "the panels of the transpose of the transpose")


@given(rows=st.integers(0, 70), left=sizes, right=sizes, dtype=dtypes, seed=seeds)
def test_add_outer(rows: int, left: int, right: int, dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, start = (
        normal(rng, dtype, rows, left),
        normal(rng, dtype, rows, right),
        normal(rng, dtype, left, right),
    )
    c = start.copy()
    kernels.add_outer(a, b, c)
    assert_sum_of_products(c, start, a.T, b)


@pytest.mark.parametrize("rows", [255, 256, 257, 600])
def test_add_outer_over_several_chunks(rows: int) -> None:
    rng = np.random.default_rng(rows)
    a, b = normal(rng, np.float64, rows, 5), normal(rng, np.float64, rows, 33)
    c = np.zeros((5, 33))
    kernels.add_outer(a, b, c)
    assert_sum_of_products(c, np.zeros_like(c), a.T, b)


@compiled
@given(rows=st.integers(2, 40), depth=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_a_row_does_not_depend_on_the_others(rows: int, depth: int, width: int, dtype, seed: int) -> None:
    # To the bit: whatever tile a row falls into, its sums are taken in the same order.
    rng = np.random.default_rng(seed)
    a, w, start = (
        normal(rng, dtype, rows, depth),
        normal(rng, dtype, depth, width),
        normal(rng, dtype, rows, width),
    )
    panels = kernels.pack(w)
    together = start.copy()
    kernels.add_matmul(a, panels, together)
    for cut in (1, rows // 2, rows - 1):
        apart = start.copy()
        kernels.add_matmul(a[:cut], panels, apart[:cut])
        kernels.add_matmul(a[cut:], panels, apart[cut:])
        np.testing.assert_array_equal(apart, together)


@compiled
@given(rows=sizes, left=sizes, right=sizes, cut=st.integers(0, 69), seed=seeds)
def test_outer_products_add_up_in_the_order_of_rows(
    rows: int, left: int, right: int, cut: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = normal(rng, np.float32, rows, left), normal(rng, np.float32, rows, right)
    whole, parts = np.zeros((2, left, right), np.float32)
    kernels.add_outer(a, b, whole)
    kernels.add_outer(a[:cut], b[:cut], parts)
    kernels.add_outer(a[cut:], b[cut:], parts)
    np.testing.assert_array_equal(parts, whole)


@given(rows=sizes, depth=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_nothing_outside_c_is_touched(rows: int, depth: int, width: int, dtype, seed: int) -> None:
    # A panel may stick out of c: what lies behind c in memory is not c.
    rng = np.random.default_rng(seed)
    a, w, b = (
        normal(rng, dtype, rows, depth),
        normal(rng, dtype, depth, width),
        normal(rng, dtype, rows, width),
    )
    for shape, call in [
        ((rows, width), lambda c: kernels.add_matmul(a, kernels.pack(w), c)),
        ((depth, width), lambda c: kernels.add_outer(a, b, c)),
    ]:
        around = np.full(2 * 100 + shape[0] * shape[1], 7, dtype)
        call(around[100:-100].reshape(shape))
        assert (around[:100] == 7).all()
        assert (around[-100:] == 7).all()


def test_nan_and_infinity_pass_through_their_rows_and_columns_only() -> None:
    a, w = np.ones((5, 3), np.float32), np.ones((3, 20), np.float32)
    a[1, 2], a[3, 0], w[1, 19] = np.nan, np.inf, np.inf
    c = np.zeros((5, 20), np.float32)
    kernels.add_matmul(a, kernels.pack(w), c)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(c, a @ w)


def test_inputs_are_not_written_to() -> None:
    rng = np.random.default_rng(0)
    arrays = [normal(rng, np.float32, 9, 17), normal(rng, np.float32, 9, 5), normal(rng, np.float32, 17, 5)]
    a, b, w = arrays
    before = [array.copy() for array in arrays]
    kernels.add_matmul(a, kernels.pack(w), np.zeros((9, 5), np.float32))
    kernels.add_matmul(b, kernels.pack_transposed(w), np.zeros((9, 17), np.float32))
    kernels.add_outer(a, b, np.zeros((17, 5), np.float32))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(rows=st.integers(0, 20), depth=st.integers(0, 20), width=sizes, seed=seeds)
def test_interpreted_is_numpy_and_compiled_is_close_to_it(
    rows: int, depth: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, w = normal(rng, np.float64, rows, depth), normal(rng, np.float64, depth, width)
    b = normal(rng, np.float64, rows, width)

    def results():
        c, back, dw = np.ones((rows, width)), np.ones((rows, depth)), np.ones((depth, width))
        kernels.add_matmul(a, kernels.pack(w), c)
        kernels.add_matmul(b, kernels.pack_transposed(w), back)
        kernels.add_outer(a, b, dw)
        return c, back, dw

    with kernels.interpreted():
        plain = results()
    for found, expected in zip(plain, (1 + a @ w, 1 + b @ w.T, 1 + a.T @ b), strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(results(), plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


# --- Processors that this one is not ---

CHECK = """
import numpy as np
from zoo import kernels
from zoo.kernels.tiles import heights, lanes
import numba

rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for rows, depth, width in [(1, 1, 1), (7, 13, 17), (16, 40, 64), (11, 5, 70)]:
        a, w = rng.normal(size=(rows, depth)).astype(dtype), rng.normal(size=(depth, width)).astype(dtype)
        c = np.zeros((rows, width), dtype)
        kernels.add_matmul(a, kernels.pack(w), c)
        np.testing.assert_allclose(c, a @ w, rtol=0, atol=200 * np.finfo(dtype).eps)
        dw = np.zeros((depth, width), dtype)
        kernels.add_outer(a, c, dw)
        np.testing.assert_allclose(dw, a.T @ c, rtol=0, atol=2000 * np.finfo(dtype).eps)
print(lanes(numba.float32), lanes(numba.float64), heights())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="one platform suffices")
def test_any_processor_of_the_family_will_do() -> None:
    # Numba compiles for the plainest processor of the family: narrow vectors, no fused products.
    environment = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    run = subprocess.run([sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("4 2 "), "sixteen bytes a register"
