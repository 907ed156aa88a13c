"""Repeat scenarios, compare each result, and store the counts in a directory, from which it resumes."""

from __future__ import annotations

import random
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from crash_tests.comparisons import ComparisonProcesses, DaskComparison, ForkedComparison
from crash_tests.trainings import EveryPoint, Process, Ranks, Training
from zoo.storage import log


class Scenario(Protocol):
    """Interface of a scenario: kill something until it finishes, and compare it with an undisturbed one."""

    def prepare(self, folder: Path) -> None:
        """Make the undisturbed one in a folder, and measure its duration."""

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:
        """Kill number ``number``, in ``out``, until it finishes; return the victim or moment of each kill."""

    def compare(self, out: Path) -> None:
        """Raise ``AssertionError`` unless it equals the undisturbed one."""

    def close(self) -> None:
        """End all processes."""


class Entry(NamedTuple):
    """A scenario in the table.

    Attributes:
        what: Description.
        make: Makes the scenario.
        share: Share of all kills in percent. Forks are cheap, interpreters are not.
    """

    what: str
    make: Callable[[], Scenario]
    share: int


SCENARIOS = {
    "text": Entry("text, forks", lambda: Training("text"), 12),
    "text-first": Entry("text, first validation is the best, forks", lambda: Training("text-first"), 12),
    "text-points": Entry(
        "text, first validation is the best, every crash point", lambda: EveryPoint("text-first"), 16
    ),
    "task": Entry("task, forks", lambda: Training("task"), 12),
    "stack": Entry("task, a different cell for each layer, forks", lambda: Training("stack"), 6),
    "task-first": Entry("task, first validation is the best, forks", lambda: Training("task-first"), 12),
    "comparison": Entry("comparison, forks", ForkedComparison, 10),
    "text-process": Entry("text, processes", lambda: Process("text"), 4),
    "task-process": Entry("task, first validation is the best, processes", lambda: Process("task-first"), 4),
    "workers": Entry("comparison, two worker processes", ComparisonProcesses, 4),
    "ranks": Entry("text, two MPI ranks", lambda: Ranks("ranks"), 4),
    "dask": Entry("comparison, two Dask workers", DaskComparison, 4),
}


@dataclass(frozen=True)
class Round:
    """One run or comparison that was killed until it finished.

    Attributes:
        kills: Victim or moment of each kill.
        difference: Difference from the undisturbed one; empty if there is none.
    """

    kills: list[str]
    difference: str = ""


class Campaign:
    """Rounds of all scenarios, stored as lines of ``SCENARIO.jsonl`` in a directory.

    Args:
        folder: The directory.
        seed: Draws all moments and victims.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)

    def rounds(self, name: str) -> list[Round]:
        """Finished rounds of a scenario."""
        return [Round(**each) for each in log.read(self._path(name))]

    def run_missing(self, name: str, kills: int) -> Iterator[Round]:
        """Run rounds of a scenario until it has ``kills`` kills; yield each when it is done."""
        done = self.rounds(name)
        missing = kills - sum(len(each.kills) for each in done)
        if missing <= 0:
            return
        folder, scenario = self.folder / name, SCENARIOS[name].make()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        scenario.prepare(folder)
        try:
            for number in range(len(done), len(done) + 10 * kills):
                round_ = self._round(scenario, folder / f"round-{number}", number)
                log.append(self._path(name), vars(round_))
                missing -= len(round_.kills)
                yield round_
                if missing <= 0:
                    return
        finally:
            scenario.close()

    def table(self, names: Iterable[str]) -> str:
        """Markdown table of all rounds."""
        rows = [
            ("scenario", "runs", "kills", "differences", "killed"),
            ("---", "---:", "---:", "---:", "---"),
        ]
        total = Counter[str]()
        for name in names:
            rounds = self.rounds(name)
            kinds = Counter(kill for each in rounds for kill in each.kills)
            counts = {
                "runs": len(rounds),
                "kills": kinds.total(),
                "differences": sum(bool(each.difference) for each in rounds),
            }
            total.update(counts)
            words = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            rows.append((SCENARIOS[name].what, *(str(number) for number in counts.values()), words))
        rows.append(("all", *(str(total[name]) for name in ("runs", "kills", "differences")), ""))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _round(self, scenario: Scenario, out: Path, number: int) -> Round:
        kills: list[str] = []
        try:
            kills = scenario.run_with_kills(
                out, number, random.Random(f"{self.seed} {out.parent.name} {number}")
            )
            scenario.compare(out)
        except Exception as error:  # a difference, a process that failed or hung: the directory stays
            last = traceback.format_exc().strip().splitlines()[-3:]
            if out.exists():
                shutil.copytree(
                    out, self.folder / f"differs-{out.parent.name}-{out.name}", dirs_exist_ok=True
                )
            return Round(kills, f"{type(error).__name__}: {error} ({' / '.join(last)})"[:2000])
        for path in (out, out.with_name(f"{out.name}.output")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return Round(kills)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"
