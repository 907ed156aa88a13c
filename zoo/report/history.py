"""The events of a log, as numbers that can be drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.report.blocks import Number
from zoo.storage import RunDirectory, log

Event = Mapping[str, Any]
Points = tuple[tuple[Number, ...], tuple[Number, ...]]

MAX_BYTES = 8 * 2**20
"""Largest size of the lines from which a report is made: about 30,000, in 15 times as much memory."""

_EVENT_KINDS = ("start", "resume", "step", "eval", "analysis", "sample", "warning", "diverged", "end")


def number(value: object) -> float | None:
    """A number of a log in six digits; None for what cannot be drawn: none, infinite, no number at all."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


class _DownsampledEvents:
    """Events of a log: all of each kind, or every second, fourth and so on where they take too many bytes.

    The first and the last event of each kind are always stored. Validations that were the best are a kind.
    """

    def __init__(self) -> None:
        self._kept: dict[object, list[tuple[int, int, Event]]] = {}
        self._last: dict[object, tuple[int, int, Event]] = {}
        self._seen: Counter[object] = Counter()
        self._bytes, self._stride = 0, 1

    def add(self, event: Event, size: int) -> None:
        """Add an event whose line has ``size`` bytes."""
        name = event.get("event")
        kind = (name, event.get("best") is True) if name in _EVENT_KINDS else None
        entry = self._last[kind] = self._seen.total(), size, event
        if self._seen[kind] % self._stride == 0:
            self._kept.setdefault(kind, []).append(entry)
            self._bytes += size
        self._seen[kind] += 1
        while self._bytes > MAX_BYTES and any(len(kept) > 1 for kept in self._kept.values()):
            self._stride *= 2
            self._kept = {kind: kept[::2] for kind, kept in self._kept.items()}
            self._bytes = sum(size for kept in self._kept.values() for _, size, _ in kept)

    def events(self) -> tuple[Event, ...]:
        """The stored events, oldest first."""
        entries = {
            entry[0]: entry[2] for kept in (*self._kept.values(), self._last.values()) for entry in kept
        }
        return tuple(entries[place] for place in sorted(entries))


@dataclass(frozen=True)
class History:
    """The events of a log that belong to a step, oldest first; of a very long log, some of them."""

    events: tuple[Event, ...]

    @classmethod
    def read(cls, directory: RunDirectory) -> History:
        """The history of a run directory.

        Raises:
            CheckpointError: if its log is damaged.
        """
        downsampled = _DownsampledEvents()
        for line, event in log.iterate(directory.log_path):
            if type(event.get("step")) is int:
                downsampled.add(event, len(line))
        return cls(downsampled.events())

    def events_of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if event.get("event") == kind]

    def points(self, kind: str, value: str) -> Points:
        """A value of the events of a kind, by step; empty if none has it."""
        return points((event.get("step"), event[value]) for event in self.events_of(kind) if value in event)

    def last(self, *kinds: str) -> Event:
        """The last event of these kinds; empty if there is none."""
        found: Iterator[Event] = (event for event in reversed(self.events) if event.get("event") in kinds)
        return next(found, {})


def points(pairs: Iterable[tuple[object, object]]) -> Points:
    """Places and values of a line; what has no place is left out, and what has no value is a gap."""
    known = [(number(x), number(y)) for x, y in pairs]
    placed = [(int(x), y) for x, y in known if x is not None]
    return tuple(x for x, _ in placed), tuple(y for _, y in placed)
