"""Functions for a ``step`` that NumPy lacks: gates, normalisation and others.

Each works on NumPy arrays, and on the symbolic arrays with which zoo traces a ``step``. Axes are those of one
sequence of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo import kernels
from zoo.base.names import did_you_mean
from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.numpy_functions import expm as compiled_expm
from zoo.compiler.frontend.symbolic import SymbolicArray, SymbolicLength, apply_elementwise
from zoo.compiler.frontend.value_names import name_calls
from zoo.compiler.ir.elementwise_ops import SHIFT, STOP_GRADIENT
from zoo.compiler.ir.op_table import OPS
from zoo.compiler.ir.structural_ops import EYE
from zoo.errors import UsageError

Array = Any

__all__ = [
    "cayley",
    "cumax",
    "cumsum",
    "erf",
    "exp",
    "exp_diff",
    "expm",
    "eye",
    "gelu",
    "hard_sigmoid",
    "heaviside",
    "layer_norm",
    "leaky_relu",
    "log",
    "log_sigmoid",
    "outer",
    "relu",
    "rms_norm",
    "roll",
    "short_convolution",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "stop_gradient",
    "tanh",
    "top_k",
]


def _operation(name: str, *operands: Array) -> Array:
    """Apply an operation of the table to arrays or symbols."""
    if any(isinstance(operand, SymbolicArray | SymbolicLength) for operand in operands):
        return apply_elementwise(name, *operands)
    return OPS[name].numpy(*operands)


def eye(n: Any) -> Array:
    """The identity matrix ``(n, n)``, for ``n`` an integer or a length such as ``h.shape[0]``."""
    if isinstance(n, SymbolicLength):
        return SymbolicArray(n.graph.node(EYE, attr=n.dim, shape=(n.dim, n.dim)))
    return np.eye(n)


def expm(a: Array) -> Array:
    """The exponential of a square matrix of parameters, computed once for a batch.

    It is orthogonal for a skew-symmetric matrix, ``zoo.expm(self.A - self.A.T)`` (Lezcano-Casado &
    Martínez-Rubio 2019, https://arxiv.org/abs/1901.08428). A result that overflows is infinite or NaN. The
    result is NaN for a matrix so large that no digit is left, from a norm of 4.5e15 on.

    Raises:
        UsageError: if it is not a square matrix.
    """
    if isinstance(a, SymbolicArray | Complex):
        return compiled_expm(a)
    a = _square_matrix("expm", a, "fiu", "real numbers")
    out = np.empty(a.shape, a.dtype if a.dtype.kind == "f" else float)
    with kernels.pure_python():
        kernels.expm(a, out)
    return out


def cayley(a: Array) -> Array:
    """The Cayley map ``inv(I + a) @ (I - a)`` of a square matrix of parameters, computed once for a batch.

    It is orthogonal for a skew-symmetric matrix, ``zoo.cayley(self.A - self.A.T)`` (Helfrich et al. 2018,
    https://arxiv.org/abs/1707.09520), for which ``I + a`` is never singular. For a singular ``I + a``
    compiled kernels return NaN, plain NumPy raises ``LinAlgError``.

    Raises:
        UsageError: if it is not a square matrix.
        LinAlgError: if ``I + a`` is singular, on NumPy arrays.
    """
    if isinstance(a, SymbolicArray | Complex):
        identity = eye(a.shape[0])
    else:
        a = _square_matrix("cayley", a, "fiuc", "numbers")
        identity = np.eye(len(a), dtype=a.dtype)
    return np.linalg.solve(identity + a, identity - a)


def _square_matrix(name: str, a: Any, kinds: str, entries: str) -> Array:
    a = np.asarray(a)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.dtype.kind not in kinds:
        raise UsageError(
            f"{name}: found an array of shape {a.shape} and dtype {a.dtype}; expected one square matrix of "
            f"{entries}."
        )
    return a


def exp(x: Array) -> Array:
    """The exponential function."""
    return _operation("exp", x)


def exp_diff(x: Array, y: Array) -> Array:
    """``exp(x - y)``, in kernels as if the difference were not rounded: for a softmax of your own."""
    return _operation("exp_diff", x, y)


def log(x: Array) -> Array:
    """The natural logarithm."""
    return _operation("log", x)


def sqrt(x: Array) -> Array:
    """The square root."""
    return _operation("sqrt", x)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return _operation("tanh", x)


def sigmoid(x: Array) -> Array:
    """The logistic function ``1 / (1 + exp(-x))``, without overflow."""
    return _operation("sigmoid", x)


def hard_sigmoid(x: Array) -> Array:
    """``clip(x / 6 + 1 / 2, 0, 1)``, the form of Howard et al. 2019, https://arxiv.org/abs/1905.02244."""
    return np.minimum(np.maximum(x / 6 + 0.5, 0.0), 1.0)


def relu(x: Array) -> Array:
    """``max(x, 0)``, with derivative zero at zero; NaN stays NaN."""
    return np.where(x <= 0, 0.0, x)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """``x`` where it is positive, ``slope * x`` elsewhere."""
    return np.where(x > 0, x, slope * x)


def silu(x: Array) -> Array:
    """``x * sigmoid(x)`` (Elfwing et al. 2017, https://arxiv.org/abs/1702.03118)."""
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    """The Gaussian error linear unit in its tanh form.

    As in Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415.
    """
    near = np.minimum(np.maximum(x, -30.0), 30.0)  # beyond, tanh is one, and a cube might overflow
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (near + 0.044715 * near * near * near)))


