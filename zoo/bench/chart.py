"""Results as a picture, drawn by matplotlib."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.bench.peers import PEERS
from zoo.bench.results import Growth, Race, Results, ratios
from zoo.errors import UsageError

ENDINGS = (".png", ".svg")
_COLOURS = {peer: f"C{n}" for n, peer in enumerate(PEERS)}
_AXES = {"T": "time steps T", "B": "sequences B", "H": "hidden units H"}


def check_chart(path: Path) -> None:
    """Refuse what cannot be drawn now, not after the run.

    Raises:
        UsageError: if the ending is another, or matplotlib is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"bench: the chart is {path}; expected a name that ends with {' or '.join(ENDINGS)}."
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("bench: charts need matplotlib; pip install 'recurrent-zoo[bench]' brings it.")


def draw(path: Path, results: Results) -> list[Path]:
    """Draw the training steps and, in a second file beside it, what grew; returns the files."""
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


def _steps(races: Sequence[Race], results: Results) -> Any:
    """Above how many times longer the peers take, below what part of the peak zoo reaches."""
    cells = list(dict.fromkeys(race.cell for race in races))
    figure, axes = _figure(2, len(cells), 6.5)
    settings = results.settings
    figure.suptitle(f"{results.machine['processor']}, {settings['threads']} threads, {settings['dtype']}")
    for column, cell in enumerate(cells):
        mine = [race for race in races if race.cell == cell]
        _draw_ratios(axes[0][column], mine, cell)
        _draw_efficiency(axes[1][column], mine)
    axes[0][0].set_ylabel("times longer than zoo")
    axes[1][0].set_ylabel("zoo, in parts of the peak")
    return figure


def _draw_ratios(axis: Any, races: Sequence[Race], title: str) -> None:
    peers = list(dict.fromkeys(step.contender for race in races for step in race.timed_peers))
    width = 0.8 / max(1, len(peers))
    for n, peer in enumerate(peers):
        found = [
            (place + (n + 0.5) * width - 0.4, ratios(race.ours, step)[0])
            for place, race in enumerate(races)
            for step in race.timed_peers
            if step.contender == peer
        ]
        axis.bar(*zip(*found, strict=True), width, label=peer, color=_COLOURS[peer])
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_title(title)
    if peers:
        axis.set_yscale("log")
        axis.legend()
    _name_shapes(axis, races)


def _draw_efficiency(axis: Any, races: Sequence[Race]) -> None:
    axis.bar(range(len(races)), [race.ours.efficiency or 0 for race in races], 0.6, color="tab:gray")
    axis.set_ylim(0, 1)
    _name_shapes(axis, races)


def _name_shapes(axis: Any, races: Sequence[Race]) -> None:
    names = [race.shape.replace("x", "×") for race in races]
    axis.set_xticks(range(len(races)), names, rotation=30, ha="right")


def _growth(growth: Sequence[Growth]) -> Any:
    figure, axes = _figure(1, len(_AXES), 4)
    for axis, (letter, label) in zip(axes[0], _AXES.items(), strict=True):
        for cell in dict.fromkeys(each.cell for each in growth):
            rows = [each for each in growth if (each.cell, each.letter) == (cell, letter)]
            axis.loglog([row.size for row in rows], [row.least_ns for row in rows], marker="o", label=cell)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3, which="both")
    axes[0][0].set_ylabel("ns per symbol")
    axes[0][0].legend()
    return figure
