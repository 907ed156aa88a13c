"""Choices without branches: a loop that jumps does not vectorise, and compilers like to make one jump."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.float_formats import from_ordered, intrinsic, ordered
from zoo.kernels.jit import njit

Array = Any


@intrinsic
def select(_typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """``a if condition else b`` for two floats of one type, both computed."""
    if condition != types.boolean or a != b or not isinstance(a, types.Float):
        return None

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(condition, a, b), emit


def _plain_choose(condition: bool, a: float, b: float) -> float:
    return a if condition else b


def _plain_maximum(a: float, b: float) -> float:
    return b if a < b or b != b else a


def _plain_minimum(a: float, b: float) -> float:
    return b if a > b or b != b else a


@njit(inline=True, twin=_plain_choose)
def choose(condition: bool, a: float, b: float) -> float:
    """``a`` where the condition holds, ``b`` elsewhere."""
    return select(condition, a, b)  # type: ignore[no-any-return]


@njit(inline=True, twin=_plain_maximum)
def maximum(a: float, b: float) -> float:
    """The larger number; NaN if either is."""
    return select(a < b, b, select(b != b, b, a))  # type: ignore[no-any-return]


@njit(inline=True, twin=_plain_minimum)
def minimum(a: float, b: float) -> float:
    """The smaller number; NaN if either is."""
    return select(a > b, b, select(b != b, b, a))  # type: ignore[no-any-return]


def _plain_largest(row: Array) -> float:
    return row.max()  # type: ignore[no-any-return]


# As integers: row.max(), or a maximum of floats that minds NaN, does not vectorise; it was half of the loss.
@njit(twin=_plain_largest)
def largest(row: Array) -> float:
    """The largest number of a row; NaN if there is one."""
    best = ordered(row[0])
    for n in range(row.size):
        best = max(best, ordered(row[n]))
    return from_ordered(best, row[0])  # type: ignore[no-any-return]
