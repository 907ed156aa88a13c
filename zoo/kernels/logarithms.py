"""log and log1p that vectorise, in the manner of :mod:`zoo.kernels.elementary`.

The exponent is split off so that the rest, 1 + f, lies between the roots of 1/2 and 2; log(1 + f) is the
series of 2 artanh(s) with s = f / (2 + f), which needs half as many terms as that of f. What log1p loses when
it adds the one comes back as a correction of f. The error is below 1 ulp (log) and 1.5 ulp (log1p), subnormal
numbers included.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from zoo.kernels.formats import FORMATS, OPTIONS, Format
from zoo.kernels.intrinsics import bits, from_bits


def log(x: Any) -> Any:
    """The natural logarithm of a float32 or float64 scalar; of zero minus infinity, below it not a number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def log1p(x: Any) -> Any:
    """``log(1 + x)`` of a float32 or float64 scalar, exact where x is small."""
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        return np.log1p(x)


# Terms after which the series has converged for the largest f.
_TERMS = {types.float32: 4, types.float64: 9}


def _series(c: Format, terms: int) -> Any:
    """The jitted ``(f, k) -> k ln 2 + log(1 + f)`` for f between the roots of 1/2 and 2, less one."""
    high, low, half, two = c.ln2_high, c.ln2_low, c.half, c.two
    odd = tuple(c.dtype(2 / (2 * n + 1)) for n in range(terms, 0, -1))

    @register_jitable(**OPTIONS)
    def series(f: Any, k: Any) -> Any:
        s = f / (two + f)
        z = s * s
        p = odd[0]
        for n in range(1, len(odd)):
            p = p * z + odd[n]
        square = half * f * f
        # f itself is exact: all that is rounded is small beside it.
        return k * high - ((square - (s * (square + z * p) + k * low)) - f)

    return series


def _splitting(c: Format) -> Any:
    """The jitted ``x -> (exponent, k, f)`` with ``x = 2**k (1 + f)``, for positive normal x; all exact.

    ``exponent`` is k as the format writes it, an integer; ``k`` is a float.
    """
    root, mask, positive = c.root_half_bits, c.mantissa_mask, c.positive_mask
    offset, mantissa, one = c.one_bits - c.root_half_bits, c.mantissa, c.one
    shift, unbias = c.shift, c.shift_bits - c.bias

    @register_jitable(**OPTIONS)
    def split(x: Any) -> Any:
        moved = (bits(x) + offset) & positive  # a shift of what cannot be negative has an instruction
        exponent = moved >> mantissa
        k = from_bits(exponent + unbias, x) - shift
        return exponent, k, from_bits((moved & mask) + root, x) - one

    return split


def _addition(c: Format, series: Any) -> Any:
    """The jitted ``x -> log(1 + x)`` for x from 0 to 1, which needs no bits to find the exponent."""
    root, half, zero, one = c.dtype(math.sqrt(2)), c.half, c.zero, c.one

    @register_jitable(**OPTIONS)
    def log1p_of_fraction(x: Any) -> Any:
        u = one + x
        lost = x - (u - one)
        large = u > root
        f = ((half * u if large else u) - one) + (half * lost if large else lost)
        return series(f, one if large else zero)

    return log1p_of_fraction


_SERIES = {dtype: _series(FORMATS[dtype], terms) for dtype, terms in _TERMS.items()}
_SPLITTINGS = {dtype: _splitting(c) for dtype, c in FORMATS.items()}
LOG1P_OF_FRACTION = {dtype: _addition(c, _SERIES[dtype]) for dtype, c in FORMATS.items()}


@overload(log, jit_options=OPTIONS, strict=False)
def _log(x: Any) -> Any:
    if x not in FORMATS:
        return None
    c, series, split = FORMATS[x], _SERIES[x], _SPLITTINGS[x]
    tiny, lift, lift_exponent = c.tiny, c.lift, c.lift_exponent
    zero, one, infinity, nan = c.zero, c.one, c.infinity, c.nan

    def implementation(x: Any) -> Any:
        subnormal = x < tiny
        _, k, f = split(x * (lift if subnormal else one))
        y = series(f, k - (lift_exponent if subnormal else zero))
        y = y if x < infinity else x
        return y if x > zero else (-infinity if x == zero else nan)

    return implementation


@overload(log1p, jit_options=OPTIONS, strict=False)
def _log1p(x: Any) -> Any:
    if x not in FORMATS:
        return None
    c, series, split = FORMATS[x], _SERIES[x], _SPLITTINGS[x]
    lift, twice_bias, mantissa = c.lift, 2 * c.bias, c.mantissa
    zero, one, infinity, nan = c.zero, c.one, c.infinity, c.nan

    def implementation(x: Any) -> Any:
        u = one + x
        part = u - x
        lost = (x - (u - part)) + (one - part)
        exponent, k, f = split(u)
        inverse = from_bits((twice_bias - exponent) << mantissa, x)  # 2**-k, or nothing that counts
        y = series(f + (lost * inverse if x < lift else zero), k)
        y = y if x < infinity else x
        return y if u > zero else (-infinity if u == zero else nan)

    return implementation
