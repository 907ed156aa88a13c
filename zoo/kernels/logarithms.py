"""log and log1p that vectorise, in the manner of :mod:`zoo.kernels.elementary`.

The exponent is split off so that the rest, 1 + f, lies between the roots of 1/2 and 2; log(1 + f) is the
series of 2 artanh(s) with s = f / (2 + f), which needs half as many terms as that of f. What log1p loses when
it adds the one comes back as a correction of f. The error is below 1 ulp (log) and 1.5 ulp (log1p), subnormal
numbers included, and both are monotone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.kernels.formats import Format
from zoo.kernels.formulas import Number, compile_as, polynomial


def log(x: Any) -> Any:
    """The natural logarithm of a float32 or float64 scalar; of zero minus infinity, below it not a number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def log1p(x: Any) -> Any:
    """``log(1 + x)`` of a float32 or float64 scalar, exact where x is small."""
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        return np.log1p(x)


def _sum(f: Number, k: Number, c: Format) -> Number:
    """``k ln 2 + log(1 + f)`` for f between the roots of 1/2 and 2, less one."""
    s = f / (f + 2.0)
    z = s * s
    square = f * 0.5 * f
    # f itself is exact: all that is rounded is small beside it.
    return k * c.ln2_high - ((square - (s * (z * polynomial(z, c.artanh) + square) + k * c.ln2_low)) - f)


def _split(x: Number, c: Format) -> tuple[Number, Number, Number]:
    """``(exponent, k, f)`` with ``x = 2**k (1 + f)``, for positive normal x; all exact.

    ``exponent`` is k as the format writes it, an integer; ``k`` is a float.
    """
    # A shift of what cannot be negative has an instruction.
    moved = x.bits() + (c.one_bits - c.root_half_bits) & c.positive_mask
    exponent = moved >> c.mantissa
    k = (exponent + (c.shift_bits - c.bias)).as_float() - c.shift
    return exponent, k, ((moved & c.mantissa_mask) + c.root_half_bits).as_float() - 1.0


def _special(y: Number, x: Number, argument: Number) -> Number:
    """``y``, but infinity and NaN of x as they are, and the right thing where log has no ``argument``."""
    y = x.if_below(math.inf, y, x)
    nothing = argument.if_equal(0.0, -math.inf, math.nan)
    return argument.if_above(0.0, y, nothing)


def log_formula(x: Number, c: Format) -> Number:
    """log, as instructions."""
    lift = x.if_below(c.tiny, c.lift, 1.0)
    lifted = x.if_below(c.tiny, float(c.lift_exponent), 0.0)
    _, k, f = _split(x * lift, c)
    return _special(_sum(f, k - lifted, c), x, x)


def _one_more(x: Number, c: Format) -> tuple[Number, Number, Number, Number]:
    """``(u, k, f, lost)``: ``1 + x`` is ``u = 2**k (1 + f)`` and what u lost, divided by 2**k."""
    u = x + 1.0
    part = u - x
    lost = (x - (u - part)) + (-part + 1.0)
    exponent, k, f = _split(u, c)
    # 2**-k from the bits of 2**k; nothing that counts where x is large.
    inverse = ((-exponent + 2 * c.bias) << c.mantissa).as_float()
    return u, k, f, lost * inverse


def log1p_formula(x: Number, c: Format) -> Number:
    """log1p, as instructions."""
    u, k, f, lost = _one_more(x, c)
    return _special(_sum(f + x.if_below(c.lift, lost, 0.0), k, c), x, u)


def log1p_of_positive(x: Number, c: Format) -> Number:
    """log1p, as instructions, for x from 0 to ``c.lift``."""
    _, k, f, lost = _one_more(x, c)
    return _sum(f + lost, k, c)


compile_as(log, log_formula)
compile_as(log1p, log1p_formula)
