"""This run beside an older one: ratios to the peers, which another machine or a busy day changes little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.bench.results import Race, Results, Step, ratios
from zoo.bench.settings import Settings
from zoo.errors import CheckpointError, UsageError
from zoo.storage import strict_json
from zoo.storage.safe_read import MAX_JSON_BYTES, read_bytes

FALL = 0.15  # in parts of the older ratio
Key = tuple[str, str, str]  # cell, shape, peer


@dataclass(frozen=True)
class Change:
    """The ratio of one peer to zoo, then and now.

    Args:
        key: Cell, shape and peer.
        before: By least times and by medians.
        now: The same of this run.
    """

    key: Key
    before: tuple[float, float]
    now: tuple[float, float]

    @property
    def fell(self) -> bool:
        """Whether both ratios fell by more than 15 %: one alone falls when something disturbs the machine."""
        return all(now < (1 - FALL) * then for then, now in zip(self.before, self.now, strict=True))

    def __str__(self) -> str:
        """One line."""
        cell, shape, peer = self.key
        then, now = (f"{pair[0]:.2f} ({pair[1]:.2f} by medians)" for pair in (self.before, self.now))
        return f"{cell} {shape}, {peer}: {then} then, {now} now"


@dataclass(frozen=True)
class Older:
    """What an older run found.

    Args:
        path: Its file.
        settings: Threads and dtype.
        ratios: Ratios by cell, shape and peer.
    """

    path: Path
    settings: dict[str, Any]
    ratios: dict[Key, tuple[float, float]]


def read(path: Path) -> Older:
    """An older run, as ``--json`` wrote it.

    Raises:
        UsageError: if it is not there, or no such file.
    """
    try:
        data: Any = strict_json.loads(read_bytes(path, max_bytes=MAX_JSON_BYTES))
        races = [
            Race(**{**race, "steps": tuple(Step(**step) for step in race["steps"])}) for race in data["races"]
        ]
        return Older(path, data["settings"], _ratios(races))
    except CheckpointError as error:
        raise UsageError(f"bench: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise UsageError(f"bench: {path} is no file that `zoo bench --json` wrote.") from None


def check_alike(older: Older, settings: Settings) -> None:
    """Refuse to compare what was measured in another way.

    Raises:
        UsageError: if threads or dtype differ.
    """
    for name in ("threads", "dtype"):
        then, now = older.settings.get(name), getattr(settings, name)
        if then != now:
            raise UsageError(
                f"bench: {older.path} was made with {name} {then}, this run has {now}; only like can be "
                f"compared with like."
            )


def compare(older: Older, results: Results) -> list[Change]:
    """The changes of all ratios that both runs have.

    Raises:
        UsageError: if they have none in common.
    """
    found = list(_changes(older, results))
    if not found:
        raise UsageError(f"bench: {older.path} has no cell, shape and peer in common with this run.")
    return found


def _changes(older: Older, results: Results) -> Iterator[Change]:
    for key, now in _ratios(results.races).items():
        if key in older.ratios:
            yield Change(key, older.ratios[key], now)


def _ratios(races: Any) -> dict[Key, tuple[float, float]]:
    return {
        (race.cell, race.shape, step.contender): ratios(race.ours, step)
        for race in races
        for step in race.timed_peers
    }
