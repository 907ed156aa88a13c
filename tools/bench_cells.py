"""Measure derived kernels: compare them with kernels written by hand and with the peak of the machine.

    python tools/bench_cells.py --twin
    python tools/bench_cells.py --cells lstm,gru --sizes 64,32,128 --dtype float32 --json figures.json

``--twin`` alternates the vanilla cell, whose kernels are written by hand, with the same cell and derived
kernels. Otherwise the program measures all cells, or those of ``--cells``: lines of code, and the time to
plan, compile, load and run. Each time is the minimum of many runs in processor time, which other processes
disturb little. Only ``layer_ns`` is wall-clock time, because all threads compute: run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table
from zoo_cells.classic.vanilla import Vanilla

import zoo
from zoo import kernels
from zoo.bench.timing import Sizes, Work, inputs, kernel_passes, min_time, run_alternating
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import cost_of
from zoo.layers.sharding import ROWS_PER_TILE

Array = Any

SYMBOLS = 65  # I: the characters of tiny-shakespeare
VANILLA_SIZES: list[Sizes] = [(64, 8, 128), (64, 8, 256), (64, 8, 512), (128, 8, 64), (25, 1, 100)]
TIMEOUT = 600.0  # seconds for a process that compiles


class DerivedVanilla(zoo.Cell):
    """The vanilla cell without its own kernels."""

    card = Vanilla.card
    Wxh = zoo.Param("I", "H", init="hidden_uniform")
    Whh = zoo.Param("H", "H", init="hidden_uniform")
    bh = zoo.Param("H", init="hidden_uniform")
    h = zoo.State("H")

    def step(self, x: Array, h: Array) -> Array:  # noqa: D102
        return np.tanh(x @ self.Wxh + h @ self.Whh + self.bh)


@dataclass(frozen=True)
class Ratio:
    """Times of derived kernels, compared with kernels written by hand (forward and backward pass).

    Args:
        dtype: dtype of all arrays.
        x: ``tokens`` or ``dense``.
        sizes: T, B and H.
        derived_ms: Minimum processor time of the derived kernels.
        hand_ms: Minimum processor time of the kernels written by hand.
        least: Ratio of the two minima.
        median: Median ratio of alternating runs.
        lowest: Smallest median of all placements in memory.
        highest: Largest median of all placements in memory.
        derived_faults: Mean page faults of one run of the derived kernels.
        hand_faults: Mean page faults of one run of the kernels written by hand.
    """

    dtype: str
    x: str
    sizes: Sizes
    derived_ms: float
    hand_ms: float
    least: float
    median: float
    lowest: float
    highest: float
    derived_faults: float
    hand_faults: float


@dataclass(frozen=True)
class CellMeasurement:
    """Code size and times of one cell.

    Args:
        cell: Its name.
        lines: Lines of its file.
        step: Lines of its ``step``. None if it has its own kernels.
        plan_s: Processor seconds to trace and differentiate ``step``, and to plan and write the kernels.
        compile_s: Processor seconds of the first forward and backward pass. Only the kernels that cells share
            are in the cache.
        load_s: The same in the next process, with all kernels in the cache.
        shard_ns: Processor nanoseconds per token, forward and backward, of eight sequences in one thread.
        shard_faults: Mean page faults of one run of the shard.
        layer_ns: Wall-clock nanoseconds per token of the whole batch in all threads, with ``zoo.Recurrent``.
        flops: Floating-point operations in matrix products, per token, forward and backward.
        peak_gflops: Speed of ``kernels.add_matmul`` for (8, 512) by (512, 2048).
        efficiency: Time of the products at peak speed, as a part of the time of the shard; None without
            products.
        rest_ns: Remaining nanoseconds per hidden unit and token, without the products at peak speed.
    """

    cell: str
    lines: int
    step: int | None
    plan_s: float
    compile_s: float
    load_s: float
    shard_ns: float
    shard_faults: float
    layer_ns: float
    flops: int
    peak_gflops: float
    efficiency: float | None
    rest_ns: float


# --- times ----------------------------------------------------------------------------------------------


def layer_passes(cell: zoo.Cell, sizes: Sizes, dtype: str) -> Work:
    """Return a forward and backward pass of a batch through ``zoo.Recurrent``."""
    layer = zoo.Recurrent(cell, SYMBOLS, sizes[2], dtype=dtype)
    x = inputs(sizes, dtype, SYMBOLS, True)

    def work() -> Any:
        y, _ = layer.forward(x)
        return layer.backward(y)

    return work


def peak_gflops(dtype: str, budget: float) -> float:
    """Measure the GFLOP/s of one thread in the fastest product."""
    rng = np.random.default_rng(0)
    a, w = rng.normal(size=(8, 512)).astype(dtype), rng.normal(size=(512, 2048)).astype(dtype)
    panels, c = kernels.pack(w), np.zeros((8, 2048), dtype)
    seconds, _ = min_time(lambda: kernels.add_matmul(a, panels, c), budget)
    return float(2 * a.size * w.shape[1]) / seconds / 1e9


# --- derived kernels and kernels written by hand -------------------------------------------------------


def compare_kernels(placements: int, budget: float) -> Iterator[Ratio]:
    """Compare both kinds of kernels for every dtype, kind of x and size."""
    for dtype, x, sizes in product(("float32", "float64"), ("tokens", "dense"), VANILLA_SIZES):
        yield summarize(
            dtype, x, sizes, [time_placement(dtype, x, sizes, n, budget) for n in range(placements)]
        )


def time_placement(dtype: str, x: str, sizes: Sizes, seed: int, budget: float) -> Array:
    """Alternate both kinds of kernels, with arrays at random positions in memory."""
    rng = np.random.default_rng(seed)
    between = [np.empty(int(size), np.uint8) for size in rng.integers(100, 200_000, 20)]
    works = [
        kernel_passes(cell, sizes, dtype, SYMBOLS, x == "tokens") for cell in (DerivedVanilla(), Vanilla())
    ]
    for work in works:
        work()
    times = run_alternating(works, budget)
    del between  # as long as they live, later arrays have other positions
    return times


def summarize(dtype: str, x: str, sizes: Sizes, times: list[Array]) -> Ratio:
    """Summarise the times of all placements."""
    (derived, hand), faults = np.concatenate(times)[:, :, 0].T, np.concatenate(times)[:, :, 1].mean(axis=0)
    medians = [float(np.median(runs[:, 0, 0] / runs[:, 1, 0])) for runs in times]
    minima = (float(derived.min() * 1e3), float(hand.min() * 1e3))
    spread = (float(np.median(derived / hand)), min(medians), max(medians))
    return Ratio(dtype, x, sizes, *minima, minima[0] / minima[1], *spread, *map(float, faults))


# --- the cells ------------------------------------------------------------------------------------------


def measure_cells(names: list[str], sizes: Sizes, dtype: str, budget: float) -> Iterator[CellMeasurement]:
    """Measure every cell."""
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder) / "shared"
        subprocess.run(child_command("--warm", dtype), check=True, timeout=TIMEOUT, env=environment(shared))
        for name in names:
            first, later = first_calls(name, dtype, shared, Path(folder) / name)
            yield measure_cell(zoo.get_cell(name), sizes, dtype, budget, first, later)


def measure_cell(
    cell: zoo.Cell, sizes: Sizes, dtype: str, budget: float, first: dict[str, float], later: dict[str, float]
) -> CellMeasurement:
    """Measure one cell, given the times of its first call in two processes."""
    steps, batch, hidden = sizes
    top, flops = peak_gflops(dtype, budget / 4), product_flops(cell, hidden)
    shard_s, faults = min_time(kernel_passes(cell, (steps, ROWS_PER_TILE, hidden), dtype, SYMBOLS), budget)
    layer_s, _ = min_time(layer_passes(cell, sizes, dtype), budget, time.perf_counter)
    alone, in_products = shard_s / (steps * ROWS_PER_TILE), flops / (top * 1e9)
    return CellMeasurement(
        cell.name,
        *count_lines(cell),
        first["plan"],
        first["run"],
        later["run"],
        alone * 1e9,
        faults,
        layer_s / (steps * batch) * 1e9,
        flops,
        top,
        in_products / alone if flops else None,
        (alone - in_products) / hidden * 1e9,
    )


def count_lines(cell: zoo.Cell) -> tuple[int, int | None]:
    """Count the lines of a cell's file, and of its ``step`` if its kernels are derived."""
    text = Path(inspect.getfile(type(cell))).read_text(encoding="utf-8")
    step = len(inspect.getsourcelines(vars(type(cell))["step"])[0]) if cell.is_derived() else None
    return len(text.splitlines()), step


