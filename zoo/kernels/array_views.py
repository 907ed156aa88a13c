"""Unchecked views of C-contiguous arrays, as a few instructions in the kernel that takes them.

A view costs one addition, and little compile time. A slice handles ends below zero or beyond the array: with
ten slices of 64 elements a row, loops take 10 % more time, and 50 % more to compile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.imputils import impl_ret_borrowed

from zoo.array_types import Array
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import (
    SIZE,
    ArrayFields,
    array_type,
    emitted_by,
    is_contiguous,
    make_array,
    product,
)
from zoo.kernels.jit import njit

_borrowed: Any = impl_ret_borrowed  # Numba's helpers are untyped


def _view(
    array: Any, ndim: int, arguments: tuple[Any, ...], place: Callable[..., tuple[Any, list[Any]]]
) -> Any:
    """A view as an intrinsic; ``place(builder, shape, *arguments)`` returns its first element and shape."""
    if not is_contiguous(array):
        return None
    result = array_type(array, ndim, array.mutable)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        fields = ArrayFields(context, builder, array, args[0])
        start, shape = place(builder, fields.shape, *args[1:])
        data = builder.gep(fields["data"], [start])
        value = make_array(context, builder, result, shape, data, fields["meminfo"], fields["parent"])
        return _borrowed(context, builder, result, value)

    return result(array, *arguments), emit


@intrinsic
def _slice_of(_typing: Any, flat: Any, _start: Any, _size: Any) -> Any:
    """``flat[start : start + size]`` of an array's elements."""
    return _view(flat, 1, (types.intp, types.intp), lambda _builder, _shape, start, size: (start, [size]))


def _py_flat_slice(flat: Array, start: int, size: int) -> Array:
    return flat.reshape(-1)[start : start + size]


# A function: as instructions, LLVM fused other multiplications and additions in a cell, matrix_lstm, which
# changed last bits.
@njit(inline=True, python_fallback=_py_flat_slice)
def flat_slice(flat: Array, start: int, size: int) -> Array:
    """``flat[start : start + size]`` of an array's elements, unchecked."""
    return _slice_of(flat, start, size)  # type: ignore[no-any-return]


def _emit_flat(_typing: Any, a: Any) -> Any:
    return _view(a, 1, (), lambda builder, shape: (SIZE(0), [product(builder, shape)]))


@emitted_by(_emit_flat)
def flat(a: Array) -> Array:
    """All elements of an array, as a view ``(N,)``."""
    return a.reshape(-1)


def _emit_reshape(_typing: Any, a: Any, shape: Any) -> Any:
    if not isinstance(shape, types.BaseTuple):
        return None
    sizes: Any = types.UniTuple
    count = len(shape)

    def place(builder: ir.IRBuilder, _shape: list[Any], new: Any) -> tuple[Any, list[Any]]:
        return SIZE(0), [builder.extract_value(new, axis) for axis in range(count)]

    return _view(a, count, (sizes(types.intp, count),), place)


@emitted_by(_emit_reshape)
def reshape(a: Array, shape: tuple[int, ...]) -> Array:
    """``a`` in another shape with the same number of elements, unchecked."""
    return a.reshape(shape)


def _emit_as_rows(_typing: Any, a: Any) -> Any:
    return _view(a, 2, (), lambda builder, shape: (SIZE(0), [product(builder, shape[:-1]), shape[-1]]))


@emitted_by(_emit_as_rows)
def as_rows(a: Array) -> Array:
    """All rows of ``a (T, B, N)``, as a view ``(T B, N)``."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def _emit_rows_of_steps(_typing: Any, a: Any, _first: Any, _last: Any) -> Any:
    def place(builder: ir.IRBuilder, shape: list[Any], first: Any, last: Any) -> tuple[Any, list[Any]]:
        rows = builder.mul(builder.sub(last, first), shape[1])
        return builder.mul(first, product(builder, shape[1:])), [rows, shape[2]]

    return _view(a, 2, (types.intp, types.intp), place)


@emitted_by(_emit_rows_of_steps)
def rows_of_steps(a: Array, first: int, last: int) -> Array:
    """All rows of ``a[first:last]``, for ``a (T, B, N)``, as a view, unchecked."""
    return as_rows(a[first:last])


def _emit_slice_steps(_typing: Any, a: Any, _first: Any, _last: Any) -> Any:
    def place(builder: ir.IRBuilder, shape: list[Any], first: Any, last: Any) -> tuple[Any, list[Any]]:
        return builder.mul(first, product(builder, shape[1:])), [builder.sub(last, first), *shape[1:]]

    return _view(a, getattr(a, "ndim", 0), (types.intp, types.intp), place)


@emitted_by(_emit_slice_steps)
def slice_steps(a: Array, first: int, last: int) -> Array:
    """``a[first:last]``, unchecked."""
    return a[first:last]


def _emit_at_step(_typing: Any, a: Any, _number: Any) -> Any:
    def place(builder: ir.IRBuilder, shape: list[Any], number: Any) -> tuple[Any, list[Any]]:
        return builder.mul(number, product(builder, shape[1:])), shape[1:]

    return _view(a, getattr(a, "ndim", 1) - 1, (types.intp,), place)


@emitted_by(_emit_at_step)
def at_step(a: Array, number: int) -> Array:
    """``a[number]`` for ``a (T, ...)``, as a view, unchecked."""
    return a[number]  # type: ignore[no-any-return]


def _emit_row(_typing: Any, a: Any, _number: Any) -> Any:
    def place(builder: ir.IRBuilder, shape: list[Any], number: Any) -> tuple[Any, list[Any]]:
        return builder.mul(number, shape[-1]), [shape[-1]]

    return _view(a, 1, (types.intp,), place)


@emitted_by(_emit_row)
def row(a: Array, number: int) -> Array:
    """Row ``number`` of an array, counted over all axes but the last, unchecked."""
    return as_rows(a)[number]  # type: ignore[no-any-return]
