"""Building blocks of the decoder loop: sample one sequence, symbol by symbol, without allocating arrays.

A step is a forward pass with a batch of one and no tape, followed by sampling. At 1 us a symbol everything
besides the matrix products counts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numpy.typing import DTypeLike

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import EXACT, njit

# Weights are summed in blocks of this size. Their array is a whole number of blocks.
BLOCK = 8

# If the sum of exponentials lies beyond these, it is computed again with the largest logit subtracted.
MIN_MASS, MAX_MASS = 1e-18, 1e18


@intrinsic
def strip_meminfo(_typing: Any, arrays: Any) -> Any:
    """The same arrays, in nested tuples, without owners, so that their references are not counted."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _strip(context, builder, arrays, args[0])

    return arrays(arrays), emit


def _strip(context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> Any:
    """Clear the owners of the arrays in nested tuples."""
    if isinstance(kind, types.BaseTuple):
        kinds: Any = kind
        parts = [
            _strip(context, builder, each, builder.extract_value(value, n)) for n, each in enumerate(kinds)
        ]
        return context.make_tuple(builder, kind, parts)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo, array.parent = array.meminfo.type(None), array.parent.type(None)
    return array._getvalue()


def _py_unowned(arrays: Any) -> Any:
    return arrays


# Reference counting is atomic and waits for pending writes: a dozen operations a step take 0.2 us.
@njit(inline=True, python_fallback=_py_unowned)
def unowned(arrays: Any) -> Any:
    """The same arrays, in nested tuples, uncounted: the caller keeps them alive, and none may be returned."""
    return strip_meminfo(arrays)


@njit(shared=True)
def prepare_input_weights(x: Array, w: Array) -> Array:
    """The weights ``w (I, N)`` for :func:`project_step`: w itself for tokens, its panels for floats."""
    if x.ndim == 2:
        return w
    return kernels.pack(w)


@njit(inline=True)
def project_step(x: Array, panels: Array, b: Array, out: Array) -> None:
    """``out = x w + b`` for one row.

    Args:
        x: One token ``(1, 1)``, or floats ``(1, 1, I)``.
        panels: From :func:`prepare_input_weights`.
        b: Bias ``(N,)``.
        out: The result ``(1, N)``.
    """
    if x.ndim == 2:
        row, source = kernels.row(out, 0), kernels.row(panels, x[0, 0])
        for n in range(row.size):
            row[n] = source[n] + b[n]
    else:
        kernels.affine(kernels.as_rows(x), panels, b, out)


@njit(inline=True)
def as_scores(logits: Array) -> Array:
    """The single row of ``logits (1, V)`` as a new float64 vector, for samplers."""
    scores = np.empty(logits.shape[1], np.float64)
    for v in range(scores.size):
        scores[v] = logits[0, v]
    return scores


@njit
def is_valid_logits(scores: Array, size: int) -> bool:
    """Whether there are ``size`` scores, none is NaN or +inf, and not all are -inf."""
    is_any_finite = False
    for score in scores:
        if not score < math.inf:
            return False
        is_any_finite |= score > -math.inf
    return scores.size == size and is_any_finite


def sampling_buffer(size: int, dtype: DTypeLike) -> Array:
    """The buffer of :func:`sample_softmax` for ``size`` symbols."""
    return np.zeros(-(-size // BLOCK) * BLOCK, dtype)


@njit(fastmath=EXACT, inline=True)
def sample_softmax(scores: Array, weights: Array, u: float) -> int:
    """Sample from the softmax of scores by inverting its cumulative distribution at ``u``.

    Args:
        scores: ``(V,)``; -inf is never sampled.
        weights: From :func:`sampling_buffer`, of the dtype of the scores.
        u: In [0, 1).

    Returns:
        An index of positive probability; -1 if there is none, or if a score is NaN or +inf.
    """
    total = _exponentiate(scores, scores.dtype.type(0), weights)
    if not MIN_MASS < total < MAX_MASS:
        total = _exponentiate(scores, kernels.row_max(scores), weights)
        if math.isnan(total):  # there is a NaN or +inf, or all scores are -inf
            return -1
    threshold, cumulative, start = u * total, 0.0, 0
    after = _block_sum(weights, 0)
    while after <= threshold and start + BLOCK < weights.size:
        start += BLOCK
        cumulative, after = after, after + _block_sum(weights, start)
    symbol = -1
    for v in range(start, start + BLOCK):
        cumulative += float(weights[v])
        if weights[v] > 0:
            symbol = v
            if cumulative > threshold:
                return symbol
    # Summed in order, a block may add up to a little less: then its last symbol is sampled.
    return symbol


@njit(fastmath=EXACT)
def _exponentiate(scores: Array, shift: float, weights: Array) -> float:
    """Write ``exp(scores - shift)`` to ``weights``; return their sum."""
    for v in range(scores.size):
        weights[v] = kernels.exp(scores[v] - shift)
    total = 0.0
    for start in range(0, weights.size, BLOCK):
        total += _block_sum(weights, start)
    return total


@njit(fastmath=EXACT, inline=True)
def _block_sum(w: Array, n: int) -> float:
    """The sum of a block of weights, in float64 and pairwise, with a short dependency chain."""
    first = (float(w[n]) + float(w[n + 1])) + (float(w[n + 2]) + float(w[n + 3]))
    return first + ((float(w[n + 4]) + float(w[n + 5])) + (float(w[n + 6]) + float(w[n + 7])))
