"""A second log, which several runs may share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zoo

Event = Mapping[str, Any]


class Jsonl(zoo.Tracker):
    """Each event as a line of JSON, with the run's directory, at the end of a file of your choice.

    A run's own ``log.jsonl`` is written without any tracker. This one is for a second place: one file for
    many runs, or another disk.
    """

    name = "jsonl"
    family = "files"
    card = zoo.Card(
        title="The JavaScript Object Notation (JSON) Data Interchange Format",
        authors="T. Bray",
        year=2017,
        url="https://www.rfc-editor.org/rfc/rfc8259",
        variant="One value a line, as in https://jsonlines.org.",
    )
    path = zoo.Option("runs.jsonl", help="the file, made if it is not there")

    @contextmanager
    def open(self, start_event: Event) -> Iterator[Callable[[Event], None]]:
        """Open the file for a run."""
        with Path(self.options["path"]).open("a", encoding="utf-8") as file:

            def record(event: Event) -> None:
                facts = {name: _plain(value) for name, value in event.items()}
                file.write(json.dumps({"run": start_event["out"], **facts}, allow_nan=False) + "\n")
                file.flush()

            yield record


def _plain(value: Any) -> Any:
    """A number that JSON lacks as the string that ``float`` reads."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@zoo.hookimpl
def zoo_register_trackers(register: Callable[[type[zoo.Tracker]], None]) -> None:
    """Register the tracker."""
    register(Jsonl)
