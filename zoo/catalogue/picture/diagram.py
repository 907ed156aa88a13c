"""Boxes and arrows, before anybody says where they are."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

CHARACTER, LINE, PADDING = 7.83, 18, 8  # in pixels: of the letters that svg.py sets
_WRAPPER = textwrap.TextWrapper(
    width=50, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)


@dataclass(frozen=True)
class Box:
    """One box.

    Args:
        kind: ``"x"``, ``"state"``, ``"input"``, ``"weights"``, ``"value"`` or ``"output"``.
        equations: What stands in it, each in one line or several.
        note: What stands below in small letters, as a shape.
    """

    kind: str
    equations: tuple[str, ...]
    note: str = ""

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The equations as lines that are not too long."""
        return tuple(line for text in self.equations for line in _WRAPPER.wrap(text))

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        longest = max(map(len, self.lines))
        return max(44.0, 2 * PADDING + 4 + round(CHARACTER * max(longest, 0.86 * len(self.note))))

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return 2.0 * PADDING - 2 + LINE * len(self.lines) + (LINE - 2) * bool(self.note)


@dataclass(frozen=True)
class Diagram:
    """Boxes, and for each those that it reads.

    Args:
        boxes: The boxes; what one reads stands before it.
        reads: For each box that reads others their numbers, in order.
    """

    boxes: tuple[Box, ...]
    reads: Mapping[int, tuple[int, ...]]

    @cached_property
    def readers(self) -> dict[int, tuple[int, ...]]:
        """For each box the numbers of those that read it."""
        found: dict[int, list[int]] = {number: [] for number in range(len(self.boxes))}
        for reader, read in self.reads.items():
            for number in read:
                found[number].append(reader)
        return {number: tuple(readers) for number, readers in found.items()}
