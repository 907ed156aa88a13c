"""Charts of the results, drawn by matplotlib."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.bench.peers import PEERS
from zoo.bench.results import CellTiming, Growth, Results, ratios
from zoo.errors import UsageError
from zoo.installation import install_hint

SUFFIXES = (".png", ".svg")
_COLOURS = {peer: f"C{n}" for n, peer in enumerate(PEERS)}
_AXES = {"T": "time steps T", "B": "sequences B", "H": "hidden units H"}


def check_chart(path: Path) -> None:
    """Check before the run that a chart can be drawn.

    Raises:
        UsageError: if the suffix is unknown, or matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"bench: the chart is {path}; expected a name that ends with {' or '.join(SUFFIXES)}."
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f"bench: charts need matplotlib; {install_hint('bench')} brings it.")


def draw_charts(path: Path, results: Results) -> list[Path]:
    """Draw the training steps and, in a second file, the scaling; return the files."""
    files = [_save(_steps(results.races, results), path)]
    if results.growth:
        files.append(_save(_growth(results.growth), path.with_name(f"{path.stem}-growth{path.suffix}")))
    return files


def _figure(rows: int, columns: int, height: float) -> tuple[Any, Any]:
    figures: Any = importlib.import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(4.2 * columns, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey="row")


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path


def _steps(timings: Sequence[CellTiming], results: Results) -> Any:
    """Bars of the ratios to the peers above, of the efficiency of zoo below."""
    cells = list(dict.fromkeys(timing.cell for timing in timings))
    figure, axes = _figure(2, len(cells), 6.5)
    settings = results.settings
    names = (f"{settings['threads']} threads", settings["dtype"], settings["inputs"])
    figure.suptitle(", ".join((results.machine["processor"], *names)))
    for column, cell in enumerate(cells):
        of_cell = [timing for timing in timings if timing.cell == cell]
        _draw_ratios(axes[0][column], of_cell, cell)
        _draw_efficiency(axes[1][column], of_cell)
    axes[0][0].set_ylabel("times longer than zoo")
    axes[1][0].set_ylabel("zoo, fraction of peak")
    return figure


def _draw_ratios(axis: Any, timings: Sequence[CellTiming], title: str) -> None:
    peers = list(dict.fromkeys(step.contender for timing in timings for step in timing.timed_peers))
    width = 0.8 / max(1, len(peers))
    for n, peer in enumerate(peers):
        bars = [
            (position + (n + 0.5) * width - 0.4, ratios(timing.zoo_step, step)[0])
            for position, timing in enumerate(timings)
            for step in timing.timed_peers
            if step.contender == peer
        ]
        axis.bar(*zip(*bars, strict=True), width, label=peer, color=_COLOURS[peer])
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_title(title)
    if peers:
        axis.set_yscale("log")
        axis.legend()
    _name_shapes(axis, timings)


def _draw_efficiency(axis: Any, timings: Sequence[CellTiming]) -> None:
    axis.bar(
        range(len(timings)), [timing.zoo_step.efficiency or 0 for timing in timings], 0.6, color="tab:gray"
    )
    axis.set_ylim(0, 1)
    _name_shapes(axis, timings)


def _name_shapes(axis: Any, timings: Sequence[CellTiming]) -> None:
    names = [timing.shape.replace("x", "×") for timing in timings]
    axis.set_xticks(range(len(timings)), names, rotation=30, ha="right")


def _growth(growth: Sequence[Growth]) -> Any:
    figure, axes = _figure(1, len(_AXES), 4)
    for axis, (letter, label) in zip(axes[0], _AXES.items(), strict=True):
        for cell in dict.fromkeys(row.cell for row in growth):
            rows = [row for row in growth if (row.cell, row.letter) == (cell, letter)]
            axis.loglog([row.size for row in rows], [row.least_ns for row in rows], marker="o", label=cell)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3, which="both")
    axes[0][0].set_ylabel("ns per symbol")
    axes[0][0].legend()
    return figure
