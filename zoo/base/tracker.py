"""Base class of trackers, which receive the events of a run."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.base.component import Component, check_method
from zoo.errors import DefinitionError, UsageError

Event = Mapping[str, Any]
"""A line of the log of a run or a comparison, with the key ``event``."""

EventWriter = Callable[[Event], None]
"""A function that receives each event."""

_SECTIONS = {"step": "train", "eval": "validation"}


class Tracker(Component, abstract=True):
    """A tracker: writes the events of a run, for example for TensorBoard.

    It has one method, ``open``, a context manager that yields a function to call with each event::

        class Bell(zoo.Tracker):
            @contextmanager
            def open(self, start_event):
                yield lambda event: print(chr(7)) if event["event"] == "end" else None

    Events are the lines of ``log.jsonl``, which zoo writes itself before it calls any tracker. A tracker that
    raises is left out for the rest of the run, with one warning: it never stops a run. A tracker must not
    change the events.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "tracker"
    requires: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The modules that ``open`` imports, and the package that ``pip install`` needs for each:
    ``{"tensorboardX": "recurrent-zoo[tensorboard]"}``."""

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        if cls.open is Tracker.open:
            raise DefinitionError(
                f"{cls.error_name()}: open is missing; add a context manager open(self, start_event) that "
                f"yields a function to call with every event."
            )
        check_method(cls, "open", ("start_event",))
        if inspect.isgeneratorfunction(cls.open):
            raise DefinitionError(
                f"{cls.error_name()}: open is a generator; mark it @contextlib.contextmanager."
            )

    def open(self, start_event: Event) -> AbstractContextManager[EventWriter]:
        """Open the output for as long as one process works at the run.

        Args:
            start_event: The event ``start`` or ``resume``, with ``step``, ``config`` and, as ``out``, the run
                directory.

        Returns:
            A context manager that yields a function, which is called with every event, this one first.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Check, before a run begins, that the packages of this tracker are installed.

        Raises:
            UsageError: if a package is missing, with the line that installs it.
        """
        for module, package in self.requires.items():
            if importlib.util.find_spec(module) is None:
                raise UsageError(f"{self.label()} needs {module}; pip install '{package}' brings it.")

    @staticmethod
    def numbers(event: Event) -> dict[str, float]:
        """The numbers of an event, under names that are the same for all runs: ``train/loss``."""
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
