"""The checks of arguments that other modules share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.arguments import is_number


@pytest.mark.parametrize("value", [0, -3, 2.5, 10**300, np.float64(1)])
def test_finite_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [True, math.nan, math.inf, -math.inf, 10**400, "1", None, 1j, np.ones(1)])
def test_everything_else(value):
    assert not is_number(value)
