"""What Python has no word for: the bits of a float."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba.extending
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.extending.intrinsic``, whose own type would ask callers for the typing context too."""
    return numba.extending.intrinsic(function)


@intrinsic
def bits(_typing: Any, x: Any) -> Any:
    """The bits of a float as a signed integer of its width."""
    integer = types.Integer.from_bitwidth(x.bitwidth)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(integer))

    return integer(x), emit


@intrinsic
def from_bits(_typing: Any, _integer: Any, like: Any) -> Any:
    """The float of the type of ``like`` with the given bits."""
    integer = types.Integer.from_bitwidth(like.bitwidth)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(like))

    return like(integer, like), emit


@intrinsic
def ordered(_typing: Any, x: Any) -> Any:
    """The bits of a float as a signed integer that is larger for a larger float, and largest for NaN."""
    integer = types.Integer.from_bitwidth(x.bitwidth)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _mirrored(builder, builder.bitcast(args[0], context.get_value_type(integer)))

    return integer(x), emit


@intrinsic
def from_ordered(_typing: Any, _integer: Any, like: Any) -> Any:
    """The float of the type of ``like`` that :func:`ordered` made this integer of."""
    integer = types.Integer.from_bitwidth(like.bitwidth)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.bitcast(_mirrored(builder, args[0]), context.get_value_type(like))

    return like(integer, like), emit


def _mirrored(builder: ir.IRBuilder, number: Any) -> Any:
    """Negative numbers, which as bits grow with their size, turned round; twice is as it was."""
    sign = builder.ashr(number, number.type(number.type.width - 1))
    return builder.xor(number, builder.lshr(sign, number.type(1)))
