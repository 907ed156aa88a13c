"""exp, log, log1p, tanh, sigmoid and softplus that vectorise.

Numba's own are calls into libm, one element at a time: 4 to 5 ns each, where these take 0.5 ns in a loop.
Called from Python each is NumPy's. Compiled, each is a formula below. For exp the exponent k is split off by
adding and subtracting a large number, then a polynomial gives expm1 on [-ln 2 / 2, ln 2 / 2]. For log it is
split off so that 1 + f lies between the roots of 1/2 and 2; log(1 + f) is the series of 2 artanh(s) with
s = f / (2 + f), which needs half as many terms as a series in f. log1p adds the rounding error of 1 + x to f.

The error is below 1.1 ulp (exp), 1 ulp (log), 1.5 ulp (log1p), 1.8 ulp (softplus), 2.4 ulp (tanh) and 2.5 ulp
(sigmoid), subnormal numbers included. Every function is monotone, because each of its steps is monotone after
rounding. Only tanh keeps the sign of zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.kernels.float_formats import FloatFormat
from zoo.kernels.llvm_math import IRValue, compile_as, polynomial


def log(x: Any) -> Any:
    """The natural logarithm of a float32 or float64 scalar; minus infinity at zero, NaN below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def log1p(x: Any) -> Any:
    """``log(1 + x)`` of a float32 or float64 scalar, accurate for small x."""
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        return np.log1p(x)


def _sum(f: IRValue, k: IRValue, c: FloatFormat) -> IRValue:
    """``k ln 2 + log(1 + f)`` for ``1 + f`` between the roots of 1/2 and 2."""
    s = f / (f + 2.0)
    z = s * s
    square = f * 0.5 * f
    # f is exact: all rounded terms are small compared with it.
    return k * c.ln2_high - ((square - (s * (z * polynomial(z, c.artanh) + square) + k * c.ln2_low)) - f)


def _split(x: IRValue, c: FloatFormat) -> tuple[IRValue, IRValue, IRValue]:
    """``(exponent, k, f)`` with ``x = 2**k (1 + f)``, for positive normal x; all exact.

    ``exponent`` is the biased integer of the format; ``k`` is a float.
    """
    # The shift of a non-negative number has an instruction.
    moved = x.bits() + (c.one_bits - c.root_half_bits) & c.positive_mask
    exponent = moved >> c.mantissa
    k = (exponent + (c.shift_bits - c.bias)).as_float() - c.shift
    return exponent, k, ((moved & c.mantissa_mask) + c.root_half_bits).as_float() - 1.0


def _special(y: IRValue, x: IRValue, argument: IRValue) -> IRValue:
    """``y``, or x where it is infinite or NaN, or the value of log where ``argument`` is not positive."""
    y = x.select_lt(math.inf, y, x)
    nothing = argument.select_eq(0.0, -math.inf, math.nan)
    return argument.select_gt(0.0, y, nothing)


def log_formula(x: IRValue, c: FloatFormat) -> IRValue:
    """log, as instructions."""
    lift = x.select_lt(c.tiny, c.lift, 1.0)
    lifted = x.select_lt(c.tiny, float(c.lift_exponent), 0.0)
    _, k, f = _split(x * lift, c)
    return _special(_sum(f, k - lifted, c), x, x)


def _add_one(x: IRValue, c: FloatFormat) -> tuple[IRValue, IRValue, IRValue, IRValue]:
    """``(u, k, f, error)``: ``u = 2**k (1 + f)`` is ``1 + x`` rounded, and ``error`` its error over 2**k."""
    u = x + 1.0
    part = u - x
    error = (x - (u - part)) + (-part + 1.0)
    exponent, k, f = _split(u, c)
    # 2**-k from the bits of 2**k; negligible where x is large.
    inverse = ((-exponent + 2 * c.bias) << c.mantissa).as_float()
    return u, k, f, error * inverse


def log1p_formula(x: IRValue, c: FloatFormat) -> IRValue:
    """log1p, as instructions."""
    u, k, f, error = _add_one(x, c)
    return _special(_sum(f + x.select_lt(c.lift, error, 0.0), k, c), x, u)


def log1p_of_positive(x: IRValue, c: FloatFormat) -> IRValue:
    """log1p, as instructions, for x from 0 to ``c.lift``."""
    _, k, f, error = _add_one(x, c)
    return _sum(f + error, k, c)


compile_as(log, log_formula)

compile_as(log1p, log1p_formula)


def exp(x: Any) -> Any:
    """The exponential function of a float32 or float64 scalar."""
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(x)


