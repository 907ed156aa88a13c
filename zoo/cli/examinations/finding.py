"""What an examination of ``zoo doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What an examination found.

    Args:
        name: What was looked at.
        text: What was found, for people.
        data: The same, for programs.
        problem: What is broken, and what to do; empty if nothing is.
    """

    name: str
    text: str
    data: Any
    problem: str = ""
