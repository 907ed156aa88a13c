"""Room for what a kernel computes at every step of a sequence.

Views of C-contiguous arrays that cost an addition, and little to compile.
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

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import njit

Array = Any

# Memory that is new comes page by page, each cleared at the first touch. What an LSTM of 128 units keeps of
# 10,000 steps of eight rows is 280 MB: in pages of 4 KiB a training step took 8.2 us a token, in those of
# 2 MiB 5.9. NumPy asks Linux for large pages too, from this size on; Numba does not.
LARGE = 1 << 22

_PAGE = 4096

_MADV_HUGEPAGE = 14  # of Linux, in its sys/mman.h; elsewhere nothing is asked for


@intrinsic
def _ask_for_large_pages(_typing: Any, array: Any) -> Any:
    """Tell Linux that an array is better kept in large pages; a wish, which may be refused in silence."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if sys.platform == "linux":
            made = context.make_array(signature.args[0])(context, builder, args[0])
            size = builder.mul(made.nitems, made.itemsize)
            with builder.if_then(builder.icmp_unsigned(">=", size, size.type(LARGE)), likely=False):
                _advise(builder, builder.ptrtoint(made.data, size.type), size)
        return context.get_dummy_value()

    return types.void(array), emit


def _advise(builder: ir.IRBuilder, start: Any, size: Any) -> None:
    """Call madvise, which wants to begin with a page."""
    word, number = size.type, ir.IntType(32)
    first = builder.and_(builder.add(start, word(_PAGE - 1)), word(-_PAGE))
    length = builder.sub(builder.add(start, size), first)
    madvise: Any = cgutils.get_or_insert_function
    wanted = ir.FunctionType(number, [word, word, number])
    builder.call(madvise(builder.module, wanted, "madvise"), [first, length, number(_MADV_HUGEPAGE)])


def _plain_sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    return np.empty((steps, batch, width), like.dtype)


@njit(twin=_plain_sequence)
def sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    """Room for a row of numbers at every step: a new array ``(T, B, N)``, whose values are not set.

    Args:
        steps: ``T``.
        batch: ``B``.
        width: ``N``, the numbers in a row.
        like: An array of the wanted dtype.
    """
    room = np.empty((steps, batch, width), like.dtype)
    _ask_for_large_pages(room)
    return room


@intrinsic
def view(_typing: Any, array: Any, _start: Any, shape: Any) -> Any:
    """The numbers of an array from a number on, in a shape given as a tuple; nothing is checked."""
    result = types.Array(array.dtype, len(shape), "C", readonly=not array.mutable)
    tuple_of: Any = types.UniTuple  # Numba's own functions are untyped
    place: Any = populate_array
    borrowed: Any = impl_ret_borrowed

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0])
        made = context.make_array(result)(context, builder)
        sizes = [builder.extract_value(args[2], n) for n in range(len(shape))]
        strides = [base.itemsize]
        for size in sizes[:0:-1]:
            strides.insert(0, builder.mul(strides[0], size))
        data = builder.gep(base.data, [args[1]])
        place(made, data, sizes, strides, base.itemsize, base.meminfo, base.parent)
        return borrowed(context, builder, result, made._getvalue())

    return result(array, types.intp, tuple_of(types.intp, len(shape))), emit


def _plain_window(flat: Array, start: int, size: int) -> Array:
    return flat.reshape(-1)[start : start + size]


def _plain_row(a: Array, number: int) -> Array:
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])[number]


def _plain_rows_of(a: Array) -> Array:
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])


def _plain_rows_between(a: Array, first: int, last: int) -> Array:
    return _plain_rows_of(a[first:last])


def _plain_steps_of(a: Array, first: int, last: int) -> Array:
    return a[first:last]


# A slice must look out for ends below zero or beyond the array: with ten slices of 64 numbers a row, loops
# take a tenth more time, and half as much again to compile.
@njit(inline=True, twin=_plain_window)
def window(flat: Array, start: int, size: int) -> Array:
    """``flat[start : start + size]`` of the numbers of an array; nobody checks that it is inside."""
    return view(flat, start, (size,))


@njit(inline=True, twin=_plain_rows_of)
def rows_of(a: Array) -> Array:
    """All rows of ``a (T, B, N)``, as a view ``(T B, N)``."""
    return view(a, 0, (a.shape[0] * a.shape[1], a.shape[2]))


@njit(inline=True, twin=_plain_rows_between)
def rows_between(a: Array, first: int, last: int) -> Array:
    """All rows of ``a[first:last]``, for ``a (T, B, N)``, as a view; nobody checks that they are inside."""
    width = a.shape[1] * a.shape[2]
    return view(a, first * width, ((last - first) * a.shape[1], a.shape[2]))


@njit(inline=True, twin=_plain_steps_of)
def steps_of(a: Array, first: int, last: int) -> Array:
    """``a[first:last]``; nobody checks that it is inside."""
    return view(a, first * (a.strides[0] // a.itemsize), (last - first, *a.shape[1:]))


@njit(inline=True, twin=_plain_row)
def row(a: Array, number: int) -> Array:
    """Row ``number`` of an array, counted over all axes but the last; nobody checks that it is inside."""
    return view(a, number * a.shape[-1], (a.shape[-1],))
