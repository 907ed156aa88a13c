"""Read the log of a run as series of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zoo.arguments import is_number
from zoo.base.tracker import Event
from zoo.storage import RunDirectory, log
from zoo.tables import Number

Points = tuple[tuple[Number, ...], tuple[Number, ...]]

MAX_BYTES = 8 * 2**20
"""Largest size of the stored lines: about 30,000 lines, in 15 times as much memory."""

_EVENT_KINDS = ("start", "resume", "step", "eval", "analysis", "sample", "warning", "diverged", "end")


def number(value: object) -> float | None:
    """A number in six digits; None for a value that is not a finite number."""
    return float(f"{value:.6g}") if is_number(value) else None


class _DownsampledEvents:
    """Events of a log, downsampled by powers of two for each kind where they take too many bytes.

    The first and the last event of each kind are always stored. The best validations are a kind of their own.
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
        return tuple(entries[index] for index in sorted(entries))


@dataclass(frozen=True)
class RunHistory:
    """The events of a log that have a step, oldest first; downsampled for a very long log."""

    events: tuple[Event, ...]

    @classmethod
    def read(cls, directory: RunDirectory) -> RunHistory:
        """Read the history of a run directory.

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
        """Values of the events of a kind by step; empty if no event has the value."""
        return points((event.get("step"), event[value]) for event in self.events_of(kind) if value in event)

    def last(self, *kinds: str) -> Event:
        """The last event of these kinds; empty if there is none."""
        events: Iterator[Event] = (event for event in reversed(self.events) if event.get("event") in kinds)
        return next(events, {})


def points(pairs: Iterable[tuple[object, object]]) -> Points:
    """Positions and values of a line; points without a position are left out, None is a gap."""
    numbers = [(number(x), number(y)) for x, y in pairs]
    line = [(int(x), y) for x, y in numbers if x is not None]
    return tuple(x for x, _ in line), tuple(y for _, y in line)
