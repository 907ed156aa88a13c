"""Clipping of gradients, by their global norm and element by element.

Global norm: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
2013, https://arxiv.org/abs/1211.5063, Algorithm 1. The divisor is the norm (PyTorch's is the norm + 1e-6), so
a clipped gradient has exactly the requested norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zoo.arguments import is_number
from zoo.errors import UsageError
from zoo.kernels.jit import njit


@njit
def global_norm(
    grad: np.ndarray,  # (P,) float32 or float64
) -> float:
    """Euclidean norm, summed in float64; NaN if the gradient holds NaN."""
    total, top = 0.0, 0.0
    for i in range(grad.size):
        x = float(np.float64(grad[i]))  # float() alone stays float32 in compiled code
        total += x * x
    if total < np.inf or np.isnan(total):
        return math.sqrt(total)
    for i in range(grad.size):
        top = max(top, abs(float(np.float64(grad[i]))))
    if top == np.inf:
        return top
    total = 0.0  # float64 gradients beyond 1e154: their squares overflow, their norm does not
    for i in range(grad.size):
        x = float(np.float64(grad[i])) / top
        total += x * x
    return top * math.sqrt(total)


@njit
def scale_into(
    grad: np.ndarray,  # (P,)
    scale: float,
    out: np.ndarray,  # (P,)
) -> None:
    """Write the gradient times a number to ``out``."""
    factor = grad.dtype.type(scale)
    for i in range(grad.size):
        out[i] = grad[i] * factor


def clip_norm(grad: np.ndarray, limit: float) -> tuple[np.ndarray, float, bool]:
    """The gradient scaled to the norm ``limit`` if it is longer; its norm before; whether it was clipped.

    A norm of NaN is not clipped, and an infinite one leaves NaN where the gradient was infinite: neither
    becomes finite.

    Args:
        grad: Gradient ``(P,)``.
        limit: Largest norm.
    """
    norm = global_norm(grad)
    if not norm > limit:
        return grad, norm, False
    # NumPy allocates large arrays in huge pages. In a kernel, 26 million numbers took 56 ms instead of 9.
    new = np.empty_like(grad)
    scale_into(grad, limit / norm, new)
    return new, norm, True


@njit
def clip_value(
    grad: np.ndarray,  # (P,)
    limit: float,
) -> tuple[np.ndarray, float, bool]:
    """The gradient with every element clipped to [-limit, limit]; its norm before; whether any was outside.

    NaN stays NaN; infinity counts as a large number and is clipped.
    """
    top = grad.dtype.type(limit)
    count = 0
    new = np.empty_like(grad)
    for i in range(grad.size):
        g = grad[i]
        outside = abs(g) > top
        count += outside
        new[i] = math.copysign(top, g) if outside else g
    return new, global_norm(grad), count > 0


class Clipped(NamedTuple):
    """A gradient after clipping.

    Attributes:
        grad: The gradient ``(P,)``; the argument itself if there is no limit.
        norm: The norm before.
        clipped: Whether anything was clipped.
        clipped_norm: The norm after.
    """

    grad: np.ndarray
    norm: float
    clipped: bool
    clipped_norm: float


@dataclass(frozen=True)
class Clip:
    """Clipping of the gradient before the update: first each element, then the global norm.

    Args:
        norm: Largest global norm; None for no limit.
        value: Largest magnitude of an element; None for no limit.

    Raises:
        UsageError: if a limit is not a positive finite number.
    """

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("norm", "value"):
            limit = getattr(self, name)
            if limit is not None and not (is_number(limit) and limit > 0.0):
                raise UsageError(
                    f"clipping: {name} is {limit!r}; expected a positive finite number, or None for no limit."
                )

    def apply(self, grad: np.ndarray) -> Clipped:
        """Clip a gradient into a new array.

        Args:
            grad: Gradient ``(P,)``, float32 or float64.
        """
        norm_before, value_clipped = None, False
        if self.value is not None:
            grad, norm_before, value_clipped = clip_value(grad, float(self.value))
        if self.norm is None:
            after = global_norm(grad) if norm_before is None or value_clipped else norm_before
            before = after if norm_before is None else norm_before
            return Clipped(grad, float(before), bool(value_clipped), float(after))
        grad, norm, norm_clipped = clip_norm(grad, float(self.norm))
        before = norm if norm_before is None else norm_before
        # A gradient scaled to the limit has the limit as its norm: it need not be computed again.
        after = self.norm if norm_clipped else norm
        return Clipped(grad, float(before), bool(value_clipped or norm_clipped), float(after))
