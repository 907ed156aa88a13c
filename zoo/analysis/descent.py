"""Least squares with an exact Jacobian, from many starts at once: damped Newton steps.

Levenberg and Marquardt's method (J. J. Moré 1978, "The Levenberg-Marquardt Algorithm: Implementation and
Theory", https://doi.org/10.1007/BFb0067700), in plain NumPy: SciPy's would take one start at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.layers.layer import Array

Residual = Callable[[Array], Array]
"""From points ``(N, S)`` to what should be zero there, ``(N, S)``."""

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-12, 1e12
EASED, HARDENED = 0.2, 4.0


def descend(
    points: Array, residual: Residual, jacobian: Callable[[Array], Array], tolerance: float, most_steps: int
) -> tuple[Array, Array]:
    """Minimise ``sum(residual ** 2)`` from each of some points.

    A point is done when the norm of its residual is within the tolerance, or when no step makes it smaller:
    at a minimum that is no zero.

    Args:
        points: Where to start, ``(N, S)``.
        residual: What should be zero.
        jacobian: Its derivative, ``(N, S, S)``.
        tolerance: Norm of the residual that is small enough.
        most_steps: Most steps of any point.

    Returns:
        The points and the norms of their residuals, ``(N, S)`` and ``(N,)``; infinite where a start was no
        good.
    """
    points = points.copy()
    found = residual(points)
    norms = _norms(found)
    damping = np.full(len(points), FIRST_DAMPING)
    for _ in range(most_steps):
        active = np.flatnonzero((norms > tolerance) & np.isfinite(norms) & (damping < MOST_DAMPING))
        if active.size == 0:
            break
        tried = points[active] + _steps(jacobian(points[active]), found[active], damping[active])
        values = residual(tried)
        is_better = _norms(values) < norms[active]
        better, worse = active[is_better], active[~is_better]
        points[better], found[better] = tried[is_better], values[is_better]
        norms[better] = _norms(found[better])
        damping[better] = np.maximum(damping[better] * EASED, LEAST_DAMPING)
        damping[worse] *= HARDENED
    return points, norms


def _norms(values: Array) -> Array:
    norms = np.linalg.norm(values, axis=1)
    return np.where(np.isfinite(norms), norms, np.inf)


def _steps(jacobians: Array, values: Array, damping: Array) -> Array:
    """Steps ``-(J'J + damping I)^-1 J' r``, where damping is relative to the size of J."""
    transposed = np.swapaxes(jacobians, 1, 2)
    squares = transposed @ jacobians
    scale = np.trace(squares, axis1=1, axis2=2) / squares.shape[1]
    squares += (damping * np.maximum(scale, 1e-300))[:, None, None] * np.eye(squares.shape[1])
    downhill = (transposed @ values[..., None])[..., 0]
    is_good = np.isfinite(squares).all(axis=(1, 2)) & np.isfinite(downhill).all(axis=1)
    steps = np.full_like(values, np.nan)
    steps[is_good] = -np.linalg.solve(squares[is_good], downhill[is_good][..., None])[..., 0]
    return steps