def erf(x: Array) -> Array:
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t * t)`` from 0 to x.

    The exact Gaussian error linear unit is ``0.5 * x * (1 + zoo.erf(x / math.sqrt(2)))``.
    """
    return _operation("erf", x)


def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``, without overflow."""
    return _operation("softplus", x)


def log_sigmoid(x: Array) -> Array:
    """The logarithm of :func:`sigmoid`, exact where the sigmoid itself would vanish."""
    return -softplus(-x)


def softmax(x: Array, axis: int = -1) -> Array:
    """``exp(x)`` divided by its sum along an axis, without overflow."""
    e = exp_diff(x, _shift(np.max(x, axis=axis, keepdims=True)))
    return e / np.sum(e, axis=axis, keepdims=True)


def _shift(x: Array) -> Array:
    """``x`` as a shift on which the result does not depend, so that no gradient flows."""
    return (
        SymbolicArray(x.graph.node(STOP_GRADIENT, (x.node,), SHIFT, x.dims))
        if isinstance(x, SymbolicArray)
        else x
    )


def layer_norm(x: Array, axis: int = -1, eps: float = 1e-5) -> Array:
    """Normalise to mean zero and variance one along an axis (Ba et al. 2016, https://arxiv.org/abs/1607.06450).

    Gain and shift belong to the cell: ``zoo.layer_norm(x) * self.gain + self.shift``.
    """
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + eps)


def rms_norm(x: Array, axis: int = -1, eps: float = 1e-5) -> Array:
    """Normalise to mean square one along an axis (Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467).

    The gain belongs to the cell or the block: ``zoo.rms_norm(x) * self.gain``.
    """
    return x / np.sqrt(np.mean(x * x, axis=axis, keepdims=True) + eps)


def short_convolution(x: Array, past: Array, taps: Array) -> tuple[Array, Array]:
    """Convolve each feature with its last values in time, in one step: the output and the new ``past``.

    Add a bias and a nonlinearity yourself. Declare ``past`` as ``zoo.State("width-1", ...)`` and ``taps`` as
    ``zoo.Param("width", ...)``.

    Args:
        x: The features of this step, ``(n,)``.
        past: The features of the last ``width - 1`` steps, ``(width-1, n)``, the oldest first.
        taps: The weights of the steps, ``(width, n)``; the last row is the weight of ``x``.
    """
    window = np.concatenate([past, x[None]])
    return np.sum(window * taps, axis=0), window[1:]


def cumsum(x: Array, axis: int = -1) -> Array:
    """Running sum along an axis."""
    return np.cumsum(x, axis=axis)


def cumax(x: Array, axis: int = -1) -> Array:
    """Running sum of the softmax: a soft step from zero to one (Shen et al. 2018, https://arxiv.org/abs/1810.09536)."""
    return cumsum(softmax(x, axis), axis)


def outer(a: Array, b: Array) -> Array:
    """``a[..., i] * b[..., j]``: the outer product of the last axes, other axes side by side."""
    return a[..., :, None] * b[..., None, :]


def roll(x: Array, shift: int, axis: int = -1) -> Array:
    """Shift the entries by ``shift`` positions along an axis, cyclically."""
    return np.roll(x, shift, axis=axis)


def split(x: Array, parts: int, axis: int = -1) -> Any:
    """Split into ``parts`` arrays of equal size along an axis: the gates of ``x @ W``."""
    return np.split(x, parts, axis=axis)


