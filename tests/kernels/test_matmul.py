"""Products on packed weights, against NumPy."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import kernels
from zoo.kernels.gemm_microkernel import AVX512_TILES, AVX_TILES, SSE_TILES, TileShape

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

sizes = st.integers(1, 70)
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


def normal(rng, dtype, *shape):
    return rng.normal(size=shape).astype(dtype)


def assert_sum_of_products(result, start, a, b) -> None:
    """``result`` is ``start + a @ b`` to what rounding allows: each of ``depth`` sums once, in any order."""
    exact = start.astype(np.longdouble) + a.astype(np.longdouble) @ b.astype(np.longdouble)
    weight = np.abs(start).astype(np.longdouble) + np.abs(a) @ np.abs(b).astype(np.longdouble)
    bound = (a.shape[1] + 2) * np.finfo(result.dtype).eps * weight
    assert (np.abs(result - exact) <= bound).all()


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
def test_add_matmul_ta(rows: int, left: int, right: int, dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, start = (
        normal(rng, dtype, rows, left),
        normal(rng, dtype, rows, right),
        normal(rng, dtype, left, right),
    )
    c = start.copy()
    kernels.add_matmul_ta(a, b, c)
    assert_sum_of_products(c, start, a.T, b)


@given(rows=st.integers(0, 70), depth=st.integers(0, 70), width=sizes, dtype=dtypes, seed=seeds)
def test_products_that_replace_values(rows: int, depth: int, width: int, dtype, seed: int) -> None:
    # The values before are NaN: they are not read, not even to be multiplied by zero.
    rng = np.random.default_rng(seed)
    a, w, bias = (normal(rng, dtype, *shape) for shape in ((rows, depth), (depth, width), (width,)))
    panels = kernels.pack(w)
    zeros, before = np.zeros((rows, width), dtype), np.full((rows, width), np.nan, dtype)
    expected, c = zeros.copy(), before.copy()
    kernels.add_matmul(a, panels, expected)
    kernels.set_matmul(a, panels, c)
    np.testing.assert_array_equal(c, expected)
    expected, c = zeros + bias, before.copy()
    kernels.add_matmul(a, panels, expected)
    kernels.affine(a, panels, bias, c)
    np.testing.assert_array_equal(c, expected)


@given(a0=st.integers(0, 5), c0=st.integers(0, 5), rows=sizes, width=sizes, seed=seeds)
def test_products_that_replace_some_columns(a0: int, c0: int, rows: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, w = normal(rng, np.float64, rows, a0 + 7), normal(rng, np.float64, 7, width)
    c = normal(rng, np.float64, rows, c0 + width + 3)
    expected = c.copy()
    expected[:, c0 : c0 + width] = 0
    kernels.add_matmul_offset(a, a0, kernels.pack(w), expected, c0, width)
    kernels.set_matmul_offset(a, a0, kernels.pack(w), c, c0, width)
    np.testing.assert_array_equal(c, expected)


@given(
    rows=st.sampled_from([0, 1, 40, 255, 256, 257, 600]), left=sizes, right=sizes, dtype=dtypes, seed=seeds
)
def test_a_gradient_that_replaces_values(rows: int, left: int, right: int, dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = normal(rng, dtype, rows, left), normal(rng, dtype, rows, right)
    expected, c = np.zeros((left, right), dtype), np.full((left, right), np.nan, dtype)
    kernels.add_matmul_ta(a, b, expected)
    kernels.add_matmul_ta(a, b, c, False)
    np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("rows", [255, 256, 257, 600])
def test_add_matmul_ta_over_several_chunks(rows: int) -> None:
    rng = np.random.default_rng(rows)
    a, b = normal(rng, np.float64, rows, 5), normal(rng, np.float64, rows, 33)
    c = np.zeros((5, 33))
    kernels.add_matmul_ta(a, b, c)
    assert_sum_of_products(c, np.zeros_like(c), a.T, b)


@compiled
@given(rows=st.integers(2, 40), depth=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_row_does_not_depend_on_other_rows(rows: int, depth: int, width: int, dtype, seed: int) -> None:
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
@given(rows=sizes, left=sizes, right=sizes, dtype=dtypes, seed=seeds)
def test_products_are_summed_before_they_are_added(
    rows: int, left: int, right: int, dtype, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b, start = (normal(rng, dtype, *shape) for shape in ((rows, left), (rows, right), (left, right)))
    product, total = np.zeros_like(start), start.copy()
    kernels.add_matmul_ta(a, b, product)
    kernels.add_matmul_ta(a, b, total)
    np.testing.assert_array_equal(total, start + product)
    by_row = np.zeros_like(start)
    kernels.add_matmul(np.ascontiguousarray(a.T), kernels.pack(b), by_row)
    np.testing.assert_array_equal(by_row, product)


@given(rows=sizes, depth=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_add_matmul_writes_only_to_c(rows: int, depth: int, width: int, dtype, seed: int) -> None:
    # A panel may stick out of c: what lies behind c in memory is not c.
    rng = np.random.default_rng(seed)
    a, w, b = (
        normal(rng, dtype, rows, depth),
        normal(rng, dtype, depth, width),
        normal(rng, dtype, rows, width),
    )
    for shape, call in [
        ((rows, width), lambda c: kernels.add_matmul(a, kernels.pack(w), c)),
        ((depth, width), lambda c: kernels.add_matmul_ta(a, b, c)),
        ((1, depth, width), lambda c: kernels.add_matmul_ta_heads(a, 0, b, 0, c)),
    ]:
        around = np.full(2 * 100 + math.prod(shape), 7, dtype)
        call(around[100:-100].reshape(shape))
        assert (around[:100] == 7).all()
        assert (around[-100:] == 7).all()


def test_nan_and_infinity_stay_in_their_rows_and_columns() -> None:
    a, w = np.ones((5, 3), np.float32), np.ones((3, 20), np.float32)
    a[1, 2], a[3, 0], w[1, 19] = np.nan, np.inf, np.inf
    c = np.zeros((5, 20), np.float32)
    kernels.add_matmul(a, kernels.pack(w), c)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(c, a @ w)


def test_add_matmul_leaves_inputs_unchanged() -> None:
    rng = np.random.default_rng(0)
    arrays = [normal(rng, np.float32, 9, 17), normal(rng, np.float32, 9, 5), normal(rng, np.float32, 17, 5)]
    a, b, w = arrays
    before = [array.copy() for array in arrays]
    kernels.add_matmul(a, kernels.pack(w), np.zeros((9, 5), np.float32))
    kernels.add_matmul(b, kernels.pack_transposed(w), np.zeros((9, 17), np.float32))
    kernels.add_matmul_ta(a, b, np.zeros((17, 5), np.float32))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(rows=st.integers(0, 20), depth=st.integers(0, 20), width=sizes, seed=seeds)
def test_pure_python_is_numpy_and_compiled_is_close(rows: int, depth: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, w = normal(rng, np.float64, rows, depth), normal(rng, np.float64, depth, width)
    b = normal(rng, np.float64, rows, width)

    def results():
        c, back, dw = np.ones((rows, width)), np.ones((rows, depth)), np.ones((depth, width))
        kernels.add_matmul(a, kernels.pack(w), c)
        kernels.add_matmul(b, kernels.pack_transposed(w), back)
        kernels.add_matmul_ta(a, b, dw)
        return c, back, dw

    with kernels.pure_python():
        plain = results()
    for result, expected in zip(plain, (1 + a @ w, 1 + b @ w.T.copy(), 1 + a.T @ b), strict=True):
        np.testing.assert_array_equal(result, expected)
    for result, expected in zip(results(), plain, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


# --- Windows of wider rows, and heads ---

margins = st.integers(0, 5)


def assert_same(result, expected) -> None:
    """Results are bit-equal. BLAS, which runs where nothing is compiled, rounds a window as it likes."""
    slack = 200 * np.finfo(result.dtype).eps if numba.config.DISABLE_JIT else 0
    np.testing.assert_allclose(result, expected, rtol=0, atol=slack)


@given(
    rows=st.integers(0, 40), depth=sizes, width=sizes, before=margins, after=margins, dtype=dtypes, seed=seeds
)
def test_offset_products_match_separate_arrays(rows, depth, width, before, after, dtype, seed) -> None:
    # And the columns beside them stay as they are.
    rng = np.random.default_rng(seed)
    a, b = normal(rng, dtype, rows, before + depth + after), normal(rng, dtype, rows, after + width + before)
    w = normal(rng, dtype, depth, width)
    left, right = slice(before, before + depth), slice(after, after + width)

    wide, alone = b.copy(), np.ascontiguousarray(b[:, right])
    kernels.add_matmul_offset(a, before, kernels.pack(w), wide, after, width)
    kernels.add_matmul(np.ascontiguousarray(a[:, left]), kernels.pack(w), alone)
    assert_same(wide[:, right], alone)
    wide[:, right] = b[:, right]
    np.testing.assert_array_equal(wide, b)

    of_windows, of_arrays = w.copy(), w.copy()
    kernels.add_matmul_ta_offset(a, before, depth, b, after, width, of_windows)
    kernels.add_matmul_ta(np.ascontiguousarray(a[:, left]), np.ascontiguousarray(b[:, right]), of_arrays)
    assert_same(of_windows, of_arrays)


def test_offset_product_within_one_array() -> None:
    rng = np.random.default_rng(0)
    tape, w = normal(rng, np.float32, 5, 30), normal(rng, np.float32, 10, 20)
    result = tape.copy()
    kernels.add_matmul_offset(result, 20, kernels.pack(w), result, 0, 20)
    np.testing.assert_array_equal(result[:, 20:], tape[:, 20:])
    assert_sum_of_products(result[:, :20], tape[:, :20], tape[:, 20:], w)


@given(
    heads=st.integers(1, 5),
    rows=st.integers(0, 20),
    depth=st.integers(1, 20),
    width=st.integers(1, 20),
    margin=margins,
    dtype=dtypes,
    seed=seeds,
)
def test_heads_match_offset_products(heads, rows, depth, width, margin, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    a, b = (
        normal(rng, dtype, rows, 2 + heads * depth + margin),
        normal(rng, dtype, rows, margin + heads * width),
    )
    w = normal(rng, dtype, heads, depth, width)
    expected, of_head, panels = b.copy(), w.copy(), kernels.pack_heads(w)
    for g in range(heads):
        at, to = 2 + g * depth, margin + g * width
        kernels.add_matmul_offset(a, at, kernels.pack(w[g]), expected, to, width)
        kernels.add_matmul_ta_offset(a, at, depth, b, to, width, of_head[g])
        np.testing.assert_array_equal(panels[g], kernels.pack(w[g]))
    c, other, outer = b.copy(), b.copy(), w.copy()
    kernels.add_matmul_heads(a, 2, panels, c, margin, width)
    transposed = kernels.pack_heads_transposed(np.ascontiguousarray(w.swapaxes(1, 2)))
    kernels.add_matmul_heads(a, 2, transposed, other, margin, width)
    kernels.add_matmul_ta_heads(a, 2, b, margin, outer)
    assert_same(c, expected)
    assert_same(other, expected)
    assert_same(outer, of_head)


@given(
    heads=st.integers(1, 3),
    batch=st.integers(0, 9),
    rows=st.integers(1, 20),
    depth=st.integers(1, 20),
    width=st.integers(1, 20),
    margin=margins,
    dtype=dtypes,
    seed=seeds,
)
def test_heads_of_many_rows_match_numpy(heads, batch, rows, depth, width, margin, dtype, seed) -> None:
    """More rows in a head than in the batch, and fewer."""
    rng = np.random.default_rng(seed)
    a = normal(rng, dtype, batch, 2 + heads * rows * depth + margin)
    b = normal(rng, dtype, batch, margin + heads * rows * width)
    w = normal(rng, dtype, heads, depth, width)
    left = a[:, 2 : a.shape[1] - margin].reshape(batch, heads, rows, depth)
    right = b[:, margin:].reshape(batch, heads, rows, width)
    expected = b.copy()
    expected[:, margin:] += (left @ w).reshape(batch, heads * rows * width)
    of_heads = w + np.einsum("mgik,mgin->gkn", left, right)

    def results():
        c, outer = b.copy(), w.copy()
        kernels.add_matmul_heads(a, 2, kernels.pack_heads(w), c, margin, width, rows)
        kernels.add_matmul_ta_heads(a, 2, b, margin, outer, rows)
        return c, outer

    with kernels.pure_python():
        plain = results()
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    for c, outer in (results(), plain):
        np.testing.assert_allclose(c, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(outer, of_heads, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_offsets_and_heads_in_pure_python(dtype) -> None:
    rng = np.random.default_rng(3)
    a, b, w = normal(rng, dtype, 6, 13), normal(rng, dtype, 6, 19), normal(rng, dtype, 3, 4, 6)

    def results():
        c, back, of_heads, of_windows = b.copy(), a.copy(), w.copy(), w[0].copy()
        kernels.add_matmul_heads(a, 1, kernels.pack_heads(w), c, 1, 6)
        kernels.add_matmul_heads(b, 1, kernels.pack_heads_transposed(w), back, 1, 4)
        kernels.add_matmul_ta_heads(a, 1, b, 1, of_heads)
        kernels.add_matmul_ta_offset(a, 9, 4, b, 13, 6, of_windows)
        kernels.add_matmul_offset(a, 9, kernels.pack(w[0]), c, 13, 6)
        kernels.add_matmul_offset(b, 13, kernels.pack_transposed(w[0]), back, 9, 4)
        return c, back, of_heads, of_windows

    with kernels.pure_python():
        plain = results()
    at, to = a[:, 1:].reshape(6, 3, 4), b[:, 1:].reshape(6, 3, 6)
    c, back = b.copy(), a.copy()
    c[:, 1:] += np.einsum("mgk,gkn->mgn", at, w).reshape(6, 18)
    c[:, 13:] += a[:, 9:] @ w[0]
    back[:, 1:] += np.einsum("mgn,gkn->mgk", to, w).reshape(6, 12)
    back[:, 9:] += b[:, 13:] @ w[0].T
    expected = c, back, w + np.einsum("mgk,mgn->gkn", at, to), w[0] + a[:, 9:].T @ b[:, 13:]
    for one, other, wanted in zip(plain, results(), expected, strict=True):
        assert one.dtype == other.dtype == dtype
        np.testing.assert_allclose(one, wanted, rtol=0, atol=100 * np.finfo(dtype).eps)
        np.testing.assert_allclose(other, wanted, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 5, 16, 33, 300])
def test_rows_of_other_tiles_change_no_bit(width: int, dtype: type) -> None:
    """Any number of rows gives the sums of single rows: all heights of tiles, and edges of panels."""
    rng = np.random.default_rng(width)
    a, w = rng.normal(size=(27, 19)).astype(dtype), rng.normal(size=(19, width)).astype(dtype)
    panels, start = kernels.pack(w), rng.normal(size=(27, width)).astype(dtype)
    single = start.copy()
    for row in range(27):
        kernels.add_matmul(a[row : row + 1], panels, single[row : row + 1])
    np.testing.assert_allclose(single, start + a @ w, rtol=0, atol=100 * np.finfo(dtype).eps)
    for rows in range(1, 28):
        c = start[:rows].copy()
        kernels.add_matmul(a[:rows], panels, c)
        np.testing.assert_array_equal(c, single[:rows])


@pytest.mark.parametrize(
    ("shape", "registers"),
    [(AVX512_TILES, 32), (AVX_TILES, 16), (SSE_TILES, 16)],
    ids=["avx512", "avx", "sse"],
)
def test_tiles_fit_in_the_registers(shape: TileShape, registers: int) -> None:
    for rows, widths in enumerate(shape.widths, start=1):
        assert list(widths) == sorted(widths, reverse=True)
        assert shape.panels(widths[-1]) == 1, "any number of panels is computed"
        for width in widths:
            assert rows * width + min(rows, width) + 1 <= registers
