"""Constants of float32 and float64 for the elementary functions, and the bits of a float in kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types


class FloatFormat:
    """Constants of one dtype.

    ``ln2_high`` has so few bits that ``k * ln2_high`` is exact for every exponent k; ``ln2_low`` is the rest.
    Adding ``shift`` and subtracting it again rounds to an integer. The sum has the integer in its last bits.

    Args:
        dtype: Type of the floats.
        integer: Type of their bits.
        high_bits: Bits of ``ln2_high`` behind the point.
        lowest: Where exp underflows to zero; at ``-lowest`` it has overflowed.
        saturation: Where tanh is one.
        expm1: Coefficients of ``(exp(r) - 1 - r) / r**2`` for ``abs(r)`` up to ln 2 / 2.
        artanh: Coefficients of ``(2 artanh(s) - 2 s) / s**3`` in ``s**2`` for s up to ``3 - 2 √2``.
    """

    def __init__(
        self,
        dtype: type[np.floating],
        integer: type[np.signedinteger],
        *,
        high_bits: int,
        lowest: float,
        saturation: float,
        expm1: tuple[float, ...],
        artanh: tuple[float, ...],
    ) -> None:
        limits = np.finfo(dtype)
        high = math.floor(math.log(2) * 2.0**high_bits) / 2.0**high_bits
        low = 2.3190468138462996e-17 + (math.log(2) - high)  # ln 2 is math.log(2) plus this
        self.ln2_high, self.ln2_low = float(dtype(high)), float(dtype(low))
        self.ln2, self.log2e = float(dtype(math.log(2))), float(dtype(1 / math.log(2)))
        self.lowest, self.saturation, self.expm1, self.artanh = lowest, saturation, expm1, artanh
        self.bias, self.mantissa = int(limits.maxexp) - 1, int(limits.nmant)
        self.shift = 1.5 * 2.0**self.mantissa
        self.tiny = float(limits.tiny)
        self.lift_exponent = self.mantissa + 2
        self.lift = 2.0**self.lift_exponent  # makes every subnormal number normal
        self.sign_bit = int(np.iinfo(integer).min)
        self.shift_bits, self.one_bits, self.root_half_bits = (
            int(dtype(value).view(integer)) for value in (self.shift, 1, math.sqrt(0.5))
        )
        self.mantissa_mask = 2**self.mantissa - 1
        self.positive_mask = int(np.iinfo(integer).max)


# By bits. Minimax polynomials (Remez), with errors relative to exp(r) - 1 and to the logarithm of 0.23 and
# 0.01 ulp of float32, 0.22 and 0.01 ulp of float64. The first 1/2 is fixed, which saves a constant.
FORMATS = {
    32: FloatFormat(
        np.float32,
        np.int32,
        high_bits=15,
        lowest=-104.0,
        saturation=9.2,
        expm1=(0.5, 0.16666548708574250, 0.041666854199257518, 0.0083660407832283152, 0.0013898224962625591),
        artanh=(0.66666776152219583, 0.39977564847370790, 0.29871205853085933),
    ),
    64: FloatFormat(
        np.float64,
        np.int64,
        high_bits=32,
        lowest=-746.0,
        saturation=19.2,
        expm1=(
            0.5,
            0.16666666666666601864,
            0.041666666666619999098,
            0.0083333333333883947355,
            0.0013888888920499841088,
            0.00019841269709322047614,
            0.000024801516361186855081,
            2.7557425093363995112e-6,
            2.7622221184798219616e-7,
            2.5045895538275873178e-8,
        ),
        artanh=(
            0.66666666666667342526,
            0.39999999999415654158,
            0.28571428742190397760,
            0.22222198591367084153,
            0.18183563486587830615,
            0.15314069401810562969,
            0.14795786591962227751,
        ),
    ),
}


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.extending.intrinsic``, typed for callers, who pass no typing context."""
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
        return _flip_negative(builder, builder.bitcast(args[0], context.get_value_type(integer)))

    return integer(x), emit


@intrinsic
def from_ordered(_typing: Any, _integer: Any, like: Any) -> Any:
    """The float of the type of ``like`` whose :func:`ordered` integer this is."""
    integer = types.Integer.from_bitwidth(like.bitwidth)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.bitcast(_flip_negative(builder, args[0]), context.get_value_type(like))

    return like(integer, like), emit


def _flip_negative(builder: ir.IRBuilder, number: Any) -> Any:
    """Reverse the order of negative numbers, whose bits grow with their size; an involution."""
    sign = builder.ashr(number, number.type(number.type.width - 1))
    return builder.xor(number, builder.lshr(sign, number.type(1)))
