"""Discretisation of continuous diagonal systems, for S4D and S5."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any


def zero_order_hold(poles: Array, dt: Array) -> tuple[Array, Array]:
    """Zero-order hold of ``s' = poles * s + input`` over a step dt: the factors of s and of the input.

    They are ``exp(poles * dt)`` and ``(exp(poles * dt) - 1) / poles``. Steps are short, so the difference is
    computed without the subtraction, which in single precision would lose half the digits of the slowest
    poles.
    """
    rate, turn = poles.real * dt, poles.imag * dt
    growth, sine = np.exp(rate), np.sin(turn / 2)
    change = np.expm1(rate) - 2 * growth * sine * sine + 1j * (growth * np.sin(turn))
    return 1 + change, change / poles


def log_uniform_steps(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Uniform between the logarithms of ``dt_min`` and ``dt_max``."""
    return rng.uniform(math.log(cell.dt_min), math.log(cell.dt_max), shape)
