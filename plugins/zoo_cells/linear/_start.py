"""How cells start that choose the length of their step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Between these lengths steps start, in Mamba and in all that took it over from there.
SHORTEST, LONGEST = 0.001, 0.1


def steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Biases whose softplus is uniform in its logarithm, from 0.001 to 0.1."""
    dt = np.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST), shape))
    return dt + np.log(-np.expm1(-dt))  # the inverse of softplus
