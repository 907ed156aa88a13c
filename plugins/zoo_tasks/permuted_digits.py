"""Permuted digits: classify an image that is read pixel by pixel in a fixed random order.

Neighbouring pixels are far apart in time. See :mod:`zoo_tasks._pixel_digits` for the images and their
source. The memoryless baseline uses only the last pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_tasks._pixel_digits import PIXELS, REFERENCE, PixelDigits


class PermutedDigits(PixelDigits):
    """The class of a handwritten digit that is read pixel by pixel in a fixed random order.

    The input is the brightness of one pixel, from 0 to 1. The target is at the last step.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="These are sequential digits with permuted pixels.",
        when_to_use="Use it next to digits to test memory without local structure: neighbouring pixels are "
        "far apart in time. Accuracies do not compare with published ones for permuted MNIST. The option "
        "permutation selects another order.",
    )
    permutation = zoo.Option(0, help="number of the order", low=0)

    def order(self) -> np.ndarray[Any, Any]:
        """The order in which the pixels are read, ``(64,)``."""
        return zoo.TaskRng("permuted digits", self.permutation).permutations(PIXELS)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(PermutedDigits)
