"""Ridge regression from sums over batches, for a readout that is fitted to the outputs of fixed layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zoo.array_types import Array

_BLOCK_ROWS = 4096
"""Rows that are copied to float64 at once."""


@dataclass(frozen=True)
class ReadoutFit:
    """The result of :meth:`zoo.SequenceModel.fit_readout`.

    Attributes:
        ridge: The penalty of the readout.
        validation_losses: The loss on the validation data with each penalty; empty without validation.
    """

    ridge: float
    validation_losses: Mapping[float, float] = field(default_factory=dict)


class RidgeRegression:
    """Weighted ridge regression of V targets on F features, whose rows arrive in batches.

    It minimises ``sum(w * |a W + b - t|^2) + ridge * |W|^2`` over all rows, with features a, targets t and
    row weights w. The bias b has no penalty. Only sums of products are stored, ``(F, F)`` and ``(F, V)`` in
    float64, so the number of rows is unlimited.

    Args:
        features: F.
        targets: V.
    """

    def __init__(self, features: int, targets: int) -> None:
        self._size = features
        # Sums of the rows of [a - origin, 1, t], multiplied by its transpose. The origin, a row, is
        # subtracted since the variance would otherwise be a difference of large numbers.
        self._products = np.zeros((features + 1, features + 1 + targets))
        self._origin: Array | None = None

    def add(self, features: Array, targets: Array, weights: Array | None = None) -> None:
        """Add rows.

        Args:
            features: ``(N, F)``.
            targets: ``(N, V)``.
            weights: ``(N,)``, zero or more; None if all are 1.
        """
        if not len(features):
            return
        origin = self._origin = features[0].astype(np.float64) if self._origin is None else self._origin
        for first in range(0, len(features), _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            rows = np.empty((len(features[block]), self._products.shape[1]))
            np.subtract(features[block], origin, out=rows[:, : self._size])
            rows[:, self._size] = 1.0
            rows[:, self._size + 1 :] = targets[block]
            left = rows[:, : self._size + 1]
            self._products += (left if weights is None else left * weights[block, None]).T @ rows

    @property
    def is_finite(self) -> bool:
        """Whether no sum is NaN or infinite."""
        return bool(np.isfinite(self._products).all())

    def solve(self, ridge: float) -> tuple[Array, Array]:
        """The weights ``(F, V)`` and the bias ``(V,)`` in float64.

        Directions in which the features do not vary get no weight, so a ridge of zero is allowed.

        Args:
            ridge: The penalty, zero or more.

        Raises:
            ValueError: if no row has a weight above zero.
        """
        size, total = self._size, self._products[self._size, self._size]
        if self._origin is None or not total > 0:
            raise ValueError("no row has a weight above zero")
        means = self._products[size] / total
        centred = self._products[:size] - np.outer(self._products[:size, size], means)
        covariance, cross = centred[:, :size], centred[:, size + 1 :]
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        # Below this size, a sum of squares is rounding error.
        varies = values > max(float(values[-1]), 0.0) * size * np.finfo(np.float64).eps
        scale = np.where(varies, 1 / np.where(varies, values + ridge, 1.0), 0.0)
        weights = vectors @ (scale[:, None] * (vectors.T @ cross))
        bias: Array = means[size + 1 :] - (self._origin + means[:size]) @ weights
        return weights, bias
