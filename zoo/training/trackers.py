"""Pass events to trackers; one that fails is dropped, and the run continues."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from zoo.arguments import short_repr
from zoo.base.tracker import Event, EventWriter, Tracker
from zoo.errors import UsageError, ZooWarning
from zoo.registry import resolve_tracker


def resolve_trackers(trackers: Any) -> tuple[Tracker, ...]:
    """Resolve names, classes and instances to trackers, and check that they can work.

    Raises:
        UnknownNameError: if no tracker has a name.
        UsageError: if it is not a sequence of trackers, or a package is missing.
    """
    if isinstance(trackers, str) or not isinstance(trackers, Sequence):
        raise UsageError(
            f"trackers is {short_repr(trackers)}; expected a list of names, classes or trackers."
        )
    resolved = tuple(map(resolve_tracker, trackers))
    for tracker in resolved:
        tracker.check()
    return resolved


@contextmanager
def open_trackers(trackers: Sequence[Tracker]) -> Iterator[Callable[[Event], None]]:
    """Yield a function to call with every event. The first event opens the trackers."""
    safe_trackers = [_SafeTracker(tracker) for tracker in trackers]

    def log(event: Event) -> None:
        for each in safe_trackers:
            each.log(event)

    try:
        yield log
    finally:
        for each in safe_trackers:
            each.close()


class _SafeTracker:
    """A tracker whose first failure becomes a warning and drops it."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.opened: AbstractContextManager[EventWriter] | None = None
        self.record: EventWriter | None = None
        self.failed = False

    def log(self, event: Event) -> None:
        """Pass an event to the tracker; the first one opens it."""
        if not self.failed:
            self._guard(lambda: self._log(event))

    def close(self) -> None:
        """Close it, so that it writes what it still holds."""
        opened, self.opened = self.opened, None
        if opened is not None:
            self._guard(lambda: opened.__exit__(None, None, None))

    def _log(self, event: Event) -> None:
        if self.record is None:
            opened = self.tracker.open(event)
            record = opened.__enter__()
            self.opened = opened
            if not callable(record):
                raise TypeError(f"open yields {short_repr(record)}; expected a function of an event")
            self.record = record
        self.record(event)

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # a tracker must not stop the run
            if not self.failed:
                self.failed = True
                shown = f"{type(error).__name__}: {error}".rstrip(": ")
                text = f"{self.tracker.label()} failed and is left out; the run continues ({shown})."
                warnings.warn(text, ZooWarning, stacklevel=2)
            self.close()
