"""Student's distribution for few seeds: the interval of a mean, and tail probabilities."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean of normal values; None for fewer than two.

    For paired differences, it is the interval of the paired t-test.
    """
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    half = student_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def student_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's distribution; 0 without a degree of freedom.

    From the tenth on, the expansion around the normal quantile is cut off after two terms, which differ from
    the quantile of SciPy by at most 0.13 %.
    """
    if degrees < 1:
        return 0.0
    if degrees <= len(_STUDENT):
        return _STUDENT[degrees - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def student_tails(value: float, degrees: int) -> float:
    """The probability that a value of Student's distribution is at least as far from 0 as ``value``.

    The finite sums are in chapter 26 of M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions",
    1972.

    Args:
        value: A value.
        degrees: Degrees of freedom, at least 1.
    """
    angle = math.atan(abs(value) / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term, total = cosine if is_odd else 1.0, 0.0
    for index in range(2 + is_odd, degrees + 1, 2):
        total += term
        term *= cosine**2 * (index - 1) / index
    inside = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    return max(0.0, 1.0 - inside)
