"""Result records, for JSON and tables, and comparison with an older run.

Runs are compared by ratios to the peers, which depend little on the machine and its load.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.bench.settings import Settings
from zoo.errors import CheckpointError, UsageError
from zoo.storage import strict_json
from zoo.storage.safe_read import MAX_JSON_BYTES, read_bytes


@dataclass(frozen=True)
class StepTiming:
    """The training step of zoo or a peer at one cell and shape.

    Args:
        cell: Name of the cell.
        shape: ``"64x32x128"``: T, B, H; or T, B, I, H.
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
class Demand:
    """Work of a step of zoo, and the speed at which the processor does such work.

    Args:
        name: ``"functions"``, evaluations of tanh, exp and the like; ``"weights"``, bytes of the matrices
            that every time step reads; or ``"tape"``, bytes of the values saved for backward.
        amount: Evaluations, or bytes that a step moves, in billions.
        speed: Billions of them in a second, in all threads; the best of the run.
        level: The nearest cache that holds the array, ``"L2"``, or ``"memory"``; None for functions.
    """

    name: str
    amount: float
    speed: float
    level: str | None = None

    @property
    def resource(self) -> str:
        """The part of the processor that has this speed: the level of an array, or ``"functions"``."""
        return self.level or self.name

    @property
    def seconds(self) -> float:
        """Seconds at this speed."""
        return self.amount / self.speed


@dataclass(frozen=True)
class CellTiming:
    """Zoo and all peers at one cell and shape.

    Args:
        cell: Name of the cell.
        shape: ``"64x32x128"``: T, B, H; or T, B, I, H.
        peak_gflops: Peak of the processor, measured between the rounds.
        flops: Floating-point operations in the matrix products of a step.
        counted: Source of ``flops``: ``"plan"`` or ``"shapes"``.
        steps: zoo first.
        weight_bytes: Bytes of the matrices that every time step reads. None in results of older versions.
        demands: Work of a step of zoo in addition to its products.
    """

    cell: str
    shape: str
    peak_gflops: float
    flops: int
    counted: str
    steps: tuple[StepTiming, ...]
    weight_bytes: int | None = None
    demands: tuple[Demand, ...] = ()

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
class Growth:
    """Time per symbol while one size grows.

    Args:
        cell: Name of the cell.
        letter: The growing size: ``"T"``, ``"B"`` or ``"H"``.
        shape: ``"64x32x128"``: T, B, H; or T, B, I, H.
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
        settings: Threads, dtype, inputs, seconds.
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
    growth: tuple[Growth, ...] = ()
    remarks: tuple[str, ...] = ()


def ratios(ours: StepTiming, peer: StepTiming) -> tuple[float, float]:
    """Time of a peer relative to zoo, by minimum times and by medians."""
    assert ours.least_s
    assert ours.median_s
    assert peer.least_s
    assert peer.median_s
    return peer.least_s / ours.least_s, peer.median_s / ours.median_s


REGRESSION = 0.15  # relative to the older ratio
Key = tuple[str, str, str]  # cell, shape, peer


@dataclass(frozen=True)
class Change:
    """The ratio of one peer to zoo, in the older run and in this one.

    Args:
        key: Cell, shape and peer.
        before: By minimum times and by medians, in the older run.
        now: The same in this run.
    """

    key: Key
    before: tuple[float, float]
    now: tuple[float, float]

    @property
    def regressed(self) -> bool:
        """Whether both ratios fell by more than 15 %: a disturbance of the machine lowers only one."""
        return all(now < (1 - REGRESSION) * before for before, now in zip(self.before, self.now, strict=True))

    def __str__(self) -> str:
        cell, shape, peer = self.key
        before, now = (f"{pair[0]:.2f} ({pair[1]:.2f} by medians)" for pair in (self.before, self.now))
        return f"{cell} {shape}, {peer}: {before} then, {now} now"


@dataclass(frozen=True)
class Baseline:
    """Results of an older run.

    Args:
        path: Its file.
        settings: Threads, dtype and kind of input.
        ratios: Ratios by cell, shape and peer.
    """

    path: Path
    settings: dict[str, Any]
    ratios: dict[Key, tuple[float, float]]


def read_baseline(path: Path) -> Baseline:
    """Read the results of ``zoo bench --json``.

    Raises:
        UsageError: if the file is missing or invalid.
    """
    try:
        data: Any = strict_json.loads(read_bytes(path, max_bytes=MAX_JSON_BYTES))
        timings = [
            CellTiming(**{**timing, "steps": tuple(StepTiming(**step) for step in timing["steps"])})
            for timing in data["races"]
        ]
        return Baseline(path, data["settings"], _ratios(timings))
    except CheckpointError as error:
        raise UsageError(f"bench: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise UsageError(f"bench: {path} is not a file of `zoo bench --json`.") from None


def check_comparable(baseline: Baseline, settings: Settings) -> None:
    """Check that both runs used the same threads, dtype, precision, kind of input, clock and measure.

    Raises:
        UsageError: if one of them differs.
    """
    older = {"clock": "wall", "measure": "model", **baseline.settings}
    for name in ("threads", "dtype", "precision", "inputs", "clock", "measure"):
        before, now = (value or "default" for value in (older.get(name), getattr(settings, name)))
        if before != now:
            raise UsageError(
                f"bench: {baseline.path} has {name} {before}, this run has {now}; both must be the same."
            )


def compare(baseline: Baseline, results: Results) -> list[Change]:
    """Changes of the ratios that are in both runs.

    Raises:
        UsageError: if there are none.
    """
    now = _ratios(results.races)
    changes = [Change(key, baseline.ratios[key], now[key]) for key in now if key in baseline.ratios]
    if not changes:
        raise UsageError(f"bench: {baseline.path} has no cell, shape and peer in common with this run.")
    return changes


def _ratios(timings: Any) -> dict[Key, tuple[float, float]]:
    return {
        (timing.cell, timing.shape, step.contender): ratios(timing.zoo_step, step)
        for timing in timings
        for step in timing.timed_peers
    }
