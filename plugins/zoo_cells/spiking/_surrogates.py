"""The surrogate gradients of a threshold that spiking cells offer as an option."""

from __future__ import annotations

SURROGATES = (
    "arctan",
    "boxcar",
    "double_gaussian",
    "exponential",
    "fast_sigmoid",
    "sigmoid",
    "straight_through",
    "triangle",
)
