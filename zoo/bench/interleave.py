"""Training steps in turn: a few of one contender, a few of the next, round after round.

What disturbs a machine for a while then disturbs all of them, and their ratios least of all.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.bench.peer_process import BenchError, Contender
from zoo.bench.results import Race, Step
from zoo.bench.settings import Settings, Shape

ROUNDS = 6
LOSS, GRADIENT = 1e-4, 1e-3  # how far a peer may be off, relatively
_MOST_CALLS = 2000  # a turn


@dataclass
class Runner:
    """A contender that is ready, and what it did so far.

    Args:
        contender: Its process.
        step: What is known before it runs.
        guess: Seconds of one call.
        seconds: Of every call that counts.
        busy: Busy processors of every turn.
    """

    contender: Contender
    step: Step
    guess: float
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def turn(self, budget: float) -> None:
        """Run for a while; where calls are short, the first one warms the caches and does not count."""
        calls = min(max(1, round(budget / self.guess)), _MOST_CALLS)
        answer = self.contender.ask("run", calls=calls + (calls > 1))
        self.seconds += answer["seconds"][-calls:]
        self.busy.append(answer["busy"])
        self.guess = min(self.seconds)

    def result(self) -> Step:
        """What its calls say."""
        return replace(
            self.step,
            least_s=min(self.seconds),
            median_s=statistics.median(self.seconds),
            calls=len(self.seconds),
            busy=statistics.median(self.busy),
        )


def race(
    cell: str, shape: Shape, settings: Settings, ours: Contender, peers: Iterable[Contender], folder: Path
) -> Race:
    """Measure everybody who can compute a cell, at one shape.

    Args:
        cell: Name of the cell.
        shape: Sizes of the step.
        settings: Threads, dtype and seconds.
        ours: zoo's process.
        peers: Those who may take part.
        folder: Where the problem is written.

    Raises:
        BenchError: if zoo itself fails.
    """
    path = str(folder / "problem.npz")
    posed = pose(ours, cell, shape, settings, path)
    answer = ours.ask("build", path=path)
    runners = [_runner(ours, cell, shape, answer)]
    refused: dict[str, Step] = {}
    able = [peer for peer in peers if peer.has(cell)]
    for peer in able:
        found = _join(peer, cell, shape, path, answer)
        if isinstance(found, Step):
            refused[peer.name] = found
        else:
            runners.append(found)
    peak = _run(runners, settings)
    done = {runner.contender.name: runner.result() for runner in runners} | refused
    steps = tuple(done[contender.name] for contender in (ours, *able))
    return Race(cell, str(shape), peak, posed["flops"], posed["counted"], steps)


def in_parts_of_peak(races: Sequence[Race]) -> tuple[Race, ...]:
    """The races, with the efficiency of all steps: in parts of the best peak that was seen in any race.

    A processor has one. In a single race it may be seen too low: threads of PyTensor wait so busily for each
    other that half of it was left, and zoo did 1.4 times what could be done.
    """
    best = max(race.peak_gflops for race in races)
    return tuple(
        replace(race, steps=tuple(_in_parts_of(best, race.flops, step) for step in race.steps))
        for race in races
    )


def _in_parts_of(peak: float, flops: int, step: Step) -> Step:
    """A step with its efficiency, if it was timed."""
    return step if step.least_s is None else replace(step, efficiency=flops / step.least_s / 1e9 / peak)


def pose(ours: Contender, cell: str, shape: Shape, settings: Settings, path: str) -> dict[str, Any]:
    """Have zoo write a problem to a file; it answers with the problem's floating point operations."""
    sizes = [shape.steps, shape.batch, shape.hidden]
    return ours.ask("pose", cell=cell, shape=sizes, dtype=settings.dtype, threads=settings.threads, path=path)


def _run(runners: Sequence[Runner], settings: Settings) -> float:
    """All rounds; the peak is the best that was seen between them."""
    ours = runners[0].contender
    peaks: list[float] = []
    for _ in range(ROUNDS):
        peaks.append(ours.ask("peak", threads=settings.threads, dtype=settings.dtype)["gflops"])
        for runner in runners:
            runner.turn(settings.seconds / ROUNDS)
    return max(peaks)


def _join(peer: Contender, cell: str, shape: Shape, path: str, ours: dict[str, Any]) -> Runner | Step:
    """A peer that is ready to run, or why it is refused."""
    try:
        answer = peer.ask("build", path=path)
        complaint = "" if answer["note"] else difference(ours, answer)
        if not complaint:
            return _runner(peer, cell, shape, answer)
    except BenchError as error:
        complaint = f"it fails ({error})"
    return Step(cell, str(shape), peer.name, note=f"refused: {complaint}")


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """How two answers about one problem differ; empty if they are equal but for rounding."""
    for key, words, tolerance in (("loss", "loss", LOSS), ("gradient", "norm of the gradient", GRADIENT)):
        if not abs(theirs[key] - ours[key]) <= tolerance * abs(ours[key]):
            return f"its {words} is {theirs[key]:.6g}, that of zoo {ours[key]:.6g}"
    return ""


def _runner(contender: Contender, cell: str, shape: Shape, answer: dict[str, Any]) -> Runner:
    note = answer["note"] or answer["remark"]
    step = Step(cell, str(shape), contender.name, first_s=answer["first_s"], way=answer["way"], note=note)
    seconds = contender.ask("run", calls=2)["seconds"]
    return Runner(contender, step, min(seconds))
