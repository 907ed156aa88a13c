"""The error function, a call into the C library per element, with its accuracy."""

from __future__ import annotations

import math
from typing import Any

from zoo.kernels.jit import njit


def _py_erf(x: Any) -> Any:
    return type(x)(math.erf(x))


@njit(inline=True, python_fallback=_py_erf)
def erf(x: float) -> float:
    """The error function of a float32 or float64 scalar."""
    return math.erf(x)
