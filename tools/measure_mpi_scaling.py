"""How well do ranks share a training step, and what would more of them bring? Measures, and makes the tables.

    python tools/measure_mpi_scaling.py --page docs/scaling.md

starts itself under mpiexec with one process and with two, one thread each. It times the step of an LSTM and
the sum of a gradient, fits the time of a message and the numbers it carries per second, and compares what
that predicts of the step with what was measured. Then it asks the same model about other machines.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import zoo
from zoo.bench.machine import machine_info
from zoo.distributed.launch import process_group
from zoo.distributed.mpi import CHUNK
from zoo.distributed.process_group import ProcessGroup
from zoo.tables import DocumentMarker, TextTable

CELL, SYMBOLS, STEPS, BATCH = "lstm", 65, 64, 128
HIDDEN = (64, 128, 256, 512)
SIZES = (3_000, 30_000, 300_000, 3_000_000)
# What is asked of the model: numbers in single precision, so four bytes; networks as their makers call them.
NETWORKS = {"10 Gbit/s, 30 us": (1.25e9 / 4, 30e-6), "100 Gbit/s, 3 us": (12.5e9 / 4, 3e-6)}
RANKS = (2, 4, 8, 16, 1000)
FAR = (64, 256, 1024, 8192)


@dataclass(frozen=True)
class Link:
    """What it costs to send: a message takes ``latency + numbers / rate`` seconds."""

    rate: float
    latency: float

    def message(self, numbers: float) -> float:
        """Seconds that a message takes."""
        return self.latency + numbers / self.rate

    def total(self, numbers: int, ranks: int) -> float:
        """Seconds to sum a gradient along the ranks, in parts, and to tell everybody."""
        if ranks == 1:
            return 0.0
        parts, part = math.ceil(numbers / CHUNK), min(numbers, CHUNK)
        along = (parts + ranks - 2) * self.message(part)
        return along + math.ceil(math.log2(ranks)) * self.message(numbers)


def least(work: Callable[[], object], times: int) -> float:
    """The least of several times, in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def model_of(hidden: int, ranks: ProcessGroup) -> zoo.LanguageModel:
    """A model whose work these ranks share."""
    model = zoo.LanguageModel([str(n) for n in range(SYMBOLS)], CELL, hidden_size=hidden, threads=1)
    model.process_group = ranks
    return model


def measured(ranks: ProcessGroup) -> dict[str, dict[str, float]]:
    """Seconds of steps by hidden units, and of sums by how many numbers."""
    tokens = np.random.default_rng(0).integers(0, SYMBOLS, (STEPS + 1, BATCH))
    steps, sums = {}, {}
    for hidden in HIDDEN:
        model = model_of(hidden, ranks)
        steps[str(hidden)] = least(partial(model.loss_and_grad, tokens[:-1], tokens[1:]), 12)
    for size in SIZES:
        total = np.zeros(size, np.float32)
        sums[str(size)] = least(partial(ranks.sum_gradients, [], total, BATCH), 30)
    return {"steps": steps, "sums": sums}


def fitted(sums: dict[str, float]) -> Link:
    """The link of two ranks that explains their sums best, in relative terms."""
    sizes = np.array(SIZES)
    parts = np.ceil(sizes / CHUNK)
    terms = np.stack([parts + 1, 2 * sizes], axis=1)  # messages, and numbers that travel
    seconds = np.array([sums[str(size)] for size in SIZES])
    latency, each = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(SIZES)), rcond=None)[0]
    return Link(1 / each, max(latency, 0.0))


def parameters(hidden: int) -> int:
    """Of the model."""
    return 4 * hidden * (SYMBOLS + hidden + 1) + (hidden + 1) * SYMBOLS


def pages(one: dict[str, dict[str, float]], two: dict[str, dict[str, float]]) -> Iterator[str]:
    """The lines of both tables."""
    link = fitted(two["sums"])
    where = f"{machine_info()['processor']}, two ranks in shared memory"
    yield f"{where}: {link.latency * 1e6:.0f} us a message, {link.rate * 4e-9:.2f} GB/s."
    yield ""
    measured = TextTable(
        "",
        ("H", "parameters", "one rank, ms", "two ranks, ms", "predicted, ms", "efficiency"),
        tuple(tuple(_row_here(hidden, one, two, link)) for hidden in HIDDEN),
        right=tuple(range(6)),
    )
    predicted = TextTable(
        "",
        ("network", "H", *(f"{ranks:,}" for ranks in RANKS)),
        tuple(tuple(_row_far(name, hidden, one)) for name in NETWORKS for hidden in FAR),
        right=tuple(range(1, 2 + len(RANKS))),
    )
    yield from (*measured.markdown(), "", *predicted.markdown(), "")


def _row_here(
    hidden: int, one: dict[str, dict[str, float]], two: dict[str, dict[str, float]], link: Link
) -> list[str]:
    alone, both = one["steps"][str(hidden)], two["steps"][str(hidden)]
    expected = alone / 2 + link.total(parameters(hidden), 2)
    figures = [f"{seconds * 1e3:.2f}" for seconds in (alone, both, expected)]
    return [str(hidden), f"{parameters(hidden):,}", *figures, f"{alone / both / 2:.0%}"]


def _row_far(name: str, hidden: int, one: dict[str, dict[str, float]]) -> list[str]:
    """How many times faster so many ranks would be; a batch has sixteen shards at most."""
    link, alone = Link(*NETWORKS[name]), _step(hidden, one["steps"])
    speedups = [
        alone / (alone / min(ranks, 16) + link.total(parameters(hidden), min(ranks, 16))) for ranks in RANKS
    ]
    return [name, f"{hidden:,}", *(f"{speedup:.1f}" for speedup in speedups)]


def _step(hidden: int, steps: dict[str, float]) -> float:
    """Seconds of a step: measured, or as many for each parameter as with the most units measured."""
    if str(hidden) in steps:
        return steps[str(hidden)]
    return steps[str(HIDDEN[-1])] * parameters(hidden) / parameters(HIDDEN[-1])


def launched(ranks: int) -> dict[str, dict[str, float]]:
    """What so many processes measure."""
    command = ["mpiexec", "-n", str(ranks), sys.executable, __file__, "--worker"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the tables into the marked place of a page, or print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="where to write the tables")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.worker:
        ranks = process_group()
        found = measured(ranks)
        if ranks.is_root:
            print(json.dumps(found))
        return 0
    lines = "\n".join(pages(launched(1), launched(2))).strip()
    if chosen.page is None:
        print(lines)
    else:
        DocumentMarker(chosen.page, "", "measure_ranks").write("python tools/measure_mpi_scaling.py", [lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
