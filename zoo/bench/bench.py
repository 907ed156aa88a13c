"""One run from beginning to end."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from zoo.bench.interleave import in_parts_of_peak, race
from zoo.bench.machine import machine, versions
from zoo.bench.measurements import SIZES, measure_growth, measure_sampling, measure_start
from zoo.bench.peer_process import Contender
from zoo.bench.peers import OURSELVES
from zoo.bench.results import Growth, Race, Results, Sampling, Start
from zoo.bench.settings import Settings

Told = Callable[[str], None]

_QUIET = 0.25  # processors in use, of each, on a machine that has nothing else to do


@dataclass(frozen=True)
class Parts:
    """Which parts of a run are wanted.

    Args:
        starts: Compile and load times.
        sampling: Symbols per second.
        growth: Time per symbol while sizes grow.
    """

    starts: bool = True
    sampling: bool = False
    growth: bool = False


def measure(settings: Settings, parts: Parts, tell: Told = lambda _: None) -> Results:
    """Measure everything that is asked for.

    Args:
        settings: What to measure.
        parts: Which parts.
        tell: Called with a few words before each measurement.

    Raises:
        UsageError: if a peer is not installed.
        BenchError: if zoo fails.
    """
    about, now = machine(), datetime.now(timezone.utc)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours, *peers = [
            stack.enter_context(Contender(name, settings.threads, settings.pythons.get(name)))
            for name in (OURSELVES, *settings.peers)
        ]
        run = _Run(settings, ours, peers, folder, tell)
        return Results(
            command(settings, parts),
            now.strftime("%Y-%m-%d %H:%M UTC"),
            about,
            {"threads": settings.threads, "dtype": settings.dtype, "seconds": settings.seconds},
            versions([ours, *peers]),
            in_parts_of_peak(tuple(run.races())),
            tuple(run.starts()) if parts.starts else (),
            tuple(run.sampling()) if parts.sampling else (),
            tuple(run.growth()) if parts.growth else (),
            (*_disturbances(about), *_absences(settings, peers)),
        )


@dataclass(frozen=True)
class _Run:
    settings: Settings
    ours: Contender
    peers: Sequence[Contender]
    folder: Path
    tell: Told

    def races(self) -> Iterator[Race]:
        for cell in self.settings.cells:
            for shape in self.settings.shapes:
                self.tell(f"{cell} {shape}")
                yield race(cell, shape, self.settings, self.ours, self.peers, self.folder)

    def starts(self) -> Iterator[Start]:
        for cell in self.settings.cells:
            self.tell(f"{cell}: compiling it with an empty cache, then loading it")
            yield measure_start(cell, self.settings)

    def sampling(self) -> Iterator[Sampling]:
        for cell in self.settings.cells:
            self.tell(f"{cell}: sampling")
            yield from measure_sampling(cell, self.settings, self.ours, self.peers, self.folder)

    def growth(self) -> Iterator[Growth]:
        for cell in self.settings.cells:
            for letter in SIZES:
                self.tell(f"{cell}: growth in {letter}")
                yield from measure_growth(cell, letter, self.settings, self.ours, self.folder)


def command(settings: Settings, parts: Parts) -> str:
    """The command that measures all this again, with nothing left to defaults."""
    options = {
        "cells": ",".join(settings.cells),
        "shapes": ",".join(map(str, settings.shapes)),
        "peers": ",".join(settings.peers) or "none",
        "threads": str(settings.threads),
        "dtype": settings.dtype,
        "seconds": f"{settings.seconds:g}",
    }
    switches = {"no-compile": not parts.starts, "sampling": parts.sampling, "growth": parts.growth}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return shlex.join(["zoo", "bench", *words, *(f"--{name}" for name, on in switches.items() if on)])


def _disturbances(about: dict[str, Any]) -> Iterator[str]:
    """What makes the figures doubtful."""
    if (about["load"] or 0) > _QUIET * about["processors"]:
        yield (
            f"The load average was {about['load']} when the run began: something else was running. Libraries "
            f"whose threads wait for each other suffer most from that; repeat the run on a quiet machine."
        )


def _absences(settings: Settings, peers: Sequence[Contender]) -> Iterator[str]:
    """Which peers lack which cells, a sentence each."""
    for peer in peers:
        lacking = [cell for cell in settings.cells if not peer.has(cell)]
        if lacking:
            yield f"{peer.name} has no {', '.join(lacking)}."