def exp_diff(x: Any, y: Any) -> Any:
    """``exp(x - y)`` of two scalars of one dtype, with the rounding error of the difference corrected.

    A softmax subtracts its largest score. With logits of size 80, the rounded difference costs 35 units in
    the last place of the result; this function costs 1.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        difference = x - y
        e = np.exp(difference)
        return e + e * rounding_error(difference, x, y) if np.isfinite(difference) else e


def rounding_error(difference: Any, x: Any, y: Any) -> Any:
    """``(x - y) - difference`` for the rounded difference: Knuth's two-sum, exact and branchless."""
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


def expm1_formula(r: IRValue, c: FloatFormat) -> IRValue:
    """``exp(r) - 1`` for ``abs(r)`` up to ln 2 / 2."""
    return r * r * polynomial(r, c.expm1) + r


def _reduce_range(x: IRValue, k: IRValue, c: FloatFormat) -> IRValue:
    """``x - k ln 2``, rounded once."""
    return x - k * c.ln2_high - k * c.ln2_low


def exp2i(shifted: IRValue, c: FloatFormat) -> IRValue:
    """Two to the power in the last bits of ``shifted``, counted from the smallest exponent."""
    return (shifted.bits() << c.mantissa).as_float()


def _scaled_exp(x: IRValue, scale: int, c: FloatFormat) -> IRValue:
    """``2**scale * exp(x)``, if that is a normal number."""
    shift = c.shift + c.bias + scale
    shifted = x * c.log2e + shift
    return exp2i(shifted, c) * (expm1_formula(_reduce_range(x, shifted - shift, c), c) + 1.0)


def exp_formula(x: IRValue, c: FloatFormat) -> IRValue:
    """exp, as instructions."""
    return _exp_of_sum(x.minimum(-c.lowest).maximum(c.lowest), None, c)


def _exp_of_sum(x: IRValue, error: IRValue | None, c: FloatFormat) -> IRValue:
    """``exp(x + error)``, for x in the range of exp and a tiny correction."""
    shift = c.shift + 2 * c.bias
    shifted = x * c.log2e + shift
    r = _reduce_range(x, shifted - shift, c)
    e = expm1_formula(r if error is None else r + error, c) + 1.0
    # 2**k in two factors: one alone cannot reach infinity or the subnormal numbers.
    k = shifted.bits()
    half = k >> 1
    return e * (half << c.mantissa).as_float() * ((k - half) << c.mantissa).as_float()


def exp_diff_formula(x: IRValue, y: IRValue, c: FloatFormat) -> IRValue:
    """exp_diff, as instructions."""
    difference = x - y
    # Beyond the range of exp, infinities included, there is no rounding error to correct.
    error = difference.select_gt(c.lowest, rounding_error(difference, x, y), 0.0)
    error = difference.select_lt(-c.lowest, error, 0.0)
    return _exp_of_sum(difference.minimum(-c.lowest).maximum(c.lowest), error, c)


def tanh_formula(x: IRValue, c: FloatFormat) -> IRValue:
    """tanh, as instructions.

    With ``h = expm1(2 |x|) / 2`` it is ``h / (1 + h)``, here ``h - h h / (1 + h)`` or ``1 - 1 / (1 + h)``:
    when ``1 + h`` rounds the wrong way, the quotient alone would not be monotone.
    """
    sign = x.bits() & c.sign_bit
    minus = (x.bits() | c.sign_bit).as_float().maximum(-c.saturation)
    shift = c.shift + c.bias - 1
    shifted = minus * (-2 * c.log2e) + shift
    # ln 2 as one constant: where k is large, tanh does not need the lost digits.
    q = expm1_formula(-(minus + minus) - (shifted - shift) * c.ln2, c)
    power = exp2i(shifted, c)
    h = power * q + (power - 0.5)
    a = h.select_gt(0.5, 1.0, h)
    y = a - a * a / (h + 1.0)
    return (y.bits() ^ sign).as_float()


def sigmoid_formula(x: IRValue, c: FloatFormat) -> IRValue:
    """sigmoid, as instructions: ``1 / (1 + exp(-x))``, both scaled, since exp(-x) alone would overflow."""
    scale = -c.mantissa - 9
    x = x.maximum(c.lowest).minimum(60.0)
    one = 2.0**scale
    return x.constant(one) / (_scaled_exp(-x, scale, c) + one)


def softplus_formula(x: IRValue, c: FloatFormat) -> IRValue:
    """softplus, as instructions."""
    e = _scaled_exp(x.maximum(c.lowest).minimum(40.0), 64, c) * 2.0**-64
    return x.select_gt(40.0, x, log1p_of_positive(e, c))


compile_as(exp, exp_formula)

compile_as(exp_diff, exp_diff_formula, operands=2)

compile_as(tanh, tanh_formula)

compile_as(sigmoid, sigmoid_formula)

compile_as(softplus, softplus_formula)
