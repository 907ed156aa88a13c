"""Views: the numbers of a slice, written through, and alive as long as the view is."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import weakref
from collections.abc import Iterator

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.errors import TypingError
from numba.core.runtime import rtsys
from numba.core.runtime._nrt_python import memsys_disable_stats, memsys_enable_stats

import zoo
from zoo import kernels
from zoo.kernels.array_views import as_rows


@zoo.njit
def halves(flat):
    """A row of a matrix in two windows; the second is doubled."""
    for r in range(flat.shape[0]):
        row, size = flat[r], flat.shape[1] // 2
        left, right = kernels.flat_slice(row, 0, size), kernels.flat_slice(row, size, size)
        for i in range(size):
            right[i] = 2 * right[i] + left[i]


@zoo.njit
def window_of_a_temporary(size):
    temporary = np.arange(2.0 * size)
    return kernels.flat_slice(temporary, size, size)


@zoo.njit
def lengths(flat):
    inside = kernels.flat_slice(flat, 1, 3)
    return inside.size, inside.shape[0], inside.strides[0], kernels.flat_slice(flat, 2, 0).size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flat_slice_is_a_slice(dtype) -> None:
    flat = np.arange(10, dtype=dtype)
    np.testing.assert_array_equal(kernels.flat_slice(flat, 3, 4), flat[3:7])
    kernels.flat_slice(flat, 3, 4)[0] = 30
    assert flat[3] == 30
    assert lengths(flat) == (3, 3, flat.itemsize, 0)


@zoo.njit
def steps_and_rows(a, first, last):
    kernels.rows_of_steps(a, first, last)[0, 0] = -1
    return kernels.slice_steps(a, first, last), kernels.rows_of_steps(a, first, last)


@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
def test_slice_steps_and_rows_of_steps_are_slices(kind) -> None:
    a = np.arange(30.0).reshape(5, 3, 2)
    with kernels.pure_python() if kind == "interpreted" else contextlib.nullcontext():
        steps, rows = steps_and_rows(a, 1, 4)
    assert a[1, 0, 0] == -1
    np.testing.assert_array_equal(steps, a[1:4])
    np.testing.assert_array_equal(rows, a[1:4].reshape(9, 2))
    tokens = np.arange(10).reshape(5, 2)
    np.testing.assert_array_equal(kernels.slice_steps(tokens, 2, 5), tokens[2:])
    assert kernels.slice_steps(tokens, 2, 2).shape == (0, 2)


@pytest.mark.parametrize(
    ("steps", "batch", "most"), [(64, 8, 32), (7, 8, 7), (1000, 1, 256), (3, 500, 1), (0, 4, 1)]
)
def test_steps_per_gradient_block_fits_one_chunk(steps, batch, most) -> None:
    assert kernels.steps_per_gradient_block(steps, batch) == most


@given(steps=st.integers(1, 9), batch=st.integers(1, 4), width=st.integers(1, 20), data=st.data())
def test_rows_before_steps_are_the_trajectory_shifted_by_one_step(steps, batch, width, data) -> None:
    first = data.draw(st.integers(0, steps - 1))
    last = data.draw(st.integers(first + 1, steps))
    states = np.arange((steps + 1.0) * batch * width).reshape(steps + 1, batch, width)
    given = states[0].copy(), states[1:].copy(), first, last
    rows = kernels.rows_before_steps(*given)
    np.testing.assert_array_equal(rows, states[first:last].reshape(-1, width))
    with kernels.pure_python():
        np.testing.assert_array_equal(kernels.rows_before_steps(*given), rows)
    assert not np.shares_memory(rows, given[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flat_slice_writes_through(dtype) -> None:
    start = np.arange(12, dtype=dtype).reshape(2, 6)
    result, plain = start.copy(), start.copy()
    halves(result)
    with kernels.pure_python():
        halves(plain)
    np.testing.assert_array_equal(result, [[0, 1, 2, 6, 9, 12], [6, 7, 8, 24, 27, 30]])
    np.testing.assert_array_equal(plain, result)


def test_flat_slice_keeps_its_array_alive() -> None:
    for size in (10, 1_000_000):
        result = window_of_a_temporary(size)
        gc.collect()
        others = [np.full(2 * size, 7.0) for _ in range(5)]
        np.testing.assert_array_equal(result, np.arange(size, 2.0 * size))
        assert len(others) == 5


def test_flat_slice_releases_its_array() -> None:
    class Watched(np.ndarray):
        pass

    flat = np.zeros(1000).view(Watched)
    watch = weakref.ref(flat)
    kernels.flat_slice(np.asarray(flat), 10, 20)
    del flat
    gc.collect()
    assert watch() is None


def test_flat_slice_of_read_only_array() -> None:
    flat = np.arange(5.0)
    flat.flags.writeable = False
    assert not kernels.flat_slice(flat, 1, 2).flags.writeable


@pytest.mark.parametrize("shape", [(3, 2, 4), (0, 2, 4), (3, 2, 0)])
def test_as_rows_of_a_sequence(shape) -> None:
    a = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    with kernels.pure_python():
        plain = as_rows(a)
    result = as_rows(a)
    assert result.shape == plain.shape == (shape[0] * shape[1], shape[2])
    np.testing.assert_array_equal(result, a.reshape(result.shape))
    assert result.flags.c_contiguous


@zoo.njit
def views_of(a, number):
    flat, other = kernels.flat(a), kernels.reshape(a, (a.shape[2], a.shape[0] * a.shape[1]))
    kernels.at_step(a, number)[0, 0] = -1
    return kernels.at_step(a, number), flat, other, kernels.row(a, number)


@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
def test_views_are_those_of_numpy(kind) -> None:
    a = np.arange(24.0).reshape(4, 3, 2)
    with kernels.pure_python() if kind == "interpreted" else contextlib.nullcontext():
        step, flat, other, row = views_of(a, 2)
    assert a[2, 0, 0] == -1
    np.testing.assert_array_equal(step, a[2])
    np.testing.assert_array_equal(flat, a.reshape(-1))
    np.testing.assert_array_equal(other, a.reshape(2, 12))
    np.testing.assert_array_equal(row, a.reshape(12, 2)[2])


def test_views_need_contiguous_arrays() -> None:
    with pytest.raises(TypingError, match="row"):
        first_row(np.zeros((4, 4))[:, ::2])


@zoo.njit
def first_row(a):
    return kernels.row(a, 0)


@numba.njit
def user_function(a):
    """A function of a user, compiled by Numba's own njit."""
    return kernels.row(a, 1)[0] - kernels.flat(a)[1]


def test_numba_functions_of_users_call_views() -> None:
    assert user_function(np.array([[3.0, 4.0], [5.0, 6.0]])) == 1


@zoo.njit
def nested_arrays(count):
    kept = kernels.zeros((count,), np.zeros(1))
    for n in range(count):
        pair = (kernels.empty((n, 2), kept), (kernels.copy(kept), n))
        first, (second, _) = pair
        kept[n] = first.size + second[0]
        pair = (kernels.reshape(first, (2, n)), (second, n))
    return kept


@pytest.fixture
def allocation_counts() -> Iterator[None]:
    """Numba counts allocations."""
    memsys_enable_stats()
    yield
    memsys_disable_stats()


@pytest.mark.usefixtures("allocation_counts")
def test_every_array_is_freed() -> None:
    before = rtsys.get_allocation_stats()
    for _ in range(3):
        np.testing.assert_array_equal(nested_arrays(4), [0, 2, 4, 6])
    gc.collect()
    after = rtsys.get_allocation_stats()
    assert after.mi_alloc - before.mi_alloc == after.mi_free - before.mi_free > 20


def test_functions_of_instructions_are_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(kernels.row)) is kernels.row
    assert copy.deepcopy(kernels.row) is kernels.row
