"""Results as tables, and as Markdown in a marked section of a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from zoo.bench.limits import nearest_level
from zoo.bench.peers import TORCH_LAYER
from zoo.bench.results import CellTiming, Growth, Results, StepTiming, ratios
from zoo.storage.document_marker import DocumentMarker
from zoo.tables import TextTable


def write_tables(marker: DocumentMarker, results: Results) -> None:
    """Write the tables to a new file, or into the marked block of a file that exists.

    Raises:
        UsageError: if the file has no such block.
        CheckpointError: if it cannot be written.
    """
    about = "\n".join(f"{line}  " for line in describe_setup(results)).rstrip()
    marker.write(results.command, [about, *(table.markdown_section() for table in result_tables(results))])


FASTEST = "fastest peer"


def result_tables(results: Results) -> list[TextTable]:
    """All tables that have rows."""
    tables = (
        _steps(results),
        _limits(results.races),
        _summary(results.races),
        _starts(results),
        _sampling(results),
        *(_growth(results.growth, letter) for letter in ("T", "B", "H")),
    )
    return [table for table in tables if table.rows]


_TITLES = {
    "model": "Training steps",
    "layer": "Forward and backward pass of a layer",
    "stream": "T time steps of a layer, one in each call",
}


def _steps(results: Results) -> TextTable:
    caches = results.machine.get("caches", {})
    headings = (
        "cell",
        "T×B×H",
        "by",
        "least ms",
        "median ms",
        "ratio",
        "of medians",
        "of peak",
        "weights",
        "first s",
        "note",
    )
    return TextTable(
        _TITLES[results.settings.get("measure", "model")],
        headings,
        tuple(_step_row(timing, step, caches) for timing in results.races for step in timing.steps),
        tuple(range(3, 10)),
        "ratio: time relative to zoo, by minimum times and by medians. of peak: matrix product FLOP/s as a "
        "fraction of the peak. weights: the matrices that every time step reads, and the nearest cache that "
        "holds them. first s: seconds to prepare and run the first step. A shape of four numbers is T×B×I×H.",
    )


def _step_row(timing: CellTiming, step: StepTiming, caches: Mapping[str, int]) -> tuple[str, ...]:
    names = (step.cell, step.shape.replace("x", "×"), step.contender)
    if step.least_s is None or step.median_s is None:
        return (*names, *("–",) * 7, step.note)
    relative = (
        ("", "")
        if step is timing.zoo_step
        else tuple(f"{ratio:.2f}" for ratio in ratios(timing.zoo_step, step))
    )
    efficiency = "" if step.efficiency is None else f"{step.efficiency:.2f}"
    first = "" if step.first_s is None else _digits(step.first_s)
    times = (_digits(step.least_s * 1e3), _digits(step.median_s * 1e3))
    weights = _weights(timing.weight_bytes, caches) if step is timing.zoo_step else ""
    return (*names, *times, *relative, efficiency, weights, first, step.note)


def _weights(size: int | None, caches: Mapping[str, int]) -> str:
    """The size of weights, and the nearest cache that holds them."""
    if not size:  # unknown, or no products in the loop over time
        return ""
    text = _mebibytes(size)
    return f"{text} {nearest_level(size, caches)}" if caches else text


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def _limits(timings: Sequence[CellTiming]) -> TextTable:
    return TextTable(
        "What limits zoo",
        ("cell", "T×B×H", "products", "functions", "weights", "weights moved", "tape", "tape moved"),
        tuple(_limit_row(timing) for timing in timings if timing.demands),
        tuple(range(2, 8)),
        "Fractions of the least time that each kind of work needs at its highest speed. products: "
        "multiply-adds at the peak. functions: an upper bound, as if each function took as long as tanh. "
        "weights: reads of the matrices of every time step, in both passes and for each shard of the batch. "
        "tape: writes and reads of the values saved for backward. Bytes come from the nearest cache that "
        "holds the whole array. Kinds of work overlap in time.",
    )


def _limit_row(timing: CellTiming) -> tuple[str, ...]:
    step, demands = timing.zoo_step, {demand.name: demand for demand in timing.demands}
    assert step.least_s
    fractions = {name: f"{demand.seconds / step.least_s:.2f}" for name, demand in demands.items()}
    moved = {
        name: f"{_mebibytes(demand.amount * 1e9)} {demand.level}" if demand.level else ""
        for name, demand in demands.items()
    }
    columns = [each.get(name, "") for name in ("weights", "tape") for each in (fractions, moved)]
    products = "" if step.efficiency is None else f"{step.efficiency:.2f}"
    return (timing.cell, timing.shape.replace("x", "×"), products, fractions.get("functions", ""), *columns)


def _summary(timings: Sequence[CellTiming]) -> TextTable:
    cells = tuple(dict.fromkeys(timing.cell for timing in timings))
    rows = [
        row
        for cell in cells
        for row in _summary_rows(cell, [timing for timing in timings if timing.cell == cell])
    ]
    return TextTable(
        "All shapes together",
        ("cell", "compared with", "shapes", "mean ratio", "least", "of medians", "least of medians"),
        tuple(rows),
        (2, 3, 4, 5, 6),
        "Means are geometric. The fastest peer is chosen at each shape.",
    )


def _summary_rows(cell: str, timings: Sequence[CellTiming]) -> Iterator[tuple[str, ...]]:
    peers = tuple(dict.fromkeys(step.contender for timing in timings for step in timing.timed_peers))
    choices = {peer: {peer} for peer in peers}
    if len(rivals := set(peers) - {TORCH_LAYER}) > 1:
        choices[FASTEST] = rivals
    for name, chosen in choices.items():
        minima = [best for timing in timings if (best := _smallest(timing, chosen))]
        least, median = zip(*minima, strict=True)
        numbers = (_mean(least), min(least), _mean(median), min(median))
        yield (cell, name, str(len(minima)), *(f"{number:.2f}" for number in numbers))


def _smallest(timing: CellTiming, peers: set[str]) -> tuple[float, float] | None:
    """The smallest ratios of some peers to zoo, by minimum times and by medians."""
    values = [ratios(timing.zoo_step, step) for step in timing.timed_peers if step.contender in peers]
    return (min(least for least, _ in values), min(median for _, median in values)) if values else None


def _mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _starts(results: Results) -> TextTable:
    return TextTable(
        "From launch to the first step",
        ("cell", "compiling s", "loading s"),
        tuple((start.cell, _digits(start.compile_s), _digits(start.load_s)) for start in results.starts),
        (1, 2),
        "Seconds from the launch of a new process, imports included, to the end of its first training step: "
        "with no compiled kernel on disk, and in the next process, which loads them.",
    )


def _sampling(results: Results) -> TextTable:
    return TextTable(
        "Sampling one stream",
        ("cell", "H", "by", "best symbols/s", "median symbols/s"),
        tuple(
            (each.cell, str(each.hidden), each.contender, f"{each.best:,.0f}", f"{each.median:,.0f}")
            for each in results.sampling
        ),
        (1, 3, 4),
        "Every symbol is drawn from the softmax and is the next input.",
    )


def _growth(growth: Iterable[Growth], letter: str) -> TextTable:
    rows = [each for each in growth if each.letter == letter]
    first = {cell: each.least_ns for each in reversed(rows) for cell in [each.cell]}
    return TextTable(
        f"Time per symbol as {letter} grows",
        ("cell", "T×B×H", "least ns", "median ns", "× the first"),
        tuple(
            (
                each.cell,
                each.shape.replace("x", "×"),
                _digits(each.least_ns),
                _digits(each.median_ns),
                f"{each.least_ns / first[each.cell]:.2f}",
            )
            for each in rows
        ),
        (2, 3, 4),
    )


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def describe_setup(results: Results) -> list[str]:
    """Machine, settings and versions, in sentences."""
    machine, settings = results.machine, results.settings
    peaks = [timing.peak_gflops for timing in results.races]
    products = f" with products of zoo in {settings['precision']}" if settings.get("precision") else ""
    network = "V=65" if settings.get("measure", "model") == "model" else "one layer"
    clock = ", processor time" if settings.get("clock") == "processor" else ""
    lines = [
        f"{results.date}: {machine['processor']}, {machine['processors']} processors, {machine['system']}; "
        f"{settings['threads']} threads, {settings['dtype']}{products}, {settings['inputs']}, "
        f"{network}{clock}.",
        ", ".join(f"{name} {number}" for name, number in results.versions.items()) + ".",
    ]
    if peaks:
        lines.append(f"Peak of multiplications with additions: {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s.")
    if speeds := {demand.resource: demand.speed for timing in results.races for demand in timing.demands}:
        functions = speeds.pop("functions", None)
        texts = [f"{speed:.0f} GB/s from {level}" for level, speed in sorted(speeds.items())]
        texts += [] if functions is None else [f"{functions:.2g} billion tanh/s"]
        lines.append(f"Highest speeds: {', '.join(texts)}.")
    return [*lines, *results.remarks]
