"""Sequential digits: which digit is it, seen pixel by pixel, line by line?

See :mod:`zoo_tasks._pixel_digits` for the images and their source. Without memory only the last pixel is
visible, one in a corner and nearly always dark.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import zoo
from zoo_tasks._pixel_digits import CARD, PixelDigits


class Digits(PixelDigits):
    """Which handwritten digit was seen, pixel by pixel, line by line.

    Inputs are the brightness of one pixel at a time, from 0 to 1; the answer is asked for after the last.
    """

    card = dataclasses.replace(CARD, variant="sequential digits, in the order of reading")


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Digits)
