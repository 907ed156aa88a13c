"""New arrays, and copies.

Numba compiles a function for each number of axes of ``np.empty``, and more for ``np.zeros`` and ``copy``,
each in 20 to 60 ms. These are instructions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.array_types import Array
from zoo.kernels.instructions import (
    SIZE,
    ArrayFields,
    array_type,
    builder_tools,
    emitted_by,
    is_contiguous,
    make_array,
    product,
)

# New memory arrives page by page, each cleared at the first touch. The tape of an LSTM of 128 units over
# 10,000 steps of eight rows is 280 MB: a training step took 8.2 us a token with pages of 4 KiB,
# 5.9 with 2 MiB. With packed weights and gradients of 4 MiB on huge pages, both passes of an LSTM of 512
# units (35 steps of 20 sequences) take 0.97 of their time. NumPy requests huge pages from this size on, too;
# Numba does not.
HUGE_PAGE_BYTES = 1 << 22

_ALIGNMENT = 64
"""Bytes of a cache line. Numba aligns arrays to 32 bytes, and a vector of 64 bytes may then be in two lines:
both passes of `gla`, `mamba` and `gru` with 128 units took 1.05, 1.14 and 1.1 times as long, of `lstm` 1.01
times (AMD EPYC, Zen 4, float32).
"""
_PAGE = 4096
_MADV_HUGEPAGE = 14  # from Linux's sys/mman.h


def _allocate(context: Any, builder: ir.IRBuilder, kind: Any, shape: list[Any]) -> Any:
    """A new array. Numba raises MemoryError where there is no memory."""
    pointer = context.get_data_type(kind.dtype).as_pointer()
    size = builder.mul(product(builder, shape), SIZE(context.get_abi_sizeof(pointer.pointee)))
    alignment = _ALIGNMENT
    owner = context.nrt.meminfo_alloc_aligned(builder, size, alignment)
    data = builder.bitcast(context.nrt.meminfo_data(builder, owner), pointer)
    return make_array(context, builder, kind, shape, data, owner)


def _advise_huge_pages(builder: ir.IRBuilder, array: ArrayFields) -> None:
    """Ask Linux to put an array on huge pages. It may ignore the request."""
    if sys.platform == "linux":
        size = builder.mul(array["nitems"], array["itemsize"])
        with builder.if_then(builder.icmp_unsigned(">=", size, SIZE(HUGE_PAGE_BYTES)), likely=False):
            _call_madvise(builder, builder.ptrtoint(array["data"], SIZE), size)


def _call_madvise(builder: ir.IRBuilder, start: Any, size: Any) -> None:
    """Call madvise, whose range must begin at a page."""
    number = ir.IntType(32)
    first = builder.and_(builder.add(start, SIZE(_PAGE - 1)), SIZE(-_PAGE))
    length = builder.sub(builder.add(start, size), first)
    signature = ir.FunctionType(number, [SIZE, SIZE, number])
    madvise = builder_tools.get_or_insert_function(builder.module, signature, "madvise")
    builder.call(madvise, [first, length, number(_MADV_HUGEPAGE)])


def _fill_zeros(builder: ir.IRBuilder, array: ArrayFields) -> None:
    builder_tools.memset(builder, array["data"], builder.mul(array["nitems"], array["itemsize"]), 0)


def _new(shape: Any, like: Any, finish: Callable[..., None], has_condition: bool = False) -> Any:
    """A new array as an intrinsic.

    Args:
        shape: Type of the shape.
        like: Type of an array of the same dtype.
        finish: Emits what follows the allocation, from a builder, the array and the values of the arguments.
        has_condition: Whether the first argument is a condition.
    """
    if not (isinstance(shape, types.BaseTuple) and isinstance(like, types.Array)):
        return None
    count = len(shape)
    result, sizes = array_type(like, count), types.UniTuple

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        lengths = [builder.extract_value(args[-2], axis) for axis in range(count)]
        made = _allocate(context, builder, result, lengths)
        finish(builder, ArrayFields(context, builder, result, made), args)
        return made

    return result(*[types.boolean] * has_condition, sizes(types.intp, count), like), emit  # type: ignore[no-untyped-call]


def _emit_empty(_typing: Any, shape: Any, like: Any) -> Any:
    return _new(shape, like, lambda _builder, _array, _args: None)


@emitted_by(_emit_empty)
def empty(shape: tuple[int, ...], like: Array) -> Array:
    """A new array with uninitialised values, in the dtype of ``like``."""
    return np.empty(shape, like.dtype)


def _emit_zeros(_typing: Any, shape: Any, like: Any) -> Any:
    def finish(builder: ir.IRBuilder, array: ArrayFields, _args: Any) -> None:
        _advise_huge_pages(builder, array)
        _fill_zeros(builder, array)

    return _new(shape, like, finish)


@emitted_by(_emit_zeros)
def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """A new array of zeros, in the dtype of ``like``, on huge pages if it is large."""
    return np.zeros(shape, like.dtype)


def _emit_zeros_if(_typing: Any, _condition: Any, shape: Any, like: Any) -> Any:
    def finish(builder: ir.IRBuilder, array: ArrayFields, args: Any) -> None:
        _advise_huge_pages(builder, array)
        with builder.if_then(args[0], likely=False):
            _fill_zeros(builder, array)

    return _new(shape, like, finish, has_condition=True)


@emitted_by(_emit_zeros_if)
def zeros_if(condition: bool, shape: tuple[int, ...], like: Array) -> Array:
    """A new array in the dtype of ``like``: zeros if the condition is true, uninitialised values otherwise.

    Large arrays are on huge pages. Use it for a sum whose first term replaces the values.
    """
    return np.zeros(shape, like.dtype) if condition else np.empty(shape, like.dtype)


def _emit_empty_sequence(_typing: Any, _steps: Any, _batch: Any, _width: Any, like: Any) -> Any:
    if not isinstance(like, types.Array):
        return None
    result = array_type(like, 3)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        made = _allocate(context, builder, result, list(args[:3]))
        _advise_huge_pages(builder, ArrayFields(context, builder, result, made))
        return made

    return result(types.intp, types.intp, types.intp, like), emit


@emitted_by(_emit_empty_sequence)
def empty_sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    """A new array ``(T, B, N)`` with uninitialised values, on huge pages if it is large.

    Args:
        steps: ``T``.
        batch: ``B``.
        width: ``N``.
        like: An array of the same dtype.
    """
    return np.empty((steps, batch, width), like.dtype)


def _emit_copy(_typing: Any, a: Any) -> Any:
    if not is_contiguous(a):
        return None
    result = array_type(a, a.ndim)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        source = ArrayFields(context, builder, a, args[0])
        made = _allocate(context, builder, result, source.shape)
        target = ArrayFields(context, builder, result, made)
        builder_tools.raw_memcpy(
            builder, target["data"], source["data"], source["nitems"], source["itemsize"]
        )
        return made

    return result(a), emit


@emitted_by(_emit_copy)
def copy(a: Array) -> Array:
    """A copy of a C-contiguous array."""
    return a.copy()


def _emit_copy_into(_typing: Any, source: Any, target: Any) -> Any:
    if not (is_contiguous(source) and is_contiguous(target) and target.mutable):
        return None
    if source.dtype != target.dtype:
        return None

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        source_fields, target_fields = (
            ArrayFields(context, builder, kind, value)
            for kind, value in zip((source, target), args, strict=True)
        )
        addresses = target_fields["data"], source_fields["data"]
        builder_tools.raw_memcpy(builder, *addresses, target_fields["nitems"], target_fields["itemsize"])
        return context.get_dummy_value()

    return types.void(source, target), emit


@emitted_by(_emit_copy_into)
def copy_into(source: Array, target: Array) -> None:
    """``target[...] = source`` for C-contiguous arrays with one dtype and number of elements, unchecked.

    Numba compiles an error message with the assignment, which takes 2.5 s in each process.
    """
    target[...] = source


def _emit_fill_zeros(_typing: Any, a: Any) -> Any:
    if not (is_contiguous(a) and a.mutable):
        return None

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        _fill_zeros(builder, ArrayFields(context, builder, a, args[0]))
        return context.get_dummy_value()

    return types.void(a), emit


@emitted_by(_emit_fill_zeros)
def fill_zeros(a: Array) -> None:
    """Set all elements of a C-contiguous array to zero."""
    a.fill(0)
