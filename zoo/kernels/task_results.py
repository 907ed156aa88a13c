"""Results of tasks that run in several threads: arrays that stay outside of Python.

A task returns only whether it succeeded (:mod:`zoo.kernels.bound_calls`). Its other results, for example the
arrays of a tape, are a structure in a row of an int64 array. A row owns its arrays until they are released.
To make a Python object of each array takes 1 us.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.registry import cpu_target

from zoo.array_types import Array
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import njit


def words_of(kind: Any) -> int:
    """Number of words of a row for results of a Numba type. It takes 0.2 ms."""
    context = cpu_target.target_context
    size: int = context.get_abi_sizeof(context.get_value_type(kind))
    return -(-size // 8)


def new_results(count: int, words: int) -> Array:
    """Empty rows for the results of some tasks, ``(count, words)`` int64.

    Args:
        count: Number of tasks.
        words: From :func:`words_of`.
    """
    return np.zeros((count, words), np.int64)


@intrinsic
def store_result(_typing: Any, results: Any, _number: Any, value: Any) -> Any:
    """Store a value in an empty row of results."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        context.nrt.incref(builder, value, args[2])
        builder.store(args[2], _row(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(results, types.int64, value), emit


@intrinsic
def load_result(_typing: Any, results: Any, _number: Any, like: Any) -> Any:
    """The value in a row of results, which stays there.

    Args:
        results: From :func:`new_results`.
        _number: The row. It must hold a value of the type of ``like``.
        like: A value of this type, for example empty arrays in tuples. It is not read.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        value = builder.load(_row(context, builder, signature, args), align=8)
        context.nrt.incref(builder, like, value)
        return value

    return like(results, types.int64, like), emit


@intrinsic
def release_result(_typing: Any, results: Any, _number: Any, like: Any) -> Any:
    """Release the arrays of a row of results, and clear the row. An empty row has none.

    Args:
        results: As for :func:`load_result`.
        _number: As for :func:`load_result`.
        like: As for :func:`load_result`.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        row = _row(context, builder, signature, args)
        context.nrt.decref(builder, like, builder.load(row, align=8))
        builder.store(ir.Constant(args[2].type, None), row, align=8)
        return context.get_dummy_value()

    return types.void(results, types.int64, like), emit


@njit
def read_result(results: Array, number: int, like: Any) -> Any:
    """Call :func:`load_result`: its form for Python."""
    return load_result(results, number, like)


@njit
def release_results(results: Array, like: Any) -> None:
    """Call :func:`release_result` for all rows."""
    for number in range(results.shape[0]):
        release_result(results, number, like)


def _row(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
    """The address of a row, as a pointer to the type of the last argument."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    words = builder.extract_value(array.shape, 1)
    start = builder.gep(array.data, [builder.mul(args[1], words)])
    return builder.bitcast(start, args[2].type.as_pointer())
