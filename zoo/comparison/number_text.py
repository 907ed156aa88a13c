"""Numbers of a comparison as text, for its tables and sentences."""

from __future__ import annotations

NO_VALUE = "–"
"""Text of a value that is missing."""


def score_text(value: float | None) -> str:
    """Format a score with four digits."""
    return number_text(value, ".4g")


def number_text(value: float | None, form: str) -> str:
    """Format a number; a dash for None."""
    return NO_VALUE if value is None else f"{value:{form}}"
