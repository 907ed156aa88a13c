"""A log file in JSON lines that several runs may share."""

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
    """Append each event, with the run's directory, as a line of JSON to a file.

    A run writes its own ``log.jsonl`` without a tracker. Use this tracker for a second log: one file for many
    runs, or a file on another disk.
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
    path = zoo.Option("runs.jsonl", help="the file, created if it does not exist")

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
    """Convert NaN and infinity, which JSON lacks, to strings that ``float`` reads."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@zoo.hookimpl
def zoo_register_trackers(register: Callable[[type[zoo.Tracker]], None]) -> None:
    """Register the tracker."""
    register(Jsonl)