def product_flops(cell: zoo.Cell, hidden: int) -> int:
    """Count operations in products per token, forward and backward. Only vanilla has its own kernels."""
    derived = cell if cell.is_derived() else DerivedVanilla()
    plan = plan_kernels(derived)
    costs = cost_of(plan.forward), cost_of(plan.backward, plan.gradient.dx)
    return sum(int(cost.by_tokens.evaluate(derived.size_values(SYMBOLS, hidden))) for cost in costs)


# --- new processes, because only the first call compiles or loads --------------------------------------


def child_command(*arguments: str) -> list[str]:
    """Return the command that runs this file in a new process."""
    return [sys.executable, __file__, *arguments]


def environment(cache: Path) -> dict[str, str]:
    """Return this process's environment with another kernel cache."""
    return {**os.environ, "ZOO_CACHE_DIR": str(cache)}


def first_calls(name: str, dtype: str, shared: Path, cache: Path) -> list[dict[str, float]]:
    """Time the first call of a cell in two processes: the first compiles, the second loads."""
    shutil.copytree(shared, cache)
    command = child_command("--begin", name, "--dtype", dtype)
    times = []
    for _ in ("compiled", "loaded"):
        process = subprocess.run(
            command, check=True, timeout=TIMEOUT, env=environment(cache), stdout=subprocess.PIPE
        )
        times.append(json.loads(process.stdout))
    return times


