"""log and log1p that vectorise, in the manner of :mod:`zoo.kernels.elementary`.

The exponent is split off so that the rest, 1 + f, lies between the roots of 1/2 and 2; log(1 + f) is the
series of 2 artanh(s) with s = f / (2 + f), which needs half as many terms as that of f. What log1p loses when
it adds the one comes back as a correction of f. The error is below 1 ulp (log) and 1.5 ulp (log1p), subnormal
numbers included, and both are monotone.

exp, tanh, sigmoid and softplus that vectorise; logarithms have a file of their own.

Numba's own are calls into libm, one element at a time: 4 to 5 ns each, where these take half of one inside a
loop. Called from Python each is NumPy's; compiled, it is the formula below: the exponent k split off by
adding and subtracting a large number, then a polynomial for expm1 on [-ln 2 / 2, ln 2 / 2]. The error is
below 1.1 ulp (exp), 1.8 ulp (softplus), 2.4 ulp (tanh) and 2.5 ulp (sigmoid), subnormal results included, and
every function is monotone: each is a chain of steps that never turn back when they round. The sign of a zero
is kept by tanh alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.kernels.float_formats import Format
from zoo.kernels.llvm_math import Number, compile_as, polynomial


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


def exp(x: Any) -> Any:
    """The exponential function of a float32 or float64 scalar."""
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(x)


def exp_minus(x: Any, y: Any) -> Any:
    """``exp(x - y)`` of two scalars of one dtype, as if the difference were not rounded.

    A softmax subtracts its largest score. With logits of size 80, what rounding the difference loses is 35
    units in the last place of the result, and 1 so.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        difference = x - y
        e = np.exp(difference)
        return e + e * lost(difference, x, y) if np.isfinite(difference) else e


def lost(difference: Any, x: Any, y: Any) -> Any:
    """What ``x - y`` is more than it was rounded to: Knuth's two-sum, exact, and without a branch."""
    back = difference - x
    return (x - (difference - back)) + (-back - y)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent of a float32 or float64 scalar."""
    return np.tanh(x)


def sigmoid(x: Any) -> Any:
    """The logistic function ``1 / (1 + exp(-x))`` of a float32 or float64 scalar."""
    with np.errstate(under="ignore"):
        e = np.exp(-abs(x))
        return (e if x < 0 else type(x)(1)) / (type(x)(1) + e)


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))`` of a float32 or float64 scalar."""
    return (type(x)(0) if x < 0 else x) + log1p(exp(-abs(x)))


def _expm1(r: Number, c: Format) -> Number:
    """``exp(r) - 1`` for r up to ln 2 / 2 on either side."""
    return r * r * polynomial(r, c.expm1) + r


def _rest(x: Number, k: Number, c: Format) -> Number:
    """``x - k ln 2``, rounded once."""
    return x - k * c.ln2_high - k * c.ln2_low


def _power(shifted: Number, c: Format) -> Number:
    """Two to the power that the last bits of a number say, counted from the smallest exponent."""
    return (shifted.bits() << c.mantissa).as_float()


def _scaled_exp(x: Number, scale: int, c: Format) -> Number:
    """``2**scale * exp(x)``, for x of which that is a normal number."""
    shift = c.shift + c.bias + scale
    shifted = x * c.log2e + shift
    return _power(shifted, c) * (_expm1(_rest(x, shifted - shift, c), c) + 1.0)


def exp_formula(x: Number, c: Format) -> Number:
    """exp, as instructions."""
    return _exp_of_sum(x.at_most(-c.lowest).at_least(c.lowest), None, c)


def _exp_of_sum(x: Number, more: Number | None, c: Format) -> Number:
    """``exp(x + more)``, for x in the range of exp and digits after its last."""
    shift = c.shift + 2 * c.bias
    shifted = x * c.log2e + shift
    rest = _rest(x, shifted - shift, c)
    e = _expm1(rest if more is None else rest + more, c) + 1.0
    # 2**k in two factors: one alone cannot reach infinity or the subnormal numbers.
    both = shifted.bits()
    half = both >> 1
    return e * (half << c.mantissa).as_float() * ((both - half) << c.mantissa).as_float()


def exp_minus_formula(x: Number, y: Number, c: Format) -> Number:
    """exp_minus, as instructions."""
    difference = x - y
    # Beyond the range of exp, infinities included, there is nothing to make good, and nothing to do it with.
    more = difference.if_above(c.lowest, lost(difference, x, y), 0.0)
    more = difference.if_below(-c.lowest, more, 0.0)
    return _exp_of_sum(difference.at_most(-c.lowest).at_least(c.lowest), more, c)


def tanh_formula(x: Number, c: Format) -> Number:
    """tanh, as instructions.

    With ``h = expm1(2 |x|) / 2`` it is ``h / (1 + h)``, here ``h - h h / (1 + h)`` or ``1 - 1 / (1 + h)``:
    when ``1 + h`` rounds the wrong way, the quotient alone would turn back.
    """
    sign = x.bits() & c.sign_bit
    minus = (x.bits() | c.sign_bit).as_float().at_least(-c.saturation)
    shift = c.shift + c.bias - 1
    shifted = minus * (-2 * c.log2e) + shift
    # ln 2 in one piece: where k is large, tanh has no use for the digits that get lost.
    q = _expm1(-(minus + minus) - (shifted - shift) * c.ln2, c)
    power = _power(shifted, c)
    h = power * q + (power - 0.5)
    a = h.if_above(0.5, 1.0, h)
    y = a - a * a / (h + 1.0)
    return (y.bits() ^ sign).as_float()


def sigmoid_formula(x: Number, c: Format) -> Number:
    """sigmoid, as instructions: one over ``1 + exp(-x)``, both scaled, since exp(-x) alone would overflow."""
    scale = -c.mantissa - 9
    x = x.at_least(c.lowest).at_most(60.0)
    one = 2.0**scale
    return x.constant(one) / (_scaled_exp(-x, scale, c) + one)


def softplus_formula(x: Number, c: Format) -> Number:
    """softplus, as instructions."""
    e = _scaled_exp(x.at_least(c.lowest).at_most(40.0), 64, c) * 2.0**-64
    return x.if_above(40.0, x, log1p_of_positive(e, c))


compile_as(exp, exp_formula)

compile_as(exp_minus, exp_minus_formula, operands=2)

compile_as(tanh, tanh_formula)

compile_as(sigmoid, sigmoid_formula)

compile_as(softplus, softplus_formula)
