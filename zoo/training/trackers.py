"""Trackers at work: each is told of every event, and one that fails is left out and stops nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from zoo.arguments import short_repr
from zoo.base.tracker import Event, Record, Tracker
from zoo.errors import UsageError, ZooWarning
from zoo.registry import resolve_tracker


def chosen_trackers(trackers: Any) -> tuple[Tracker, ...]:
    """The trackers that names, classes and instances stand for, able to work.

    Raises:
        UnknownNameError: if no tracker has a name.
        UsageError: if it is no sequence of trackers, or a package is missing.
    """
    if isinstance(trackers, str) or not isinstance(trackers, Sequence):
        raise UsageError(
            f"trackers is {short_repr(trackers)}; expected a list of names, classes or trackers."
        )
    found = tuple(map(resolve_tracker, trackers))
    for tracker in found:
        tracker.check()
    return found


@contextmanager
def following(trackers: Sequence[Tracker]) -> Iterator[Callable[[Event], None]]:
    """What is called with every event, the first of which opens the trackers; they are closed at the end."""
    guarded = [_Guarded(tracker) for tracker in trackers]

    def tell(event: Event) -> None:
        for each in guarded:
            each.tell(event)

    try:
        yield tell
    finally:
        for each in guarded:
            each.close()


class _Guarded:
    """A tracker whose failures are one warning, after which it is left out."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.opened: AbstractContextManager[Record] | None = None
        self.record: Record | None = None
        self.failed = False

    def tell(self, event: Event) -> None:
        """Open it with the first event, and let it write this one."""
        if not self.failed:
            self._guard(lambda: self._tell(event))

    def close(self) -> None:
        """Let it write what it still holds, whatever ended the run."""
        opened, self.opened = self.opened, None
        if opened is not None:
            self._guard(lambda: opened.__exit__(None, None, None))

    def _tell(self, event: Event) -> None:
        if self.record is None:
            opened = self.tracker.open(event)
            self.record = opened.__enter__()
            self.opened = opened
        self.record(event)

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # somebody else's code: whatever it is, the run goes on
            if not self.failed:
                self.failed = True
                said = f"{type(error).__name__}: {error}".rstrip(": ")
                text = f"{self.tracker.label()} failed and is left out; the run goes on ({said})."
                warnings.warn(text, ZooWarning, stacklevel=2)
            self.close()
