"""Scalar functions: selection, minimum and maximum without a branch, since loops with one do not vectorise.

The error function is a call into the C library per element, with its accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.array_types import Array
from zoo.kernels.float_formats import from_ordered, intrinsic, ordered
from zoo.kernels.instructions import emitted_by
from zoo.kernels.jit import njit


@intrinsic
def _select(_typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """``a if condition else b`` for two floats of one type, both computed."""
    if condition != types.boolean or a != b or not isinstance(a, types.Float):
        return None

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(condition, a, b), emit


def _chosen_integer(comparison: str) -> Callable[..., Any]:
    """Emitter of the first of two integers if it compares so to the second, which is chosen otherwise."""

    def emitter(_typing: Any, a: Any, b: Any) -> Any:
        if not isinstance(a, types.Integer) or not isinstance(b, types.Integer):
            return None
        unliteral: Any = types.unliteral  # Numba's own functions are untyped
        kind = unliteral(a)
        if kind != unliteral(b) or not kind.signed:
            return None

        def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
            return builder.select(builder.icmp_signed(comparison, *args), *args)

        return kind(kind, kind), emit

    return emitter


# Numba compiles a function for every call of Python's min and max: 0.24 of 4.7 s of a first step of a GRU.
@emitted_by(_chosen_integer("<"))
def int_min(a: int, b: int) -> int:
    """The smaller of two integers."""
    return min(a, b)


@emitted_by(_chosen_integer(">"))
def int_max(a: int, b: int) -> int:
    """The larger of two integers."""
    return max(a, b)


def _py_select(condition: bool, a: float, b: float) -> float:
    return a if condition else b


def _py_maximum(a: float, b: float) -> float:
    return b if a < b or b != b else a


def _py_minimum(a: float, b: float) -> float:
    return b if a > b or b != b else a


@njit(inline=True, python_fallback=_py_select)
def select(condition: bool, a: float, b: float) -> float:
    """``a`` if the condition is true, else ``b``; both are computed."""
    return _select(condition, a, b)  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_maximum)
def maximum(a: float, b: float) -> float:
    """The larger number; NaN if either is."""
    return _select(a < b, b, _select(b != b, b, a))  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_minimum)
def minimum(a: float, b: float) -> float:
    """The smaller number; NaN if either is."""
    return _select(a > b, b, _select(b != b, b, a))  # type: ignore[no-any-return]


def _py_row_max(row: Array) -> float:
    return row.max()  # type: ignore[no-any-return]


# As integers: row.max(), or a NaN-aware maximum of floats, does not vectorise; it took half of the loss.
@njit(python_fallback=_py_row_max)
def row_max(row: Array) -> float:
    """The largest number of a row, or NaN if one element is NaN."""
    best = ordered(row[0])
    for n in range(row.size):
        # The NaN of 0 / 0 on x86 has a sign bit, and its integer would be below all others.
        best = int_max(best, ordered(_select(row[n] != row[n], abs(row[n]), row[n])))
    return from_ordered(best, row[0])  # type: ignore[no-any-return]


def _py_erf(x: Any) -> Any:
    return type(x)(math.erf(x))


@njit(inline=True, python_fallback=_py_erf)
def erf(x: float) -> float:
    """The error function of a float32 or float64 scalar."""
    return math.erf(x)
