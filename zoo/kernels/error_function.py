"""Functions that are calls into the C library: an element at a time, as exact as that is."""

from __future__ import annotations

import math
from typing import Any

from zoo.kernels.jit import njit


def _plain_erf(x: Any) -> Any:
    return type(x)(math.erf(x))


@njit(inline=True, twin=_plain_erf)
def erf(x: float) -> float:
    """The error function of a float32 or float64 scalar."""
    return math.erf(x)
