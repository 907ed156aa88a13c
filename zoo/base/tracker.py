"""The contract of a tracker: what is told of every event of a run while it goes on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.base.component import Member
from zoo.errors import DefinitionError, UsageError

Event = Mapping[str, Any]
Record = Callable[[Event], None]

_SECTIONS = {"step": "train", "eval": "validation"}


class Tracker(Member, abstract=True):
    """A tracker: what opens something for a run, writes each event to it, and closes it at the end.

    ``follow`` is all of it, a context manager that gives what is called with each event::

        class Bell(zoo.Tracker):
            @contextmanager
            def follow(self, begun):
                yield lambda event: print(chr(7)) if event["event"] == "end" else None

    Events are those of ``log.jsonl``, which zoo writes itself, before any tracker is told. A tracker that
    raises is left out for the rest of the run, with one warning: it never stops one. What it is told of it
    must not change.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "tracker"
    requires: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Modules that it imports in ``follow``, and what ``pip install`` brings each:
    ``{"tensorboardX": "recurrent-zoo[tensorboard]"}``."""

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        if cls.follow is Tracker.follow:
            raise DefinitionError(
                f"{cls.who()}: follow is missing; add a context manager follow(self, begun) that yields what "
                f"is called with every event."
            )

    def follow(self, begun: Event) -> AbstractContextManager[Record]:
        """Open what events are written to, for as long as one process works at the run.

        Args:
            begun: The event with which the run begins or goes on, ``start`` or ``resume``, with ``step``,
                ``config`` and, as ``out``, the run directory.

        Returns:
            A context manager which gives what is then called with every event, this one first.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Refuse, before a run begins, what could not follow it.

        Raises:
            UsageError: if a package is missing, with the line that installs it.
        """
        for module, package in self.requires.items():
            if importlib.util.find_spec(module) is None:
                raise UsageError(f"{self.label()} needs {module}; pip install '{package}' brings it.")

    @staticmethod
    def numbers(event: Event) -> dict[str, float]:
        """The numbers of an event, by names that go in the same chart for all runs: ``train/loss``."""
        return dict(_numbers(event))


def _numbers(event: Event) -> Iterator[tuple[str, float]]:
    if event["event"] in _SECTIONS:
        for name, value in event.items():
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                yield f"{_SECTIONS[event['event']]}/{name}", float(value)
    for name, ends in event.get("saturation", {}).items():
        yield from (
            (f"saturation/{name}/{end}", float(share))
            for end, share in zip(("low", "high"), ends, strict=True)
        )
