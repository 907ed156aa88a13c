"""Time per symbol while one size grows: flat in T and B, quadratic in H, if nothing stands in the way.

How long a cell takes to its first training step, in the first process that uses it and in the next.

Symbols per second of one stream, each symbol drawn from what the one before led to.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zoo.bench.interleave import ROUNDS, pose, race
from zoo.bench.peer_process import BenchError, Contender, environment
from zoo.bench.results import Growth, Sampling, Start
from zoo.bench.settings import SYMBOLS, Settings, Shape
from zoo.processes import python_command

SIZES: dict[str, tuple[Shape, ...]] = {
    "T": tuple(Shape(steps, 8, 64) for steps in (16, 64, 256, 1024, 4096, 10_000)),
    "B": tuple(Shape(64, batch, 64) for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    "H": tuple(Shape(32, 8, hidden) for hidden in (32, 64, 128, 256, 512, 1024)),
}


def measure_growth(
    cell: str, letter: str, settings: Settings, ours: Contender, folder: Path
) -> Iterator[Growth]:
    """Time of zoo alone at every size of one letter.

    Raises:
        BenchError: if it fails.
    """
    for shape in SIZES[letter]:
        step = race(cell, shape, settings, ours, (), folder).ours
        assert step.least_s
        assert step.median_s
        each = 1e9 / shape.tokens
        yield Growth(
            cell, letter, str(shape), _size(shape, letter), step.least_s * each, step.median_s * each
        )


def _size(shape: Shape, letter: str) -> int:
    return {"T": shape.steps, "B": shape.batch, "H": shape.hidden}[letter]


_HIDDEN = 128

_SCRIPT = f"""\
import sys
import zoo
model = zoo.LanguageModel(tuple(map(str, range({SYMBOLS}))), sys.argv[1], {_HIDDEN}, dtype=sys.argv[2])
model.loss_and_grad([[0], [1]], [[1], [2]])
print("done", flush=True)
"""


def measure_start(cell: str, settings: Settings) -> Start:
    """Compile and load time of a cell, in two processes with a cache of their own.

    Raises:
        BenchError: if such a process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**environment(settings.threads), "ZOO_CACHE_DIR": folder}
        return Start(cell, *(_launch(cell, settings.dtype, surroundings) for _ in ("compiled", "loaded")))


def _launch(cell: str, dtype: str, surroundings: Mapping[str, str]) -> float:
    """Seconds from the launch of a process to the end of its first step."""
    started = time.perf_counter()
    with subprocess.Popen(
        python_command(_SCRIPT, cell, dtype), env=surroundings, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        seconds = time.perf_counter() - started
    if said.strip() != b"done":
        raise BenchError(f"bench: {cell} does not start in a new process; exit code {process.returncode}.")
    return seconds


HIDDEN = 128

_FIRST = 100  # symbols, from which it is estimated how many fit into a turn


def measure_sampling(
    cell: str, settings: Settings, ours: Contender, peers: Iterable[Contender], folder: Path
) -> Iterator[Sampling]:
    """Speed of zoo and of the peers that can sample, in turn.

    Raises:
        BenchError: if one of them fails.
    """
    path = str(folder / "problem.npz")
    pose(ours, cell, Shape(1, 1, HIDDEN), settings, path)
    takers = [ours, *(peer for peer in peers if peer.samples and peer.has(cell))]
    for taker in takers:
        taker.ask("sampler", path=path)
    lengths = [_length(taker, settings.seconds / ROUNDS) for taker in takers]
    rounds = [
        [
            length / taker.ask("sample", length=length)["seconds"]
            for taker, length in zip(takers, lengths, strict=True)
        ]
        for _ in range(ROUNDS)
    ]
    for taker, speeds in zip(takers, zip(*rounds, strict=True), strict=True):
        yield Sampling(cell, HIDDEN, taker.name, max(speeds), statistics.median(speeds))


def _length(taker: Contender, budget: float) -> int:
    """Symbols that fit into some seconds."""
    seconds = [taker.ask("sample", length=_FIRST)["seconds"] for _ in range(3)]
    return max(_FIRST, int(budget / min(seconds) * _FIRST))
