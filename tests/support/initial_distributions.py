"""Distributions of initial values: checks of many draws of one array, ``(draws, *shape)``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Distribution = Callable[[Array], Any]
"""Raises AssertionError where the draws are not as it says."""

# The Kolmogorov-Smirnov distance times the root of the number of draws: beyond 2.2 once in 8,000 correct
# distributions.
FAR = 2.2


def constant(value: float) -> Distribution:
    """One number everywhere."""

    def distribution(draws: Array) -> None:
        np.testing.assert_allclose(draws, value, rtol=1e-12, atol=1e-12)

    return distribution


def exact(expected: Array, tolerance: float = 1e-11) -> Distribution:
    """The same array in every draw."""

    def distribution(draws: Array) -> None:
        np.testing.assert_allclose(
            draws, np.broadcast_to(expected, draws.shape), rtol=tolerance, atol=tolerance
        )

    return distribution


def uniform(low: float, high: float) -> Distribution:
    """Uniform between two numbers."""
    variance = (high - low) ** 2 / 12
    return _distributed(lambda v: np.clip((v - low) / (high - low), 0, 1), (low, high), variance, 1.8)


def normal(std: float) -> Distribution:
    """Normal around zero."""
    erf = np.vectorize(math.erf)
    return _distributed(lambda v: (1 + erf(v / (std * math.sqrt(2)))) / 2, (-7 * std, 7 * std), std**2, 3.0)


def truncated_normal(std: float) -> Distribution:
    """Normal around zero without draws beyond two deviations. ``std`` is the deviation of the rest."""
    erf = np.vectorize(math.erf)
    whole = std / 0.8796256610342398  # deviation of a standard normal number within two of zero
    inside = math.erf(math.sqrt(2))

    def cumulative(v: Array) -> Array:
        return np.clip((1 + erf(v / (whole * math.sqrt(2))) / inside) / 2, 0, 1)

    return _distributed(cumulative, (-2 * whole, 2 * whole), std**2, 2.37)


def _distributed(
    cumulative: Callable[[Array], Array], bounds: tuple[float, float], variance: float, kurtosis: float
) -> Distribution:
    low, high = bounds
    middle = (low + high) / 2

    def distribution(draws: Array) -> None:
        assert not np.iscomplexobj(draws)
        values = np.sort(draws, axis=None)
        # Scale: the distance below is blind to a wrong one of a few per cent.
        spread = float(np.mean((values - middle) ** 2)) / variance
        assert abs(spread - 1) < 5 * math.sqrt((kurtosis - 1) / values.size), (spread, values.size)
        # The distance cannot tell 16 zeros from draws around zero. Single precision has few equal draws.
        assert np.unique(values).size > 0.9 * values.size
        margin = 1e-9 * max(1.0, abs(low), abs(high))
        assert low - margin <= values[0], (low, values[0])
        assert values[-1] <= high + margin, (values[-1], high)
        values = values[:: max(1, values.size // 20_000)]  # what is left out decides nothing
        below = cumulative(values)
        steps = np.arange(values.size + 1) / values.size
        distance = max(np.abs(below - steps[1:]).max(), np.abs(below - steps[:-1]).max())
        assert distance * math.sqrt(values.size) < FAR, (distance, values.size)

    return distribution


def through(function: Callable[[Array], Array], distribution: Distribution) -> Distribution:
    """A distribution of a function of each number."""
    return lambda draws: distribution(function(draws))


def each(distribution: Distribution) -> Distribution:
    """A distribution of the real parts and of the imaginary ones."""

    def both(draws: Array) -> None:
        assert np.iscomplexobj(draws)
        distribution(draws.real)
        distribution(draws.imag)

    return both


def columns(*distributions: Distribution) -> Distribution:
    """A distribution for each of as many equal parts of the last axis."""

    def distribution(draws: Array) -> None:
        for part, one in zip(np.split(draws, len(distributions), axis=-1), distributions, strict=True):
            one(part)

    return distribution


def orthonormal(gain: float = 1.0) -> Distribution:
    """Rows or columns, whichever are fewer, of one length and at right angles."""

    def distribution(draws: Array) -> None:
        for matrix in draws:
            rows, cols = matrix.shape
            gram = matrix @ matrix.T if rows <= cols else matrix.T @ matrix
            np.testing.assert_allclose(gram, gain**2 * np.eye(min(rows, cols)), atol=1e-9)
        assert len(draws) < 2 or not np.array_equal(draws[0], draws[1])

    return distribution


def identity(scale: float) -> Distribution:
    """A multiple of the identity."""

    def distribution(draws: Array) -> None:
        exact(scale * np.eye(draws.shape[-1]))(draws)

    return distribution


def spectral_radius(radius: float) -> Distribution:
    """Uniform around zero, scaled to a largest eigenvalue."""

    def distribution(draws: Array) -> None:
        for matrix in draws:
            np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), radius, rtol=1e-9)
            limit = np.abs(matrix).max()
            uniform(-1, 1)(matrix / limit)

    return distribution
