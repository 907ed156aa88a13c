"""What derived kernels cost: beside kernels written by hand, and beside what the machine can do.

    python tools/bench_cells.py --twin
    python tools/bench_cells.py --cells lstm,gru --sizes 64,32,128 --dtype float32 --json figures.json

With ``--twin`` the vanilla cell, which brings its own kernels, runs in turn with a twin that zoo derives them
for. Otherwise every cell is measured, or those of ``--cells``: what it takes to write, to compile, to load
and to run. Times are the least of many, and those of one processor, which other processes disturb little; but
``layer_ns`` is wall clock, since all threads work on it: let nothing else run then.
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
from zoo.compiler.plan_values import cost_of
from zoo.layers.sharding import ROWS_PER_TILE

Array = Any

SYMBOLS = 65  # I: the characters of tiny-shakespeare
TWIN_SIZES: list[Sizes] = [(64, 8, 128), (64, 8, 256), (64, 8, 512), (128, 8, 64), (25, 1, 100)]
DEADLINE = 600.0  # seconds for a process that compiles


class Twin(zoo.Cell):
    """The vanilla cell by its equations alone."""

    card = Vanilla.card
    Wxh = zoo.Param("I", "H", init="hidden_uniform")
    Whh = zoo.Param("H", "H", init="hidden_uniform")
    bh = zoo.Param("H", init="hidden_uniform")
    h = zoo.State("H")

    def step(self, x: Array, h: Array) -> Array:  # noqa: D102
        return np.tanh(x @ self.Wxh + h @ self.Whh + self.bh)


@dataclass(frozen=True)
class Ratio:
    """Forward and backward of the twin beside those of vanilla.

    Args:
        dtype: Of all numbers.
        x: ``tokens`` or ``dense``.
        sizes: T, B and H.
        derived_ms: Least processor time of the twin.
        hand_ms: Least processor time of vanilla.
        least: Ratio of the two.
        median: Median of the ratios of runs side by side.
        lowest: Least median of any placement in memory.
        highest: Greatest median of any placement in memory.
        derived_faults: Pages that the system had to find for one run of the twin, on average.
        hand_faults: The same for vanilla.
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
class Figures:
    """What one cell costs.

    Args:
        cell: Its name.
        lines: Lines of its file.
        step: Lines of its ``step``; None if it brings its own kernels.
        plan_s: Processor seconds to read ``step``, differentiate, plan and write the kernels.
        compile_s: Processor seconds to the end of the first forward and backward, with those kernels stored
            that cells share, and none of its own.
        load_s: The same in the next process, which finds them stored.
        shard_ns: Processor nanoseconds per token, forward and backward, of eight rows in one thread.
        shard_faults: Pages that the system had to find for one run of the shard, on average.
        layer_ns: Nanoseconds per token, by the clock on the wall, of the whole batch in all threads, through
            ``zoo.Recurrent``.
        flops: Floating point operations in products, per token, forward and backward.
        peak_gflops: What ``kernels.add_matmul`` reached on a (8, 512) by (512, 2048) product.
        efficiency: What the shard reached in products alone, in parts of that; None if it has none.
        rest_ns: Nanoseconds per hidden unit and token beyond what the products take at that speed.
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


# --- running and timing ---------------------------------------------------------------------------------


def whole_layer(cell: zoo.Cell, sizes: Sizes, dtype: str) -> Work:
    """Forward and backward of a batch through the layer that users have."""
    layer = zoo.Recurrent(cell, SYMBOLS, sizes[2], dtype=dtype)
    x = inputs(sizes, dtype, SYMBOLS, True)

    def work() -> Any:
        y, _ = layer.forward(x)
        return layer.backward(y)

    return work


def peak(dtype: str, budget: float) -> float:
    """GFLOP/s of one thread in the product that is fastest."""
    rng = np.random.default_rng(0)
    a, w = rng.normal(size=(8, 512)).astype(dtype), rng.normal(size=(512, 2048)).astype(dtype)
    panels, c = kernels.pack(w), np.zeros((8, 2048), dtype)
    seconds, _ = min_time(lambda: kernels.add_matmul(a, panels, c), budget)
    return float(2 * a.size * w.shape[1]) / seconds / 1e9


# --- the twin -------------------------------------------------------------------------------------------


def ratios(placements: int, budget: float) -> Iterator[Ratio]:
    """The twin beside vanilla for every dtype, kind of x and size."""
    for dtype, x, sizes in product(("float32", "float64"), ("tokens", "dense"), TWIN_SIZES):
        yield ratio(dtype, x, sizes, [placed(dtype, x, sizes, n, budget) for n in range(placements)])


def placed(dtype: str, x: str, sizes: Sizes, seed: int, budget: float) -> Array:
    """Runs of the twin and of vanilla in turn, their arrays somewhere in memory."""
    rng = np.random.default_rng(seed)
    between = [np.empty(int(size), np.uint8) for size in rng.integers(100, 200_000, 20)]
    works = [kernel_passes(cell, sizes, dtype, SYMBOLS, x == "tokens") for cell in (Twin(), Vanilla())]
    for work in works:
        work()
    found = run_alternating(works, budget)
    del between  # as long as they live, what comes after them lies elsewhere
    return found


def ratio(dtype: str, x: str, sizes: Sizes, found: list[Array]) -> Ratio:
    """What the runs of all placements say."""
    (derived, hand), faults = np.concatenate(found)[:, :, 0].T, np.concatenate(found)[:, :, 1].mean(axis=0)
    medians = [float(np.median(runs[:, 0, 0] / runs[:, 1, 0])) for runs in found]
    times = (float(derived.min() * 1e3), float(hand.min() * 1e3))
    spread = (float(np.median(derived / hand)), min(medians), max(medians))
    return Ratio(dtype, x, sizes, *times, times[0] / times[1], *spread, *map(float, faults))


# --- the cells ------------------------------------------------------------------------------------------


def figures(names: list[str], sizes: Sizes, dtype: str, budget: float) -> Iterator[Figures]:
    """What every cell costs."""
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder) / "shared"
        subprocess.run(child("--warm", dtype), check=True, timeout=DEADLINE, env=environment(shared))
        for name in names:
            first, later = beginnings(name, dtype, shared, Path(folder) / name)
            yield measured(zoo.get_cell(name), sizes, dtype, budget, first, later)


def measured(
    cell: zoo.Cell, sizes: Sizes, dtype: str, budget: float, first: dict[str, float], later: dict[str, float]
) -> Figures:
    """What one cell costs, given how it began in two processes."""
    steps, batch, hidden = sizes
    top, flops = peak(dtype, budget / 4), product_flops(cell, hidden)
    shard_s, faults = min_time(kernel_passes(cell, (steps, ROWS_PER_TILE, hidden), dtype, SYMBOLS), budget)
    layer_s, _ = min_time(whole_layer(cell, sizes, dtype), budget, time.perf_counter)
    alone, in_products = shard_s / (steps * ROWS_PER_TILE), flops / (top * 1e9)
    return Figures(
        cell.name,
        *lines(cell),
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


def lines(cell: zoo.Cell) -> tuple[int, int | None]:
    """Lines of a cell's file, and of its step if the kernels come from that."""
    text = Path(inspect.getfile(type(cell))).read_text(encoding="utf-8")
    step = len(inspect.getsourcelines(vars(type(cell))["step"])[0]) if cell.is_derived() else None
    return len(text.splitlines()), step


