"""Unchecked views of C-contiguous arrays, and new arrays ``(T, B, N)`` on huge pages.

A view costs one addition, and little compile time.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.np.arrayobj import populate_array

from zoo.array_types import Array
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import njit

# New memory arrives page by page, each cleared at the first touch. The tape of an LSTM of 128 units over
# 10,000 steps of eight rows is 280 MB: a training step took 8.2 us a token with pages of 4 KiB,
# 5.9 with 2 MiB. NumPy requests huge pages from this size on, too; Numba does not.
HUGE_PAGE_BYTES = 1 << 22

_PAGE = 4096
_MADV_HUGEPAGE = 14  # from Linux's sys/mman.h


@intrinsic
def _advise_huge_pages(_typing: Any, array: Any) -> Any:
    """Ask Linux to put an array on huge pages. It may ignore the request."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if sys.platform == "linux":
            made = context.make_array(signature.args[0])(context, builder, args[0])
            size = builder.mul(made.nitems, made.itemsize)
            with builder.if_then(builder.icmp_unsigned(">=", size, size.type(HUGE_PAGE_BYTES)), likely=False):
                _call_madvise(builder, builder.ptrtoint(made.data, size.type), size)
        return context.get_dummy_value()

    return types.void(array), emit


def _call_madvise(builder: ir.IRBuilder, start: Any, size: Any) -> None:
    """Call madvise, whose range must begin at a page."""
    word, number = size.type, ir.IntType(32)
    first = builder.and_(builder.add(start, word(_PAGE - 1)), word(-_PAGE))
    length = builder.sub(builder.add(start, size), first)
    madvise: Any = cgutils.get_or_insert_function
    signature = ir.FunctionType(number, [word, word, number])
    builder.call(madvise(builder.module, signature, "madvise"), [first, length, number(_MADV_HUGEPAGE)])


def _py_empty_sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    return np.empty((steps, batch, width), like.dtype)


@njit(python_fallback=_py_empty_sequence)
def empty_sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    """A new array ``(T, B, N)`` with uninitialised values.

    Args:
        steps: ``T``.
        batch: ``B``.
        width: ``N``.
        like: An array of the same dtype.
    """
    array = np.empty((steps, batch, width), like.dtype)
    _advise_huge_pages(array)
    return array


@intrinsic
def view(_typing: Any, array: Any, _start: Any, shape: Any) -> Any:
    """An unchecked view of an array from element ``start`` on, in a shape given as a tuple."""
    result = types.Array(array.dtype, len(shape), "C", readonly=not array.mutable)
    tuple_of: Any = types.UniTuple  # Numba's own functions are untyped
    populate: Any = populate_array
    borrowed: Any = impl_ret_borrowed

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0])
        made = context.make_array(result)(context, builder)
        sizes = [builder.extract_value(args[2], n) for n in range(len(shape))]
        strides = [base.itemsize]
        for size in sizes[:0:-1]:
            strides.insert(0, builder.mul(strides[0], size))
        data = builder.gep(base.data, [args[1]])
        populate(made, data, sizes, strides, base.itemsize, base.meminfo, base.parent)
        return borrowed(context, builder, result, made._getvalue())

    return result(array, types.intp, tuple_of(types.intp, len(shape))), emit


def _py_flat_slice(flat: Array, start: int, size: int) -> Array:
    return flat.reshape(-1)[start : start + size]


def _py_row(a: Array, number: int) -> Array:
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])[number]  # type: ignore[no-any-return]


def _py_as_rows(a: Array) -> Array:
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])


def _py_rows_of_steps(a: Array, first: int, last: int) -> Array:
    return _py_as_rows(a[first:last])


def _py_slice_steps(a: Array, first: int, last: int) -> Array:
    return a[first:last]


# A slice handles ends below zero or beyond the array: with ten slices of 64 elements a row, loops take 10 %
# more time, and 50 % more to compile.
@njit(inline=True, python_fallback=_py_flat_slice)
def flat_slice(flat: Array, start: int, size: int) -> Array:
    """``flat[start : start + size]`` of an array's elements, unchecked."""
    return view(flat, start, (size,))  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_as_rows)
def as_rows(a: Array) -> Array:
    """All rows of ``a (T, B, N)``, as a view ``(T B, N)``."""
    return view(a, 0, (a.shape[0] * a.shape[1], a.shape[2]))  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_rows_of_steps)
def rows_of_steps(a: Array, first: int, last: int) -> Array:
    """All rows of ``a[first:last]``, for ``a (T, B, N)``, as a view, unchecked."""
    width = a.shape[1] * a.shape[2]
    return view(a, first * width, ((last - first) * a.shape[1], a.shape[2]))  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_slice_steps)
def slice_steps(a: Array, first: int, last: int) -> Array:
    """``a[first:last]``, unchecked."""
    return view(a, first * (a.strides[0] // a.itemsize), (last - first, *a.shape[1:]))  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_row)
def row(a: Array, number: int) -> Array:
    """Row ``number`` of an array, counted over all axes but the last, unchecked."""
    return view(a, number * a.shape[-1], (a.shape[-1],))  # type: ignore[no-any-return]
