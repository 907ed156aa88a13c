"""The whole benchmark: training steps of zoo and its peers in turn, scaling, startup time, sampling speed.

Timing is interleaved: a few training steps of zoo, a few of each peer, round after round. A temporary
disturbance of the machine then affects all of them, and their ratios least. The time per symbol should be
flat in T and B, and quadratic in H.
"""

from __future__ import annotations

import itertools
import math
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from zoo.arguments import counted
from zoo.bench.limits import nearest_level, probe_size
from zoo.bench.machine import cache_sizes, machine_info, versions
from zoo.bench.peer_process import BenchError, PeerProcess, environment
from zoo.bench.peers import SELF
from zoo.bench.peers.problem import Traffic
from zoo.bench.results import CellTiming, Demand, Growth, Results, SamplingSpeed, StartupTime, StepTiming
from zoo.bench.settings import SYMBOLS, Settings, Shape
from zoo.processes import python_command

Progress = Callable[[str], None]

_QUIET_LOAD = 0.5  # load average per processor; below it, programs of the last minute may have ended


def measure(settings: Settings, progress: Progress = lambda _: None) -> Results:
    """Run the benchmark.

    Args:
        settings: Cells, shapes, peers and other settings.
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
        timings, starts, sampling, growth = (
            [],
            list[StartupTime](),
            list[SamplingSpeed](),
            list[Growth](),
        )
        for cell, shape in itertools.product(settings.cells, settings.shapes):
            progress(f"{cell} {shape}")
            timings.append(time_cell(cell, shape, settings, own, peers, folder))
        for cell in settings.cells if settings.starts else ():
            progress(f"{cell}: compiling it with an empty cache, then loading it")
            starts.append(measure_startup(cell, settings))
        for cell in settings.cells if settings.sampling else ():
            progress(f"{cell}: sampling")
            sampling += measure_sampling(cell, settings, own, peers, folder)
        for cell, letter in itertools.product(settings.cells, SIZES) if settings.growth else ():
            progress(f"{cell}: growth in {letter}")
            growth += measure_scaling(cell, letter, settings, own, folder)
        return Results(
            command(settings),
            now.strftime("%Y-%m-%d %H:%M UTC"),
            info,
            {name: getattr(settings, name) for name in RECORDED},
            versions([own, *peers]),
            normalise_by_peak(timings),
            tuple(starts),
            tuple(sampling),
            tuple(growth),
            (*_load_remarks(info), *_missing_cell_remarks(settings, peers)),
        )


RECORDED = ("threads", "dtype", "precision", "inputs", "seconds", "clock", "measure")
"""Settings in the results."""


def command(settings: Settings) -> str:
    """The command that repeats the run, with every default spelled out."""
    options = {
        "cells": ",".join(settings.cells),
        "shapes": ",".join(map(str, settings.shapes)),
        "peers": ",".join(settings.peers) or "none",
        "threads": str(settings.threads),
        "dtype": settings.dtype,
        **({"precision": settings.precision} if settings.precision else {}),
        **({"clock": settings.clock} if settings.clock != "wall" else {}),
        **({"measure": settings.measure} if settings.measure != "model" else {}),
        "inputs": settings.inputs,
        "seconds": f"{settings.seconds:g}",
    }
    switches = {"no-compile": not settings.starts, "sampling": settings.sampling, "growth": settings.growth}
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return shlex.join(["zoo", "bench", *arguments, *(f"--{name}" for name, on in switches.items() if on)])


def _load_remarks(info: dict[str, Any]) -> Iterator[str]:
    if (info["load"] or 0) > _QUIET_LOAD * info["processors"]:
        processors = counted(info["processors"], "processor")
        yield (
            f"The load average was {info['load']} at the start, with {processors}: other programs were "
            f"running. They slow libraries with waiting threads most; repeat the run on an idle machine."
        )


def _missing_cell_remarks(settings: Settings, peers: Sequence[PeerProcess]) -> Iterator[str]:
    for peer in peers:
        missing = [cell for cell in settings.cells if not peer.supports(cell)]
        if missing:
            yield f"{peer.name} has no {', '.join(missing)}."


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
    answer = own.ask("build", path=path, clock=settings.clock)
    runs = [_start_run(own, cell, shape, answer)]
    rejected: dict[str, StepTiming] = {}
    peers = [peer for peer in peers if peer.supports(cell)]
    for peer in peers:
        prepared = _prepare_peer(peer, cell, shape, settings, path, answer)
        if isinstance(prepared, StepTiming):
            rejected[peer.name] = prepared
        else:
            runs.append(prepared)
    traffic = {name: Traffic(*each) for name, each in problem["traffic"].items()}  # lists in JSON
    speeds = _Speeds(own, settings, traffic)
    _run_rounds(runs, settings, speeds)
    timings = {run.process.name: run.result() for run in runs} | rejected
    steps = tuple(timings[process.name] for process in (own, *peers))
    return CellTiming(
        cell,
        str(shape),
        speeds.peak,
        problem["flops"],
        problem["counted"],
        steps,
        weight_bytes=traffic["weights"].size,
        demands=tuple(speeds.demands(problem["functions"])),
    )


class _Speeds:
    """The best speeds of the processor so far: of multiply-adds, of functions, and of reads from some levels.

    Args:
        own: Process of zoo.
        settings: Threads, dtype and precision.
        traffic: Traffic of the arrays of a step, whose levels are measured.
    """

    def __init__(self, own: PeerProcess, settings: Settings, traffic: Mapping[str, Traffic]) -> None:
        self.own, self.settings, self.caches = own, settings, cache_sizes()
        self.peak = self.functions = 0.0
        self.traffic = {name: each for name, each in traffic.items() if each.size and self.caches}
        levels = {nearest_level(each.size, self.caches) for each in self.traffic.values()}
        self.reads = dict.fromkeys(sorted(levels), 0.0)

    def measure(self) -> None:
        """Measure all of them."""
        threads, dtype = self.settings.threads, self.settings.dtype
        peak = self.own.ask("peak", threads=threads, dtype=dtype, precision=self.settings.precision)
        self.peak = max(self.peak, peak["gflops"])
        functions = self.own.ask("functions", threads=threads, dtype=dtype)
        self.functions = max(self.functions, functions["speed"])
        for level, best in self.reads.items():
            size = probe_size(level, self.caches, threads)
            self.reads[level] = max(best, self.own.ask("bandwidth", size=size, threads=threads)["speed"])

    def demands(self, functions: int | None) -> Iterator[Demand]:
        """The work of a step in addition to its products.

        Args:
            functions: Evaluations of expensive functions; None if they are unknown.
        """
        if functions:
            yield Demand("functions", functions / 1e9, self.functions)
        for name, each in self.traffic.items():
            level = nearest_level(each.size, self.caches)
            yield Demand(name, each.moved / 1e9, self.reads[level], level)


def normalise_by_peak(timings: Sequence[CellTiming]) -> tuple[CellTiming, ...]:
    """Add the efficiency of all steps, relative to the best peak of all timings, and the best other speeds.

    A single timing may measure the peak too low: busy-waiting threads of PyTensor left half of it, and the
    efficiency of zoo was 1.4.
    """
    best = max(timing.peak_gflops for timing in timings)
    speeds: dict[str, float] = {}
    for demand in itertools.chain(*(timing.demands for timing in timings)):
        speeds[demand.resource] = max(demand.speed, speeds.get(demand.resource, 0.0))
    return tuple(
        replace(
            timing,
            demands=tuple(replace(demand, speed=speeds[demand.resource]) for demand in timing.demands),
            steps=tuple(
                step
                if step.least_s is None
                else replace(step, efficiency=timing.flops / step.least_s / 1e9 / best)
                for step in timing.steps
            ),
        )
        for timing in timings
    )


def make_problem(own: PeerProcess, cell: str, shape: Shape, settings: Settings, path: str) -> dict[str, Any]:
    """Let zoo write a problem to a file; return its floating-point operations."""
    return own.ask(
        "make_problem",
        cell=cell,
        shape=str(shape),
        dtype=settings.dtype,
        precision=settings.precision,
        threads=settings.threads,
        inputs=settings.inputs,
        measure=settings.measure,
        path=path,
    )


def _run_rounds(runs: Sequence[PeerRun], settings: Settings, speeds: _Speeds) -> None:
    """Run all rounds, and measure the speeds of the processor between them."""
    for _ in range(ROUNDS):
        speeds.measure()
        for run in runs:
            run.run_round(settings.seconds / ROUNDS)


def _prepare_peer(
    peer: PeerProcess, cell: str, shape: Shape, settings: Settings, path: str, reference: dict[str, Any]
) -> PeerRun | StepTiming:
    """Prepare a peer; a record with the reason if it is rejected."""
    try:
        answer = peer.ask("build", path=path, clock=settings.clock)
        if "unsupported" in answer:
            return StepTiming(cell, str(shape), peer.name, note=f"not measured: {answer['unsupported']}")
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
    return _gradient_mismatch(reference.get("gradients", {}), answer.get("gradients", {}))


def _gradient_mismatch(
    reference: Mapping[str, Sequence[float]], answer: Mapping[str, Sequence[float]]
) -> str:
    """The first parameter whose gradient differs in its norm or its product with a random vector.

    A difference counts relative to the norm of this gradient, plus a thousandth of that of all: the rounding
    errors of a gradient that is almost zero are those of its terms.
    """
    total = math.hypot(*(norm for norm, _ in reference.values()))
    for name, numbers in answer.items():
        expected = reference[name]
        allowed = GRADIENT_TOLERANCE * (expected[0] + 1e-3 * total)
        for number, wanted, label in zip(numbers, expected, ("norm", "projection"), strict=True):
            if not abs(number - wanted) <= allowed:
                return f"the {label} of its gradient of {name} is {number:.6g}, that of zoo {wanted:.6g}"
    return ""


def _start_run(process: PeerProcess, cell: str, shape: Shape, answer: dict[str, Any]) -> PeerRun:
    note = answer["note"] or answer["remark"]
    step = StepTiming(cell, str(shape), process.name, first_s=answer["first_s"], way=answer["way"], note=note)
    seconds = process.ask("run", calls=2)["seconds"]
    return PeerRun(process, step, min(seconds))


SIZES: dict[str, tuple[Shape, ...]] = {
    "T": tuple(Shape(steps, 8, 64) for steps in (16, 64, 256, 1024, 4096, 10_000)),
    "B": tuple(Shape(64, batch, 64) for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    "H": tuple(Shape(32, 8, hidden) for hidden in (32, 64, 128, 256, 512, 1024)),
}


def measure_scaling(
    cell: str, letter: str, settings: Settings, own: PeerProcess, folder: Path
) -> Iterator[Growth]:
    """Time zoo alone at every value of one size.

    Raises:
        BenchError: if zoo fails.
    """
    for shape in SIZES[letter]:
        step = time_cell(cell, shape, settings, own, (), folder).zoo_step
        assert step.least_s
        assert step.median_s
        ns, size = 1e9 / shape.tokens, {"T": shape.steps, "B": shape.batch, "H": shape.hidden}[letter]
        yield Growth(cell, letter, str(shape), size, step.least_s * ns, step.median_s * ns)


HIDDEN = 128

_SCRIPT = f"""\
import sys
import zoo
options = {{"dtype": sys.argv[2], "precision": sys.argv[3]}}
model = zoo.LanguageModel(tuple(map(str, range({SYMBOLS}))), sys.argv[1], {HIDDEN}, **options)
model.loss_and_grad([[0], [1]], [[1], [2]])
print("done", flush=True)
"""


def measure_startup(cell: str, settings: Settings) -> StartupTime:
    """Compile and load time of a cell, in two processes with a new cache.

    Raises:
        BenchError: if a process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        variables = {**environment(settings.threads), "ZOO_CACHE_DIR": folder}
        words = cell, settings.dtype, settings.precision or settings.dtype
        return StartupTime(cell, *(_seconds_to_first_step(words, variables) for _ in ("compiled", "loaded")))


