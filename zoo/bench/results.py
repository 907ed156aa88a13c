"""What was measured, as it goes into JSON and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One contender at one cell and shape.

    Args:
        cell: Name of the cell.
        shape: ``"64x32x128"``: T, B, H.
        contender: ``"zoo"`` or a peer.
        least_s: Seconds of its quickest training step; None if it was refused.
        median_s: Median seconds of its steps.
        calls: Steps that were timed.
        busy: Processors that were busy while it ran, on average.
        first_s: Seconds to make it ready and run it once: compiling, or loading what was compiled before.
        way: How the peer computed it, where there were several ways.
        efficiency: Floating point operations in products, per second, in parts of the peak; the operations
            are those of zoo for every contender, since the problem is the same.
        note: Why it was refused, or what is to be known about it; one sentence, or empty.
    """

    cell: str
    shape: str
    contender: str
    least_s: float | None = None
    median_s: float | None = None
    calls: int = 0
    busy: float | None = None
    first_s: float | None = None
    way: str = ""
    efficiency: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Race:
    """All contenders at one cell and shape.

    Args:
        cell: Name of the cell.
        shape: ``"64x32x128"``: T, B, H.
        peak_gflops: What the processor did at most, measured between the rounds.
        flops: Floating point operations in the products of a step.
        counted: What they were counted on: ``"plan"`` or ``"shapes"``.
        steps: zoo first.
    """

    cell: str
    shape: str
    peak_gflops: float
    flops: int
    counted: str
    steps: tuple[Step, ...]

    @property
    def ours(self) -> Step:
        """The step of zoo."""
        return self.steps[0]

    @property
    def timed_peers(self) -> tuple[Step, ...]:
        """The peers that were not refused."""
        return tuple(step for step in self.steps[1:] if step.least_s is not None)


@dataclass(frozen=True)
class Start:
    """How long a cell takes from the launch of a process to the end of its first training step.

    Args:
        cell: Name of the cell.
        compile_s: With no compiled kernel on disk.
        load_s: In the next process, which finds all of them.
    """

    cell: str
    compile_s: float
    load_s: float


@dataclass(frozen=True)
class Sampling:
    """Symbols per second of one stream.

    Args:
        cell: Name of the cell.
        hidden: ``H``.
        contender: ``"zoo"`` or a peer.
        best: The most that any round reached.
        median: The median of the rounds.
    """

    cell: str
    hidden: int
    contender: str
    best: float
    median: float


@dataclass(frozen=True)
class Growth:
    """Time per symbol while one size grows.

    Args:
        cell: Name of the cell.
        letter: The size that grows: ``"T"``, ``"B"`` or ``"H"``.
        shape: ``"64x32x128"``: T, B, H.
        size: Of the letter.
        least_ns: Least nanoseconds per symbol.
        median_ns: Median nanoseconds per symbol.
    """

    cell: str
    letter: str
    shape: str
    size: int
    least_ns: float
    median_ns: float


@dataclass(frozen=True)
class Results:
    """Everything one run found.

    Args:
        command: The command that was given.
        date: Day and time, in UTC.
        machine: Processor, system, cores.
        settings: Threads, dtype, seconds.
        versions: Of zoo, Python, and the packages of every contender.
        races: Training steps.
        starts: Compile and load times.
        sampling: Symbols per second.
        growth: Time per symbol.
        remarks: What was left out, and why; a sentence each.
    """

    command: str
    date: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    races: tuple[Race, ...] = ()
    starts: tuple[Start, ...] = ()
    sampling: tuple[Sampling, ...] = ()
    growth: tuple[Growth, ...] = ()
    remarks: tuple[str, ...] = ()


def ratios(ours: Step, peer: Step) -> tuple[float, float]:
    """How many times longer a peer takes than zoo, by the least times and by the medians."""
    assert ours.least_s
    assert ours.median_s
    assert peer.least_s
    assert peer.median_s
    return peer.least_s / ours.least_s, peer.median_s / ours.median_s