def product_flops(cell: zoo.Cell, hidden: int) -> int:
    """Floating point operations in products per token, forward and backward; those of vanilla by its twin."""
    found = plan_kernels(cell if cell.is_derived() else Twin())
    costs = cost_of(found.forward), cost_of(found.backward, found.gradient.dx)
    return sum(int(cost.by_tokens.evaluate({"I": SYMBOLS, "H": hidden})) for cost in costs)


# --- new processes, since only the first call in one compiles or loads ----------------------------------


def child(*arguments: str) -> list[str]:
    """The command that runs this file in a new process."""
    return [sys.executable, __file__, *arguments]


def environment(cache: Path) -> dict[str, str]:
    """This process's environment, with kernels stored elsewhere."""
    return {**os.environ, "ZOO_CACHE_DIR": str(cache)}


def beginnings(name: str, dtype: str, shared: Path, cache: Path) -> list[dict[str, float]]:
    """What a cell's first process takes, and the one after it."""
    shutil.copytree(shared, cache)
    command = child("--begin", name, "--dtype", dtype)
    found = []
    for _ in ("compiled", "loaded"):
        told = subprocess.run(
            command, check=True, timeout=DEADLINE, env=environment(cache), stdout=subprocess.PIPE
        )
        found.append(json.loads(told.stdout))
    return found


