"""Symbols per second of one stream, each symbol drawn from what the one before led to."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

from zoo.bench.contender import Contender
from zoo.bench.race import ROUNDS, pose
from zoo.bench.records import Sampling
from zoo.bench.settings import Settings, Shape

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