def top_k(x: Array, k: Any, axis: int = -1) -> Array:
    """Mark the ``k`` largest entries along an axis, for ``np.where(zoo.top_k(x, k), x, 0.0)``.

    Of equal entries the first are marked. NaN is always marked, in addition to the ``k``, so that it reaches
    the loss. If the axis is shorter than ``k``, all entries are marked. A mask has no derivative: gradients
    flow through what is chosen, not through the choice. The time grows with the square of the length of the
    axis.

    Args:
        x: The array.
        k: The count: an integer, an option, or a length such as ``h.shape[-1] // 4``.
        axis: The axis.

    Raises:
        UsageError: if ``k`` is neither, or below one.
    """
    is_integer = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if not isinstance(k, SymbolicLength) and not (is_integer and k >= 1):
        raise UsageError(
            f"top_k: k is {k!r}; expected a positive integer, or a length such as h.shape[-1] // 4."
        )
    x = np.moveaxis(x, axis, -1)
    position = np.cumsum(np.ones_like(x), axis=-1)
    ahead = x[..., None, :] > x[..., :, None]
    equal = x[..., None, :] == x[..., :, None]
    before = position[..., None, :] < position[..., :, None]
    return np.moveaxis(np.sum(ahead | (equal & before), axis=-1) < k, -1, axis)


def stop_gradient(x: Array) -> Array:
    """Return ``x`` without a gradient."""
    if isinstance(x, Complex):
        return Complex(apply_elementwise("stop_gradient", x.real), apply_elementwise("stop_gradient", x.imag))
    return _operation("stop_gradient", x)


_SURROGATES: dict[str, Callable[[Array, float], Array]] = {
    "fast_sigmoid": lambda x, slope: 1 / ((1 + slope * abs(x)) * (1 + slope * abs(x))),
    "sigmoid": lambda x, slope: slope * sigmoid(slope * x) * (1 - sigmoid(slope * x)),
    "arctan": lambda x, slope: 0.5 * slope / (1 + (0.5 * math.pi * slope * x) * (0.5 * math.pi * slope * x)),
    "triangle": lambda x, slope: relu(1 - slope * abs(x)),
    "straight_through": lambda x, slope: np.full_like(x, slope),
    "boxcar": lambda x, slope: np.where(abs(x) <= 0.5 / slope, 1.0, 0.0),
    "exponential": lambda x, slope: 0.5 * slope * exp(-slope * abs(x)),
    "double_gaussian": lambda x, slope: 1.15 * _gaussian(x, slope) - 0.3 * _gaussian(x, slope / 6),
}


def _gaussian(x: Array, slope: float) -> Array:
    return slope / math.sqrt(2 * math.pi) * exp(-0.5 * (slope * x) * (slope * x))


def heaviside(x: Array, surrogate: str = "fast_sigmoid", slope: float = 1.0, scale: float = 1.0) -> Array:
    """One where x is at least zero, zero elsewhere, with a surrogate gradient.

    Args:
        x: The array.
        surrogate: ``"fast_sigmoid"``, ``1 / (1 + slope |x|)²`` (Zenke & Ganguli 2018,
            https://arxiv.org/abs/1705.11146); ``"sigmoid"``, the derivative of ``sigmoid(slope x)``;
            ``"arctan"``, ``(slope / 2) / (1 + (π slope x / 2)²)``, with slope 2 that of Fang et al. 2021,
            https://arxiv.org/abs/2007.05785; ``"triangle"``, ``max(0, 1 - slope |x|)`` (Bellec et al. 2018,
            https://arxiv.org/abs/1803.09574); ``"straight_through"``, ``slope`` (Bengio et al. 2013,
            https://arxiv.org/abs/1308.3432); ``"boxcar"``, one within ``1 / (2 slope)`` of zero (Bittar &
            Garner 2022, https://doi.org/10.3389/fnins.2022.865897); ``"exponential"``, ``(slope / 2)
            exp(-slope |x|)`` (Baronig et al. 2025, https://arxiv.org/abs/2408.07517); ``"double_gaussian"``,
            ``1.15 N(x; 1 / slope) - 0.3 N(x; 6 / slope)`` with normal densities N of these standard
            deviations (Higuchi et al. 2024, https://arxiv.org/abs/2402.14603).
        slope: The sharpness of the surrogate.
        scale: A factor of the surrogate.

    Raises:
        UsageError: for an unknown surrogate.
    """
    if surrogate not in _SURROGATES:
        raise UsageError(
            f"heaviside: surrogate is {surrogate!r}; expected one of {', '.join(_SURROGATES)}."
            f"{did_you_mean(surrogate, _SURROGATES)}"
        )
    if not isinstance(x, SymbolicArray):
        return np.heaviside(x, 1.0)
    step = np.where(x >= 0, 1.0, np.where(x < 0, 0.0, x))  # NaN stays NaN
    derivative = _SURROGATES[surrogate](x, slope)
    return apply_elementwise("with_derivative", step, x, derivative if scale == 1 else scale * derivative)


name_calls({name: globals()[name] for name in __all__})
