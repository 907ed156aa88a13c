"""Sequential digits: classify an image that is read pixel by pixel, line by line.

See :mod:`zoo_tasks._pixel_digits` for the images and their source. The memoryless
baseline uses only the last pixel, which is in a corner and nearly always dark.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._pixel_digits import REFERENCE, PixelDigits


class Digits(PixelDigits):
    """The class of a handwritten digit that is read pixel by pixel, line by line.

    The input is the brightness of one pixel, from 0 to 1. The target is at the last step.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="These are sequential digits, in the order of reading.",
        when_to_use="Use it as a small real problem that needs memory over 64 steps. It trains in minutes "
        "on a CPU. Accuracies do not compare with published ones for MNIST, which has 784 steps.",
    )


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Digits)
