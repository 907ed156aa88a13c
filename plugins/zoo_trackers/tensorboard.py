"""TensorBoard's event files."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import zoo

Event = Mapping[str, Any]


class Tensorboard(zoo.Tracker):
    """Event files for TensorBoard: curves of all numbers, samples and the configuration as text.

    tensorboardX writes the files. You need TensorBoard only to view them.
    """

    name = "tensorboard"
    family = "files"
    card = zoo.Card(
        title="tensorboardX: write TensorBoard events with simple function call",
        authors="Tzu-Wei Huang",
        year=2017,
        url="https://github.com/lanpa/tensorboardX",
    )
    requires = MappingProxyType({"tensorboardX": "recurrent-zoo[tensorboard]"})
    dir = zoo.Option("", help="directory of the files, or empty for tensorboard/ in the run directory")

    @contextmanager
    def open(self, start_event: Event) -> Iterator[Callable[[Event], None]]:
        """Open event files. After a resume, they hide the events after the step at which the run resumes."""
        folder = self.options["dir"] or str(Path(start_event["out"]) / "tensorboard")
        purge = start_event["step"] + 1 if start_event["event"] == "resume" else None
        with importlib.import_module("tensorboardX").SummaryWriter(folder, purge_step=purge) as writer:

            def record(event: Event) -> None:
                for name, value in self.numbers(event).items():
                    writer.add_scalar(name, value, event["step"])
                if event["event"] == "sample":
                    writer.add_text("sample", _fixed(event["text"]), event["step"])

            writer.add_text("configuration", _table(start_event["config"]), start_event["step"])
            yield record


def _fixed(text: str) -> str:
    """A text as a code block of Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _table(config: Mapping[str, Any]) -> str:
    return "\n".join(
        ["| setting | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in config.items())]
    )


@zoo.hookimpl
def zoo_register_trackers(register: Callable[[type[zoo.Tracker]], None]) -> None:
    """Register the tracker."""
    register(Tensorboard)
