"""Building blocks of a walk: one sequence, symbol after symbol, in arrays that are made once.

A walk does what a forward pass does, at a batch of one and without a tape, and draws its own input. At a
microsecond a symbol everything around the products counts: nothing here makes an array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo import kernels
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import EXACT, njit

Array = Any

# Weights are summed in blocks of this many, and stand in an array that is a whole number of them.
BLOCK = 8

# Between these the sum of exponentials is good as it is; beyond, the largest logit is made zero first.
LIGHT, HEAVY = 1e-18, 1e18


@intrinsic
def without_owner(_typing: Any, arrays: Any) -> Any:
    """Arrays, in tuples of tuples, that own nothing, so that their references are not counted."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _stripped(context, builder, arrays, args[0])

    return arrays(arrays), emit


def _stripped(context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> Any:
    """A value without the owner of its memory, and so for all that it consists of."""
    if isinstance(kind, types.BaseTuple):
        kinds: Any = kind
        parts = [
            _stripped(context, builder, each, builder.extract_value(value, n)) for n, each in enumerate(kinds)
        ]
        return context.make_tuple(builder, kind, parts)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo, array.parent = array.meminfo.type(None), array.parent.type(None)
    return array._getvalue()


def _plain_borrowed(arrays: Any) -> Any:
    return arrays


# Counting up and down is an atomic operation, which waits for all that was written: a dozen of them a step
# are a fifth of a microsecond.
@njit(inline=True, twin=_plain_borrowed)
def borrowed(arrays: Any) -> Any:
    """The same arrays, in tuples of tuples, for use while the caller keeps them: none may be returned."""
    return without_owner(arrays)


@njit
def input_panels(x: Array, w: Array) -> Array:
    """What :func:`project_step` reads of ``w (I, N)``: for tokens w itself, for floats its panels."""
    if x.ndim == 2:
        return w
    return kernels.pack(w)


@njit(inline=True)
def project_step(x: Array, panels: Array, b: Array, out: Array) -> None:
    """``out = x w + b`` for one row.

    Args:
        x: One token ``(1, 1)``, or floats ``(1, 1, I)``.
        panels: From :func:`input_panels`.
        b: Bias ``(N,)``.
        out: The result ``(1, N)``.
    """
    row = kernels.row(out, 0)
    if x.ndim == 2:
        source = kernels.row(panels, x[0, 0])
        for n in range(row.size):
            row[n] = source[n] + b[n]
    else:
        for n in range(row.size):
            row[n] = b[n]
        kernels.add_matmul(kernels.rows_of(x), panels, out)


@njit(inline=True)
def copy_row(source: Array, target: Array) -> None:
    """``target[:] = source`` for two arrays ``(1, N)``."""
    to, numbers = kernels.row(target, 0), kernels.row(source, 0)
    for n in range(to.size):
        to[n] = numbers[n]


@njit(inline=True)
def scores_of(logits: Array) -> Array:
    """The one row of ``logits (1, V)`` as samplers take it: a float64 vector of its own."""
    scores = np.empty(logits.shape[1], np.float64)
    for v in range(scores.size):
        scores[v] = logits[0, v]
    return scores


@njit
def is_drawable(scores: Array, size: int) -> bool:
    """Whether there are ``size`` scores, none of them NaN or +inf, and not all of them -inf."""
    return scores.size == size and math.isfinite(scores.max())


def weights_for(size: int, dtype: Any) -> Array:
    """Room for the weights of ``size`` symbols, for :func:`draw`."""
    return np.zeros(-(-size // BLOCK) * BLOCK, dtype)


@njit(fastmath=EXACT, inline=True)
def draw(scores: Array, weights: Array, u: float) -> int:
    """The symbol that a uniform number stands for in the softmax of scores, by its cumulative distribution.

    Args:
        scores: ``(V,)``; -inf is never drawn.
        weights: From :func:`weights_for`, of the dtype of the scores.
        u: From zero to less than one.

    Returns:
        An index of probability above zero; -1 where there is none, or some score is NaN or +inf.
    """
    total = _weigh(scores, scores.dtype.type(0), weights)
    if not LIGHT < total < HEAVY:
        top = scores.max()
        if not math.isfinite(top):
            return -1
        total = _weigh(scores, top, weights)
    mark, below, start = u * total, 0.0, 0
    after = _block(weights, 0)
    while after <= mark and start + BLOCK < weights.size:
        start += BLOCK
        below, after = after, after + _block(weights, start)
    found = -1
    for v in range(start, start + BLOCK):
        below += float(weights[v])
        if weights[v] > 0:
            found = v
            if below > mark:
                return found
    # One number after the other, a block may sum to a little less: then it is the last of it.
    return found


@njit(fastmath=EXACT)
def _weigh(scores: Array, shift: float, weights: Array) -> float:
    """Exponentials of the scores less a shift, and their sum."""
    for v in range(scores.size):
        weights[v] = kernels.exp(scores[v] - shift)
    total = 0.0
    for start in range(0, weights.size, BLOCK):
        total += _block(weights, start)
    return total


@njit(fastmath=EXACT, inline=True)
def _block(w: Array, n: int) -> float:
    """The sum of a block of weights, in float64 and by halves, which wait less for each other."""
    first = (float(w[n]) + float(w[n + 1])) + (float(w[n + 2]) + float(w[n + 3]))
    return first + ((float(w[n + 4]) + float(w[n + 5])) + (float(w[n + 6]) + float(w[n + 7])))
