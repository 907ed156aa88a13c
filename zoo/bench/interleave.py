"""Interleaved timing: a few training steps of zoo, a few of each peer, round after round.

A temporary disturbance of the machine then affects all of them, and their ratios least.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.bench.peer_process import BenchError, PeerProcess
from zoo.bench.results import CellTiming, StepTiming
from zoo.bench.settings import Settings, Shape

ROUNDS = 6
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-3  # relative
_CHECKS = (("loss", "loss", LOSS_TOLERANCE), ("gradient", "norm of the gradient", GRADIENT_TOLERANCE))
_MAX_CALLS = 2000  # per round


@dataclass
class PeerRun:
    """A prepared library and its times so far.

    Args:
        process: Its process.
        step: Its record, without times.
        estimate: Seconds of one call.
        seconds: Seconds of every counted call.
        busy: Busy processors in every round.
    """

    process: PeerProcess
    step: StepTiming
    estimate: float
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def run_round(self, budget: float) -> None:
        """Run for ``budget`` seconds. If calls are short, an uncounted call warms the caches."""
        calls = min(max(1, round(budget / self.estimate)), _MAX_CALLS)
        answer = self.process.ask("run", calls=calls + (calls > 1))
        self.seconds += answer["seconds"][-calls:]
        self.busy.append(answer["busy"])
        self.estimate = min(self.seconds)

    def result(self) -> StepTiming:
        """The record with times."""
        return replace(
            self.step,
            least_s=min(self.seconds),
            median_s=statistics.median(self.seconds),
            calls=len(self.seconds),
            busy=statistics.median(self.busy),
        )


def time_cell(
    cell: str, shape: Shape, settings: Settings, own: PeerProcess, peers: Iterable[PeerProcess], folder: Path
) -> CellTiming:
    """Time zoo and the peers that support a cell, at one shape.

    Args:
        cell: Name of the cell.
        shape: Sizes of the step.
        settings: Threads, dtype and seconds.
        own: Process of zoo.
        peers: Processes of the peers.
        folder: Directory for the problem.

    Raises:
        BenchError: if zoo itself fails.
    """
    path = str(folder / "problem.npz")
    problem = make_problem(own, cell, shape, settings, path)
    answer = own.ask("build", path=path)
    runs = [_start_run(own, cell, shape, answer)]
    rejected: dict[str, StepTiming] = {}
    peers = [peer for peer in peers if peer.supports(cell)]
    for peer in peers:
        prepared = _prepare_peer(peer, cell, shape, path, answer)
        if isinstance(prepared, StepTiming):
            rejected[peer.name] = prepared
        else:
            runs.append(prepared)
    peak = _run_rounds(runs, settings)
    timings = {run.process.name: run.result() for run in runs} | rejected
    steps = tuple(timings[process.name] for process in (own, *peers))
    return CellTiming(cell, str(shape), peak, problem["flops"], problem["counted"], steps)


def normalise_by_peak(timings: Sequence[CellTiming]) -> tuple[CellTiming, ...]:
    """Add the efficiency of all steps, relative to the best peak of all timings.

    A single timing may measure the peak too low: busy-waiting threads of PyTensor left half of it, and the
    efficiency of zoo was 1.4.
    """
    best = max(timing.peak_gflops for timing in timings)
    return tuple(
        replace(timing, steps=tuple(_with_efficiency(best, timing.flops, step) for step in timing.steps))
        for timing in timings
    )


def _with_efficiency(peak: float, flops: int, step: StepTiming) -> StepTiming:
    return step if step.least_s is None else replace(step, efficiency=flops / step.least_s / 1e9 / peak)


def make_problem(own: PeerProcess, cell: str, shape: Shape, settings: Settings, path: str) -> dict[str, Any]:
    """Let zoo write a problem to a file; return its floating-point operations."""
    sizes = [shape.steps, shape.batch, shape.hidden]
    return own.ask(
        "make_problem", cell=cell, shape=sizes, dtype=settings.dtype, threads=settings.threads, path=path
    )


def _run_rounds(runs: Sequence[PeerRun], settings: Settings) -> float:
    """Run all rounds; return the best peak measured between them."""
    own = runs[0].process
    peaks: list[float] = []
    for _ in range(ROUNDS):
        peaks.append(own.ask("peak", threads=settings.threads, dtype=settings.dtype)["gflops"])
        for run in runs:
            run.run_round(settings.seconds / ROUNDS)
    return max(peaks)


def _prepare_peer(
    peer: PeerProcess, cell: str, shape: Shape, path: str, reference: dict[str, Any]
) -> PeerRun | StepTiming:
    """Prepare a peer; a record with the reason if it is rejected."""
    try:
        answer = peer.ask("build", path=path)
        reason = "" if answer["note"] else mismatch(reference, answer)
        if not reason:
            return _start_run(peer, cell, shape, answer)
    except BenchError as error:
        reason = f"it fails ({error})"
    return StepTiming(cell, str(shape), peer.name, note=f"rejected: {reason}")


def mismatch(reference: dict[str, Any], answer: dict[str, Any]) -> str:
    """The difference between two answers to one problem; empty if they agree up to rounding."""
    for key, label, tolerance in _CHECKS:
        if not abs(answer[key] - reference[key]) <= tolerance * abs(reference[key]):
            return f"its {label} is {answer[key]:.6g}, that of zoo {reference[key]:.6g}"
    return ""


def _start_run(process: PeerProcess, cell: str, shape: Shape, answer: dict[str, Any]) -> PeerRun:
    note = answer["note"] or answer["remark"]
    step = StepTiming(cell, str(shape), process.name, first_s=answer["first_s"], way=answer["way"], note=note)
    seconds = process.ask("run", calls=2)["seconds"]
    return PeerRun(process, step, min(seconds))
