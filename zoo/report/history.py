"""The events of a log, as numbers that can be drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.report.blocks import Number
from zoo.storage import RunDirectory

Event = Mapping[str, Any]
Points = tuple[tuple[Number, ...], tuple[Number, ...]]


def number(value: object) -> float | None:
    """A number of a log in six digits; None for what cannot be drawn: none, infinite, no number at all."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class History:
    """The events of a log that belong to a step, oldest first."""

    events: tuple[Event, ...]

    @classmethod
    def read(cls, directory: RunDirectory) -> History:
        """The history of a run directory.

        Raises:
            CheckpointError: if its log is damaged.
        """
        return cls(tuple(event for event in directory.read_log() if type(event.get("step")) is int))

    def of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if event.get("event") == kind]

    def points(self, kind: str, value: str) -> Points:
        """A value of the events of a kind, by step; empty if none has it."""
        return points((event.get("step"), event[value]) for event in self.of(kind) if value in event)

    def last(self, *kinds: str) -> Event:
        """The last event of these kinds; empty if there is none."""
        found: Iterator[Event] = (event for event in reversed(self.events) if event.get("event") in kinds)
        return next(found, {})


def points(pairs: Iterable[tuple[object, object]]) -> Points:
    """Places and values of a line; what has no place is left out, and what has no value is a gap."""
    known = [(number(x), number(y)) for x, y in pairs]
    placed = [(int(x), y) for x, y in known if x is not None]
    return tuple(x for x, _ in placed), tuple(y for _, y in placed)
