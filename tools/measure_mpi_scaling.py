"""Measure the training step with several MPI ranks, and predict it for more ranks.

    python tools/measure_mpi_scaling.py --page docs/scaling.md

starts itself under mpiexec with one process and with two, one thread each. It times the training step of an
LSTM and the all-reduce of a gradient, fits the latency and the bandwidth of a message, and compares the
predicted time of a step with the measured one. Then it applies the same model to other networks.
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
from zoo.distributed import process_group
from zoo.distributed.collectives import ProcessGroup
from zoo.distributed.mpi import CHUNK
from zoo.storage.document_marker import DocumentMarker
from zoo.tables import TextTable

CELL, SYMBOLS, STEPS, BATCH = "lstm", 65, 64, 128
HIDDEN = (64, 128, 256, 512)
SIZES = (3_000, 30_000, 300_000, 3_000_000)
# Networks of the predictions: float32 elements per second (four bytes each), and latency in seconds.
NETWORKS = {"10 Gbit/s, 30 us": (1.25e9 / 4, 30e-6), "100 Gbit/s, 3 us": (12.5e9 / 4, 3e-6)}
RANKS = (2, 4, 8, 16, 1000)
FAR = (64, 256, 1024, 8192)


@dataclass(frozen=True)
class Link:
    """Cost model of a message: it takes ``latency + elements / rate`` seconds."""

    rate: float
    latency: float

    def message(self, elements: float) -> float:
        """Predict the seconds of a message."""
        return self.latency + elements / self.rate

    def total(self, elements: int, ranks: int) -> float:
        """Predict the seconds of an all-reduce: a chunked sum along the ranks, then a broadcast."""
        if ranks == 1:
            return 0.0
        chunks, chunk = math.ceil(elements / CHUNK), min(elements, CHUNK)
        reduction = (chunks + ranks - 2) * self.message(chunk)
        return reduction + math.ceil(math.log2(ranks)) * self.message(elements)


def min_seconds(work: Callable[[], object], times: int) -> float:
    """Measure the minimum of several times, in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def model_of(hidden: int, ranks: ProcessGroup) -> zoo.LanguageModel:
    """Make a data-parallel model."""
    model = zoo.LanguageModel([str(n) for n in range(SYMBOLS)], CELL, hidden_size=hidden, threads=1)
    model.process_group = ranks
    return model


def measure_times(ranks: ProcessGroup) -> dict[str, dict[str, float]]:
    """Measure the seconds of a training step by hidden units, and of an all-reduce by elements."""
    tokens = np.random.default_rng(0).integers(0, SYMBOLS, (STEPS + 1, BATCH))
    steps, sums = {}, {}
    for hidden in HIDDEN:
        model = model_of(hidden, ranks)
        steps[str(hidden)] = min_seconds(partial(model.loss_and_grad, tokens[:-1], tokens[1:]), 12)
    for size in SIZES:
        total = np.zeros(size, np.float32)
        sums[str(size)] = min_seconds(partial(ranks.sum_gradients, [], total, BATCH), 30)
    return {"steps": steps, "sums": sums}


def fit_link(sums: dict[str, float]) -> Link:
    """Fit the link of two ranks to the times of their sums, by relative least squares."""
    sizes = np.array(SIZES)
    chunks = np.ceil(sizes / CHUNK)
    terms = np.stack([chunks + 1, 2 * sizes], axis=1)  # messages, and elements in them
    seconds = np.array([sums[str(size)] for size in SIZES])
    latency, each = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(SIZES)), rcond=None)[0]
    return Link(1 / each, max(latency, 0.0))


def parameters(hidden: int) -> int:
    """Count the parameters of the model."""
    return 4 * hidden * (SYMBOLS + hidden + 1) + (hidden + 1) * SYMBOLS


def table_lines(one: dict[str, dict[str, float]], two: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield the lines of both tables."""
    link = fit_link(two["sums"])
    where = f"{machine_info()['processor']}, two ranks in shared memory"
    yield f"{where}: {link.latency * 1e6:.0f} us a message, {link.rate * 4e-9:.2f} GB/s."
    yield ""
    measured = TextTable(
        "",
        ("H", "parameters", "one rank, ms", "two ranks, ms", "predicted, ms", "efficiency"),
        tuple(tuple(_measured_row(hidden, one, two, link)) for hidden in HIDDEN),
        right=tuple(range(6)),
    )
    predicted = TextTable(
        "",
        ("network", "H", *(f"{ranks:,}" for ranks in RANKS)),
        tuple(tuple(_predicted_row(name, hidden, one)) for name in NETWORKS for hidden in FAR),
        right=tuple(range(1, 2 + len(RANKS))),
    )
    yield from (*measured.markdown(), "", *predicted.markdown(), "")


def _measured_row(
    hidden: int, one: dict[str, dict[str, float]], two: dict[str, dict[str, float]], link: Link
) -> list[str]:
    alone, both = one["steps"][str(hidden)], two["steps"][str(hidden)]
    expected = alone / 2 + link.total(parameters(hidden), 2)
    figures = [f"{seconds * 1e3:.2f}" for seconds in (alone, both, expected)]
    return [str(hidden), f"{parameters(hidden):,}", *figures, f"{alone / both / 2:.0%}"]


def _predicted_row(name: str, hidden: int, one: dict[str, dict[str, float]]) -> list[str]:
    """Predict the speedup of more ranks. A batch has sixteen shards at most."""
    link, alone = Link(*NETWORKS[name]), _step_seconds(hidden, one["steps"])
    speedups = [
        alone / (alone / min(ranks, 16) + link.total(parameters(hidden), min(ranks, 16))) for ranks in RANKS
    ]
    return [name, f"{hidden:,}", *(f"{speedup:.1f}" for speedup in speedups)]


def _step_seconds(hidden: int, steps: dict[str, float]) -> float:
    """Return the seconds of a step: measured, or extrapolated in proportion to the parameters."""
    if str(hidden) in steps:
        return steps[str(hidden)]
    return steps[str(HIDDEN[-1])] * parameters(hidden) / parameters(HIDDEN[-1])


def measure_in_processes(ranks: int) -> dict[str, dict[str, float]]:
    """Measure in new processes."""
    command = ["mpiexec", "-n", str(ranks), sys.executable, __file__, "--worker"]
    process = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    times: dict[str, dict[str, float]] = json.loads(process.stdout)
    return times


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the tables or write them between the markers of a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="page for the tables")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        ranks = process_group()
        times = measure_times(ranks)
        if ranks.is_root:
            print(json.dumps(times))
        return 0
    lines = "\n".join(table_lines(measure_in_processes(1), measure_in_processes(2))).strip()
    if options.page is None:
        print(lines)
    else:
        DocumentMarker(options.page, "", "measure_ranks").write(
            "python tools/measure_mpi_scaling.py", [lines]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
