"""Ridge regression from sums over batches, for readouts on fixed layers and for baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_integer, as_number, dtype_and_shape
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.errors import UsageError

_BLOCK_ROWS = 4096
"""Rows that are copied to float64 at once."""

_MAX_SIZE = 2**16
"""Largest number of features or targets; the products of so many features take 34 GB."""


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

    >>> regression = RidgeRegression(features=1, targets=1)
    >>> regression.add([[0.0], [1.0]], [[1.0], [3.0]])
    >>> regression.add([[2.0]], [[5.0]])
    >>> weights, bias = regression.solve(ridge=0.0)
    >>> weights.round(6), bias.round(6)
    (array([[2.]]), array([1.]))

    It minimises ``sum(w * |a W + b - t|^2) + ridge * |W|^2`` over all rows, with features a, targets t and
    row weights w. The bias b has no penalty. Only sums of products are stored, ``(F, F)`` and ``(F, V)`` in
    float64, so the number of rows is unlimited.

    Args:
        features: F.
        targets: V.

    Raises:
        UsageError: if one is not an integer from 1 to 65,536.
    """

    def __init__(self, features: int, targets: int) -> None:
        features = as_integer(features, "RidgeRegression: features", 1, _MAX_SIZE)
        targets = as_integer(targets, "RidgeRegression: targets", 1, _MAX_SIZE)
        self._size = features
        # Sums of the rows of [a - origin, 1, t], multiplied by its transpose. The origin, a row, is
        # subtracted since the variance would otherwise be a difference of large numbers.
        self._products = np.zeros((features + 1, features + 1 + targets))
        self._origin: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(F, V)``, the numbers of features and targets."""
        return self._size, self._products.shape[1] - self._size - 1

    def add(self, features: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Add rows.

        Args:
            features: ``(N, F)``.
            targets: ``(N, V)``.
            weights: ``(N,)``, zero or more; None if all are 1.

        Raises:
            UsageError: if an argument has another shape, or is not of real numbers.
        """
        features = _numbers(features, "features", (None, self.shape[0]))
        targets = _numbers(targets, "targets", (len(features), self.shape[1]))
        if weights is not None:
            weights = _numbers(weights, "weights", (len(features),))
            if not (np.isfinite(weights) & (weights >= 0)).all():
                raise UsageError(
                    f"RidgeRegression: weights run from {weights.min()} to {weights.max()}; expected finite "
                    f"numbers, zero or more."
                )
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
            UsageError: if the penalty is negative, no row has a weight above zero, or a sum of products is
                NaN or infinite.
        """
        if as_number(ridge, "RidgeRegression: ridge", "a number, zero or more") < 0:
            raise UsageError(f"RidgeRegression: ridge is {ridge}; expected a number, zero or more.")
        if not self.is_finite:
            raise UsageError(
                "RidgeRegression: features or targets are NaN or infinite, or too large; scale them, or "
                "leave these rows out."
            )
        size, total = self._size, self._products[self._size, self._size]
        if self._origin is None or not total > 0:
            raise UsageError("RidgeRegression: no row has a weight above zero; add rows first.")
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


def _numbers(values: ArrayLike, name: str, shape: tuple[int | None, ...]) -> Array:
    """Real numbers of a shape, in which None stands for any length.

    Raises:
        UsageError: if they are others.
    """
    array = as_array(values, f"RidgeRegression: {name}")
    fits = array.ndim == len(shape) and all(
        size in (None, length) for size, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype.kind not in "fiu" or not fits:
        letters = ", ".join("N" if size is None else str(size) for size in shape)
        expected = f"({letters}{',' * (len(shape) == 1)})"
        raise UsageError(
            f"RidgeRegression: {name} are {dtype_and_shape(array)}; expected numbers of the shape {expected}."
        )
    return array