def begin(name: str, dtype: str) -> dict[str, float]:
    """Processor seconds to plan a cell and then to run it once, in a process that has started Numba.

    One thread does all of it, and what other processes do at the time does not count.
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


def warm(dtype: str) -> None:
    """Compile the kernels that cells share, for tokens and numbers."""
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


# --- telling --------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Where and when the figures were made."""
    return {
        "processor": processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "zoo": zoo.__version__,
    }


def processor() -> str:
    """The processor's name."""
    facts = Path("/proc/cpuinfo")
    told = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.processor()


def tell(console: Console, title: str, kind: type[Any], rows: Iterator[Any]) -> list[dict[str, Any]]:
    """Show rows in a table as they come; all of them as JSON has them."""
    table = Table(title=title)
    for place, field in enumerate(fields(kind)):
        table.add_column(field.name.replace("_", "\n"), justify="right" if place else "left")
    found = []
    with Live(table, console=console, refresh_per_second=1):
        for each in rows:
            found.append(asdict(each))
            table.add_row(*map(shown, found[-1].values()))
    console.print()
    return found


def shown(value: Any) -> str:
    """A value in a table: three digits of what was measured."""
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    return "" if value is None else str(value)


def command_line() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--twin", action="store_true", help="derived kernels beside those written by hand")
    parser.add_argument("--cells", metavar="A,B", help="which cells, by name; all if not given")
    parser.add_argument("--sizes", default="64,32,128", metavar="T,B,H", help="steps, batch and hidden units")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"), help="of the cells")
    parser.add_argument(
        "--placements", type=int, default=5, metavar="N", help="of the twin's arrays in memory"
    )
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="for each figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument("--begin", help=argparse.SUPPRESS)
    parser.add_argument("--warm", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure what was asked for, show it, and write it down."""
    chosen = command_line().parse_args()
    if chosen.warm:
        warm(chosen.warm)
    elif chosen.begin:
        print(json.dumps(begin(chosen.begin, chosen.dtype)))
    else:
        measure(chosen)


def measure(chosen: argparse.Namespace) -> None:
    """Measure the twin, the cells, or both."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    found: dict[str, Any] = {"machine": machine()}
    console.print(found["machine"])
    if chosen.twin:
        title = f"derived beside hand-written, I={SYMBOLS}"
        found["twin"] = tell(console, title, Ratio, ratios(chosen.placements, chosen.seconds))
    if chosen.cells or not chosen.twin:
        names = chosen.cells.split(",") if chosen.cells else zoo.list_cells()
        steps, batch, hidden = map(int, chosen.sizes.split(","))
        title = f"{chosen.dtype}, T={steps}, B={batch}, I={SYMBOLS} tokens, H={hidden}"
        rows = figures(names, (steps, batch, hidden), chosen.dtype, chosen.seconds)
        found["cells"] = tell(console, title, Figures, rows)
    console.print(f"load average at the end: {os.getloadavg()[0]:.2f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
