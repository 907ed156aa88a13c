"""Numbers and lists of a comparison as text, for its tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence

NO_VALUE = "–"
"""Text of a value that is missing."""


def enumerate_texts(texts: Sequence[str], conjunction: str = "and") -> str:
    """``a``, ``a and b``, or ``a, b and c``."""
    return f" {conjunction} ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def score_text(value: float | None) -> str:
    """Format a score with four digits."""
    return number_text(value, ".4g")


def number_text(value: float | None, form: str) -> str:
    """Format a number; a dash for None."""
    return NO_VALUE if value is None else f"{value:{form}}"


def gain_text(value: float | None, low: float | None, high: float | None, in_points: bool = False) -> str:
    """Format a gain over a baseline with its interval, in per cent or in percentage points.

    >>> gain_text(0.3, 0.2, 0.4), gain_text(-0.05, -0.07, -0.01, in_points=True)
    ('+30.0% [+20.0%, +40.0%]', '-5.0 points [-7.0, -1.0]')
    """
    if value is None:
        return NO_VALUE
    gain, unit = (f"{100 * value:+.1f}", " points") if in_points else (f"{value:+.1%}", "")
    if low is None or high is None:
        return gain + unit
    interval = f"{100 * low:+.1f}, {100 * high:+.1f}" if in_points else f"{low:+.1%}, {high:+.1%}"
    return f"{gain}{unit} [{interval}]"


def difference_text(value: float | None, low: float | None, high: float | None) -> str:
    """Format a difference of scores with its interval.

    >>> difference_text(-0.01234, -0.02, 0.001), difference_text(0.5, None, None)
    ('-0.0123 [-0.02, +0.001]', '+0.5')
    """
    interval = "" if low is None or high is None else f" [{low:+.3g}, {high:+.3g}]"
    return number_text(value, "+.3g") + interval
