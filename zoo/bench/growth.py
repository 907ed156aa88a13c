"""Time per symbol while one size grows: flat in T and B, quadratic in H, if nothing stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zoo.bench.contender import Contender
from zoo.bench.race import race
from zoo.bench.records import Growth
from zoo.bench.settings import Settings, Shape

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
