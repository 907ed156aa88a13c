"""Clipping of gradients, by their global norm and element by element.

Global norm: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
2013, https://arxiv.org/abs/1211.5063, Algorithm 1. The divisor is the norm (PyTorch's is the norm + 1e-6), so
a clipped gradient has the norm asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zoo.errors import UsageError
from zoo.kernels.jit import njit


@njit
def global_norm(
    grad: np.ndarray,  # (P,) float32 or float64
) -> float:
    """Euclidean norm, summed in float64; NaN if the gradient holds NaN."""
    total, top = 0.0, 0.0
    for i in range(grad.size):
        x = float(np.float64(grad[i]))  # float() alone leaves a float32 what it is, when compiled
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
def clip_norm(
    grad: np.ndarray,  # (P,)
    limit: float,
) -> tuple[np.ndarray, float, bool]:
    """The gradient, shortened to ``limit`` if it is longer; its norm before; whether it was shortened.

    A norm of NaN is not clipped, and an infinite one leaves NaN where the gradient was infinite: neither is
    ever turned into numbers that look healthy.
    """
    norm = global_norm(grad)
    clipped = norm > limit
    scale = grad.dtype.type(limit / norm if clipped else 1.0)
    new = np.empty_like(grad)
    for i in range(grad.size):
        new[i] = grad[i] * scale
    return new, norm, clipped


@njit
def clip_value(
    grad: np.ndarray,  # (P,)
    limit: float,
) -> tuple[np.ndarray, float, bool]:
    """The gradient with every element brought into [-limit, limit]; its norm before; whether any was outside.

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
        grad: The gradient ``(P,)``, which is the one given if there is no limit.
        norm: The norm that came in.
        clipped: Whether anything was clipped.
        left: The norm that is left.
    """

    grad: np.ndarray
    norm: float
    clipped: bool
    left: float


@dataclass(frozen=True)
class Clip:
    """What is done to a gradient before the optimizer sees it: first each element is clipped, then the whole.

    Args:
        norm: Largest global norm; None for no limit.
        value: Largest magnitude of an element; None for no limit.

    Raises:
        UsageError: if a limit is not a positive finite number.
    """

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that would stop the training or that mean nothing."""
        for name in ("norm", "value"):
            limit = getattr(self, name)
            number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
            if limit is not None and not (number and 0.0 < limit < math.inf):
                raise UsageError(
                    f"clipping: {name} is {limit!r}; expected a positive finite number, or None for no limit."
                )

    def apply(self, grad: np.ndarray) -> Clipped:
        """Clip a gradient, which is not written to.

        Args:
            grad: Gradient ``(P,)``, float32 or float64.
        """
        came, cut = None, False
        if self.value is not None:
            grad, came, cut = clip_value(grad, float(self.value))
        if self.norm is None:
            left = global_norm(grad) if came is None or cut else came
            return Clipped(grad, float(left if came is None else came), bool(cut), float(left))
        grad, norm, shortened = clip_norm(grad, float(self.norm))
        # What was shortened to the limit has it for its norm: there is no need to look again.
        left = self.norm if shortened else norm
        return Clipped(grad, float(norm if came is None else came), bool(cut or shortened), float(left))
