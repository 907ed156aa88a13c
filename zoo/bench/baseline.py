"""Comparison with an older run by ratios to the peers, which depend little on the machine and its load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.bench.results import CellTiming, Results, StepTiming, ratios
from zoo.bench.settings import Settings
from zoo.errors import CheckpointError, UsageError
from zoo.storage import strict_json
from zoo.storage.safe_read import MAX_JSON_BYTES, read_bytes

REGRESSION = 0.15  # relative to the older ratio
Key = tuple[str, str, str]  # cell, shape, peer


@dataclass(frozen=True)
class Change:
    """The ratio of one peer to zoo, in the older run and in this one.

    Args:
        key: Cell, shape and peer.
        before: By minimum times and by medians, in the older run.
        now: The same in this run.
    """

    key: Key
    before: tuple[float, float]
    now: tuple[float, float]

    @property
    def regressed(self) -> bool:
        """Whether both ratios fell by more than 15 %: a disturbance of the machine lowers only one."""
        return all(now < (1 - REGRESSION) * before for before, now in zip(self.before, self.now, strict=True))

    def __str__(self) -> str:
        cell, shape, peer = self.key
        before, now = (f"{pair[0]:.2f} ({pair[1]:.2f} by medians)" for pair in (self.before, self.now))
        return f"{cell} {shape}, {peer}: {before} then, {now} now"


@dataclass(frozen=True)
class Baseline:
    """Results of an older run.

    Args:
        path: Its file.
        settings: Threads and dtype.
        ratios: Ratios by cell, shape and peer.
    """

    path: Path
    settings: dict[str, Any]
    ratios: dict[Key, tuple[float, float]]


def read_baseline(path: Path) -> Baseline:
    """Read the results of ``zoo bench --json``.

    Raises:
        UsageError: if the file is missing or invalid.
    """
    try:
        data: Any = strict_json.loads(read_bytes(path, max_bytes=MAX_JSON_BYTES))
        timings = [
            CellTiming(**{**timing, "steps": tuple(StepTiming(**step) for step in timing["steps"])})
            for timing in data["races"]
        ]
        return Baseline(path, data["settings"], _ratios(timings))
    except CheckpointError as error:
        raise UsageError(f"bench: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise UsageError(f"bench: {path} is not a file of `zoo bench --json`.") from None


def check_comparable(baseline: Baseline, settings: Settings) -> None:
    """Check that both runs used the same threads and dtype.

    Raises:
        UsageError: if threads or dtype differ.
    """
    for name in ("threads", "dtype"):
        before, now = baseline.settings.get(name), getattr(settings, name)
        if before != now:
            raise UsageError(
                f"bench: {baseline.path} has {name} {before}, this run has {now}; both must be the same."
            )


def compare(baseline: Baseline, results: Results) -> list[Change]:
    """Changes of the ratios that are in both runs.

    Raises:
        UsageError: if there are none.
    """
    changes = list(_changes(baseline, results))
    if not changes:
        raise UsageError(f"bench: {baseline.path} has no cell, shape and peer in common with this run.")
    return changes


def _changes(baseline: Baseline, results: Results) -> Iterator[Change]:
    for key, now in _ratios(results.races).items():
        if key in baseline.ratios:
            yield Change(key, baseline.ratios[key], now)


def _ratios(timings: Any) -> dict[Key, tuple[float, float]]:
    return {
        (timing.cell, timing.shape, step.contender): ratios(timing.zoo_step, step)
        for timing in timings
        for step in timing.timed_peers
    }
