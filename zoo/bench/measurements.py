"""Measurements besides training steps: scaling with T, B and H, startup time, and sampling speed.

The time per symbol should be flat in T and B, and quadratic in H.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zoo.bench.interleave import ROUNDS, make_problem, time_cell
from zoo.bench.peer_process import BenchError, PeerProcess, environment
from zoo.bench.results import SamplingSpeed, Scaling, StartupTime
from zoo.bench.settings import SYMBOLS, Settings, Shape
from zoo.processes import python_command

SIZES: dict[str, tuple[Shape, ...]] = {
    "T": tuple(Shape(steps, 8, 64) for steps in (16, 64, 256, 1024, 4096, 10_000)),
    "B": tuple(Shape(64, batch, 64) for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    "H": tuple(Shape(32, 8, hidden) for hidden in (32, 64, 128, 256, 512, 1024)),
}


def measure_scaling(
    cell: str, letter: str, settings: Settings, own: PeerProcess, folder: Path
) -> Iterator[Scaling]:
    """Time zoo alone at every value of one size.

    Raises:
        BenchError: if zoo fails.
    """
    for shape in SIZES[letter]:
        step = time_cell(cell, shape, settings, own, (), folder).zoo_step
        assert step.least_s
        assert step.median_s
        ns = 1e9 / shape.tokens
        yield Scaling(cell, letter, str(shape), _size(shape, letter), step.least_s * ns, step.median_s * ns)


def _size(shape: Shape, letter: str) -> int:
    return {"T": shape.steps, "B": shape.batch, "H": shape.hidden}[letter]


HIDDEN = 128

_SCRIPT = f"""\
import sys
import zoo
model = zoo.LanguageModel(tuple(map(str, range({SYMBOLS}))), sys.argv[1], {HIDDEN}, dtype=sys.argv[2])
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
        return StartupTime(
            cell, *(_seconds_to_first_step(cell, settings.dtype, variables) for _ in ("compiled", "loaded"))
        )


def _seconds_to_first_step(cell: str, dtype: str, variables: Mapping[str, str]) -> float:
    """Seconds from the launch of a process to the end of its first step."""
    started = time.perf_counter()
    with subprocess.Popen(
        python_command(_SCRIPT, cell, dtype), env=variables, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if line.strip() != b"done":
        raise BenchError(f"bench: {cell} does not start in a new process; exit code {process.returncode}.")
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
    make_problem(own, cell, Shape(1, 1, HIDDEN), settings, path)
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
