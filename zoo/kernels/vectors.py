"""Vectors in LLVM's words: a number in all lanes, and loads and stores of the first few lanes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

_tools: Any = cgutils  # Numba's helpers are untyped
LANE = ir.IntType(32)
"""What lanes are counted with."""


def spread(builder: ir.IRBuilder, value: Any, count: int) -> Any:
    """A vector with a value in each of so many lanes."""
    undefined = ir.VectorType(value.type, count)(ir.Undefined)
    single = builder.insert_element(undefined, value, LANE(0))
    return builder.shuffle_vector(single, undefined, ir.VectorType(LANE, count)(None))


def first_lanes(builder: ir.IRBuilder, some: Any, count: int, skipped: int = 0) -> Any:
    """A mask of those lanes, of ``count``, whose number and ``skipped`` together are less than ``some``."""
    last = spread(builder, builder.trunc(some, LANE), count)
    numbers = ir.VectorType(LANE, count)(list(range(skipped, skipped + count)))
    return builder.icmp_signed("<", numbers, last)


def load_some(builder: ir.IRBuilder, place: Any, mask: Any, other: Any, size: int) -> Any:
    """The lanes of a mask from an address of numbers of ``size`` bytes; those of a vector in the others."""
    return _masked(builder, "load", other.type, [place, LANE(size), mask, other])


def store_some(builder: ir.IRBuilder, value: Any, place: Any, mask: Any, size: int) -> None:
    """Store the lanes of a mask at an address of numbers of ``size`` bytes."""
    _masked(builder, "store", ir.VoidType(), [value, place, LANE(size), mask])


def _masked(builder: ir.IRBuilder, verb: str, result: ir.Type, operands: list[Any]) -> Any:
    """A call of LLVM's ``llvm.masked.load`` or ``store``."""
    vector = operands[0].type if verb == "store" else result
    name = f"llvm.masked.{verb}.v{vector.count}f{32 if vector.element == ir.FloatType() else 64}.p0"
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(_tools.get_or_insert_function(builder.module, kind, name), operands)