def _seconds_to_first_step(words: Sequence[str], variables: Mapping[str, str]) -> float:
    started = time.perf_counter()
    with subprocess.Popen(python_command(_SCRIPT, *words), env=variables, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if line.strip() != b"done":
        raise BenchError(
            f"bench: {words[0]} does not start in a new process; exit code {process.returncode}."
        )
    return seconds


_TRIAL_LENGTH = 100  # symbols, to estimate how many fit into a round


def measure_sampling(
    cell: str, settings: Settings, own: PeerProcess, peers: Iterable[PeerProcess], folder: Path
) -> Iterator[SamplingSpeed]:
    """Time zoo and the peers that can sample, interleaved.

    Raises:
        BenchError: if one of them fails.
    """
    path = str(folder / "problem.npz")
    make_problem(own, cell, Shape(1, 1, HIDDEN), replace(settings, inputs="tokens", measure="model"), path)
    processes = [own, *(peer for peer in peers if peer.can_sample and peer.supports(cell))]
    for process in processes:
        process.ask("sampler", path=path)
    lengths = [_length(process, settings.seconds / ROUNDS) for process in processes]
    rounds = [
        [
            length / process.ask("sample", length=length)["seconds"]
            for process, length in zip(processes, lengths, strict=True)
        ]
        for _ in range(ROUNDS)
    ]
    for process, speeds in zip(processes, zip(*rounds, strict=True), strict=True):
        yield SamplingSpeed(cell, HIDDEN, process.name, max(speeds), statistics.median(speeds))


def _length(process: PeerProcess, budget: float) -> int:
    """Number of symbols that fit into ``budget`` seconds."""
    seconds = [process.ask("sample", length=_TRIAL_LENGTH)["seconds"] for _ in range(3)]
    return max(_TRIAL_LENGTH, int(budget / min(seconds) * _TRIAL_LENGTH))
