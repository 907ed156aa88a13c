"""Permuted digits: which digit is it, seen pixel by pixel in a random order, the same for all images?

Neighbouring pixels are then far apart in time. See :mod:`zoo_tasks._pixel_digits` for the images and their
source. Without memory only the last pixel is visible.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_tasks._pixel_digits import CARD, PIXELS, PixelDigits


class PermutedDigits(PixelDigits):
    """Which handwritten digit was seen, pixel by pixel in an order that is random and always the same.

    Inputs are the brightness of one pixel at a time, from 0 to 1; the answer is asked for after the last.
    """

    card = dataclasses.replace(CARD, variant="sequential digits, the pixels permuted")
    permutation = zoo.Option(0, help="number of the order", low=0)

    def order(self) -> np.ndarray[Any, Any]:
        """In which order the pixels are read, ``(64,)``."""
        return zoo.TaskRng("permuted digits", self.permutation).permutations(PIXELS)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(PermutedDigits)
