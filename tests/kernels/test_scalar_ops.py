"""Scalar functions of zoo.kernels: the largest number of a row."""

from __future__ import annotations

import numpy as np
import pytest

from zoo import kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 9])
def test_row_max_equals_numpy(dtype: str, size: int) -> None:
    """Also for infinities, and for a NaN of either sign at any index."""
    rng = np.random.default_rng(0)
    for special in (0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan):
        for index in range(size):
            row = (-rng.random(size) - 1).astype(dtype)
            row[index] = special
            np.testing.assert_array_equal(kernels.row_max(row), row.max())
