"""The whole benchmark: measure all sections and collect the results."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from zoo.bench.interleave import normalise_by_peak, time_cell
from zoo.bench.machine import machine_info, versions
from zoo.bench.measurements import SIZES, measure_sampling, measure_scaling, measure_startup
from zoo.bench.peer_process import PeerProcess
from zoo.bench.peers import SELF
from zoo.bench.results import CellTiming, Results, SamplingSpeed, Scaling, StartupTime
from zoo.bench.settings import Settings

Progress = Callable[[str], None]

_QUIET_LOAD = 0.25  # load average per processor of an idle machine


@dataclass(frozen=True)
class Sections:
    """The optional sections of a run.

    Args:
        starts: Compile and load times.
        sampling: Symbols per second.
        growth: Time per symbol as sizes grow.
    """

    starts: bool = True
    sampling: bool = False
    growth: bool = False


def measure(settings: Settings, sections: Sections, progress: Progress = lambda _: None) -> Results:
    """Run the benchmark.

    Args:
        settings: What to measure.
        sections: The optional sections.
        progress: Called with a short message before each measurement.

    Raises:
        UsageError: if a peer is not installed.
        BenchError: if zoo fails.
    """
    info, now = machine_info(), datetime.now(timezone.utc)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own, *peers = [
            stack.enter_context(PeerProcess(name, settings.threads, settings.pythons.get(name)))
            for name in (SELF, *settings.peers)
        ]
        run = _Measurement(settings, own, peers, folder, progress)
        return Results(
            command(settings, sections),
            now.strftime("%Y-%m-%d %H:%M UTC"),
            info,
            {"threads": settings.threads, "dtype": settings.dtype, "seconds": settings.seconds},
            versions([own, *peers]),
            normalise_by_peak(tuple(run.timings())),
            tuple(run.starts()) if sections.starts else (),
            tuple(run.sampling()) if sections.sampling else (),
            tuple(run.growth()) if sections.growth else (),
            (*_load_remarks(info), *_missing_cell_remarks(settings, peers)),
        )


@dataclass(frozen=True)
class _Measurement:
    settings: Settings
    own: PeerProcess
    peers: Sequence[PeerProcess]
    folder: Path
    report: Progress

    def timings(self) -> Iterator[CellTiming]:
        for cell in self.settings.cells:
            for shape in self.settings.shapes:
                self.report(f"{cell} {shape}")
                yield time_cell(cell, shape, self.settings, self.own, self.peers, self.folder)

    def starts(self) -> Iterator[StartupTime]:
        for cell in self.settings.cells:
            self.report(f"{cell}: compiling it with an empty cache, then loading it")
            yield measure_startup(cell, self.settings)

    def sampling(self) -> Iterator[SamplingSpeed]:
        for cell in self.settings.cells:
            self.report(f"{cell}: sampling")
            yield from measure_sampling(cell, self.settings, self.own, self.peers, self.folder)

    def growth(self) -> Iterator[Scaling]:
        for cell in self.settings.cells:
            for letter in SIZES:
                self.report(f"{cell}: growth in {letter}")
                yield from measure_scaling(cell, letter, self.settings, self.own, self.folder)


def command(settings: Settings, sections: Sections) -> str:
    """The command that repeats the run, with every default spelled out."""
    options = {
        "cells": ",".join(settings.cells),
        "shapes": ",".join(map(str, settings.shapes)),
        "peers": ",".join(settings.peers) or "none",
        "threads": str(settings.threads),
        "dtype": settings.dtype,
        "seconds": f"{settings.seconds:g}",
    }
    switches = {"no-compile": not sections.starts, "sampling": sections.sampling, "growth": sections.growth}
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return shlex.join(["zoo", "bench", *arguments, *(f"--{name}" for name, on in switches.items() if on)])


def _load_remarks(info: dict[str, Any]) -> Iterator[str]:
    """A warning if the machine was busy."""
    if (info["load"] or 0) > _QUIET_LOAD * info["processors"]:
        yield (
            f"The load average was {info['load']} at the start: other programs were running. "
            f"They slow libraries with waiting threads most; repeat the run on an idle machine."
        )


def _missing_cell_remarks(settings: Settings, peers: Sequence[PeerProcess]) -> Iterator[str]:
    """A sentence for each peer that lacks cells."""
    for peer in peers:
        missing = [cell for cell in settings.cells if not peer.supports(cell)]
        if missing:
            yield f"{peer.name} has no {', '.join(missing)}."
