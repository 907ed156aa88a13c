"""Room for sequences, and the pages it lies on."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.kernels.allocation import HUGE_PAGE_BYTES

SMAPS = Path("/proc/self/smaps")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_empty_sequence_has_shape_and_dtype(dtype: type) -> None:
    like = np.empty(0, dtype)
    for steps in (3, 0):
        result = kernels.empty_sequence(steps, 2, 5, like)
        assert result.shape == (steps, 2, 5)
        assert result.dtype == dtype
        assert result.flags.carray
    with kernels.pure_python():
        assert kernels.empty_sequence(3, 2, 5, like).shape == (3, 2, 5)


@zoo.njit
def new_arrays(like, rows):
    filled = kernels.copy(like)
    kernels.fill_zeros(filled)
    return kernels.empty((rows, 2, 3), like), kernels.zeros((rows,), like), kernels.copy(like), filled


@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
def test_new_arrays_have_shapes_and_values(kind: str) -> None:
    like = np.arange(6, dtype=np.float32).reshape(2, 3)
    with kernels.pure_python() if kind == "interpreted" else contextlib.nullcontext():
        empty, zeros, copy, filled = new_arrays(like, 4)
    assert empty.shape == (4, 2, 3)
    np.testing.assert_array_equal(zeros, np.zeros(4))
    np.testing.assert_array_equal(copy, like)
    np.testing.assert_array_equal(filled, np.zeros((2, 3)))
    assert {array.dtype for array in (empty, zeros, copy, filled)} == {like.dtype}


@zoo.njit
def copy_steps(source, target, order):
    for t in range(order.size):
        kernels.copy_into(kernels.at_step(source, order[t]), kernels.at_step(target, t))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["compiled", "interpreted"])
def test_elements_are_copied_into_an_array(kind: str, dtype: type) -> None:
    source, order = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(dtype), np.array([4, 0, 0, 2])
    source.flags.writeable = False
    target = np.zeros((5, 2, 3), dtype)
    with kernels.pure_python() if kind == "interpreted" else contextlib.nullcontext():
        copy_steps(source, target, order)
        kernels.copy_into(source[:0], target[:0])
    np.testing.assert_array_equal(target, [*source[order], np.zeros((2, 3))])


@zoo.njit
def copy_vector(source, target):
    kernels.copy_into(source, target)


def test_copies_may_have_another_number_of_axes() -> None:
    target = np.zeros((1, 3))
    copy_vector(np.arange(3.0), target)
    np.testing.assert_array_equal(target, [[0, 1, 2]])


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="NumPy chooses the alignment")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_arrays_begin_at_a_cache_line(dtype: type) -> None:
    made = [new_arrays(np.ones((2, 3), dtype), rows) for rows in range(1, 20)]
    assert {array.ctypes.data % 64 for arrays in made for array in arrays} == {0}


@zoo.njit
def huge_array(like, size):
    return kernels.empty((size, size), like)


def test_missing_memory_raises() -> None:
    with pytest.raises(MemoryError):
        huge_array(np.zeros(1), 1 << 28)


@pytest.mark.skipif(sys.platform != "linux" or not SMAPS.exists(), reason="Linux tells of its pages")
@pytest.mark.parametrize("function", ["empty_sequence", "zeros", "pack", "pack_transposed"])
def test_large_arrays_use_huge_pages(function: str) -> None:
    like, rows = np.empty(0, np.float32), 4 * HUGE_PAGE_BYTES // 4
    made = {
        "empty_sequence": lambda: kernels.empty_sequence(4 * rows, 1, 1, like),
        "zeros": lambda: zeros((4 * rows,), like),
        "pack": lambda: kernels.pack(np.ones((rows // 16, 64), np.float32)),
        "pack_transposed": lambda: kernels.pack_transposed(np.ones((rows // 16, 64), np.float32)),
    }
    large = made[function]()
    assert large.nbytes >= 4 * HUGE_PAGE_BYTES
    assert "hg" in flags_of(large.ctypes.data + large.nbytes // 2)


@zoo.njit
def zeros(shape, like):
    return kernels.zeros(shape, like)


def flags_of(address: int) -> list[str]:
    """Return the VmFlags that Linux reports for the memory at an address."""
    inside = False
    for line in SMAPS.read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            first, last = (int(each, 16) for each in match.groups())
            inside = first <= address < last
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError("no mapping holds the address")
