"""Result records, for JSON and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StepTiming:
    """The training step of zoo or a peer at one cell and shape.

    Args:
        cell: Name of the cell.
        shape: ``"64x32x128"``: T, B, H.
        contender: ``"zoo"`` or a peer.
        least_s: Seconds of the fastest training step; None if the peer was rejected.
        median_s: Median seconds of a step.
        calls: Number of timed steps.
        busy: Mean number of busy processors.
        first_s: Seconds to prepare and run the first step, including compilation or loading from a cache.
        way: Name of the fastest variant of the peer.
        efficiency: Matrix product FLOP/s as a fraction of the peak. All libraries solve the same problem, so
            the operations of zoo are used for all.
        note: The reason for a rejection, or a remark; one sentence, or empty.
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
class CellTiming:
    """Zoo and all peers at one cell and shape.

    Args:
        cell: Name of the cell.
        shape: ``"64x32x128"``: T, B, H.
        peak_gflops: Peak of the processor, measured between the rounds.
        flops: Floating-point operations in the matrix products of a step.
        counted: Source of ``flops``: ``"plan"`` or ``"shapes"``.
        steps: zoo first.
    """

    cell: str
    shape: str
    peak_gflops: float
    flops: int
    counted: str
    steps: tuple[StepTiming, ...]

    @property
    def zoo_step(self) -> StepTiming:
        """The step of zoo."""
        return self.steps[0]

    @property
    def timed_peers(self) -> tuple[StepTiming, ...]:
        """Steps of the peers that were not rejected."""
        return tuple(step for step in self.steps[1:] if step.least_s is not None)


@dataclass(frozen=True)
class StartupTime:
    """Time from the launch of a process to the end of its first training step.

    Args:
        cell: Name of the cell.
        compile_s: With an empty kernel cache.
        load_s: In the next process, which loads all kernels.
    """

    cell: str
    compile_s: float
    load_s: float


@dataclass(frozen=True)
class SamplingSpeed:
    """Symbols per second of one stream.

    Args:
        cell: Name of the cell.
        hidden: ``H``.
        contender: ``"zoo"`` or a peer.
        best: The fastest round.
        median: The median of the rounds.
    """

    cell: str
    hidden: int
    contender: str
    best: float
    median: float


@dataclass(frozen=True)
class Scaling:
    """Time per symbol while one size grows.

    Args:
        cell: Name of the cell.
        letter: The growing size: ``"T"``, ``"B"`` or ``"H"``.
        shape: ``"64x32x128"``: T, B, H.
        size: Value of the growing size.
        least_ns: Minimum nanoseconds per symbol.
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
    """Results of one run.

    Args:
        command: The command that repeats it.
        date: Day and time, in UTC.
        machine: Processor, system, cores.
        settings: Threads, dtype, seconds.
        versions: Of zoo, Python, and the packages of every peer.
        races: Training steps.
        starts: Compile and load times.
        sampling: Symbols per second.
        growth: Time per symbol.
        remarks: Disturbances and missing cells; a sentence each.
    """

    command: str
    date: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    races: tuple[CellTiming, ...] = ()
    starts: tuple[StartupTime, ...] = ()
    sampling: tuple[SamplingSpeed, ...] = ()
    growth: tuple[Scaling, ...] = ()
    remarks: tuple[str, ...] = ()


def ratios(ours: StepTiming, peer: StepTiming) -> tuple[float, float]:
    """How many times longer a peer takes than zoo, by the least times and by the medians."""
    assert ours.least_s
    assert ours.median_s
    assert peer.least_s
    assert peer.median_s
    return peer.least_s / ours.least_s, peer.median_s / ours.median_s