def first_call(name: str, dtype: str) -> dict[str, float]:
    """Measure the processor seconds to plan a cell and to run it once, after Numba has started.

    One thread does all of it. The time of other processes does not count.
    """
    kernels.pack(np.zeros((2, 2), dtype))
    cell = zoo.get_cell(name)
    moments = [time.process_time()]
    if cell.is_derived():
        plan_kernels(cell)
    moments.append(time.process_time())
    kernel_passes(cell, (2, 1, 128), dtype, SYMBOLS)()
    moments.append(time.process_time())
    return {"plan": moments[1] - moments[0], "run": moments[2] - moments[1]}


def compile_shared_kernels(dtype: str) -> None:
    """Compile the kernels that cells share, for tokens and floats."""
    a, w, c = np.zeros((6, 4), dtype), np.zeros((4, 5), dtype), np.zeros((6, 5), dtype)
    heads, row = w[None].copy(), c[0].copy()
    kernels.add_matmul(a, kernels.pack(w), c)
    kernels.add_matmul(c, kernels.pack_transposed(w), a)
    kernels.add_matmul_ta(a, c, w)
    kernels.add_matmul_heads(a, 0, kernels.pack_heads(heads), c, 0, 5)
    kernels.add_matmul_heads(c, 0, kernels.pack_heads_transposed(heads), a, 0, 4)
    kernels.add_matmul_ta_heads(a, 0, c, 0, heads)
    for x in (np.zeros((3, 2), np.int32), np.zeros((3, 2, 4), dtype)):
        y = kernels.project(x, w, row)
        kernels.project_backward(x, w, y)
        kernels.to_dense(x, 4, row)


# --- output ---------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Describe the machine and the versions."""
    return {
        "processor": processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "zoo": zoo.__version__,
    }


def processor() -> str:
    """Return the name of the processor."""
    file = Path("/proc/cpuinfo")
    info = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show_table(console: Console, title: str, kind: type[Any], rows: Iterator[Any]) -> list[dict[str, Any]]:
    """Show each row in a table when it is measured, and return all rows for JSON."""
    table = Table(title=title)
    for index, field in enumerate(fields(kind)):
        table.add_column(field.name.replace("_", "\n"), justify="right" if index else "left")
    values = []
    with Live(table, console=console, refresh_per_second=1):
        for each in rows:
            values.append(asdict(each))
            table.add_row(*map(format_value, values[-1].values()))
    console.print()
    return values


def format_value(value: Any) -> str:
    """Format a value of a table, a float with three digits."""
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    return "" if value is None else str(value)


def argument_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--twin", action="store_true", help="compare derived kernels with kernels written by hand"
    )
    parser.add_argument("--cells", metavar="A,B", help="names of cells (default: all)")
    parser.add_argument(
        "--sizes", default="64,32,128", metavar="T,B,H", help="steps, batch size and hidden units"
    )
    parser.add_argument(
        "--dtype", default="float32", choices=("float32", "float64"), help="dtype of the cells"
    )
    parser.add_argument(
        "--placements", type=int, default=5, metavar="N", help="placements in memory for --twin"
    )
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="seconds for each time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the results")
    parser.add_argument("--begin", help=argparse.SUPPRESS)
    parser.add_argument("--warm", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure, show tables and write the results."""
    arguments = argument_parser().parse_args()
    if arguments.warm:
        compile_shared_kernels(arguments.warm)
    elif arguments.begin:
        print(json.dumps(first_call(arguments.begin, arguments.dtype)))
    else:
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Compare the two kinds of kernels, measure cells, or both."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    results: dict[str, Any] = {"machine": machine()}
    console.print(results["machine"])
    if arguments.twin:
        title = f"derived kernels and kernels written by hand, I={SYMBOLS}"
        results["twin"] = show_table(
            console, title, Ratio, compare_kernels(arguments.placements, arguments.seconds)
        )
    if arguments.cells or not arguments.twin:
        names = arguments.cells.split(",") if arguments.cells else zoo.list_cells()
        steps, batch, hidden = map(int, arguments.sizes.split(","))
        title = f"{arguments.dtype}, T={steps}, B={batch}, I={SYMBOLS} tokens, H={hidden}"
        rows = measure_cells(names, (steps, batch, hidden), arguments.dtype, arguments.seconds)
        results["cells"] = show_table(console, title, CellMeasurement, rows)
    console.print(f"load average at the end: {os.getloadavg()[0]:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
