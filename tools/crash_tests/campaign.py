"""Kill run after run of each scenario, compare each, and keep count in a directory, to resume from."""

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
    """Something that is killed again and again until it ends, and compared with what nobody killed."""

    def prepare(self, folder: Path) -> None:
        """Make the undisturbed one in a folder, and find out how long it takes."""

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:
        """Kill the one with a number, in ``out``, until it ends; who was killed, or when, for each kill."""

    def compare(self, out: Path) -> None:
        """Raise ``AssertionError`` unless it equals the undisturbed one."""

    def close(self) -> None:
        """End whatever was started."""


class Entry(NamedTuple):
    """A scenario in the table.

    Attributes:
        what: What is killed, in words.
        make: Makes the scenario.
        share: Of all kills, in percent. Forks are cheap, interpreters are not.
    """

    what: str
    make: Callable[[], Scenario]
    share: int


SCENARIOS = {
    "text": Entry("text, forks", lambda: Training("text"), 15),
    "text-first": Entry("text, first validation is the best, forks", lambda: Training("text-first"), 12),
    "text-points": Entry(
        "text, first validation is the best, every crash point", lambda: EveryPoint("text-first"), 16
    ),
    "task": Entry("task, forks", lambda: Training("task"), 15),
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
    """One run or comparison that was killed until it ended.

    Attributes:
        kills: Who was killed, or when.
        difference: How it differs from the undisturbed one; empty if it does not.
    """

    kills: list[str]
    difference: str = ""


class Campaign:
    """The rounds of all scenarios, in a directory: a line of ``SCENARIO.jsonl`` each.

    Args:
        folder: The directory.
        seed: Draws all moments and victims.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)

    def rounds(self, name: str) -> list[Round]:
        """The rounds of a scenario that are done; a torn last line is none."""
        return [Round(**each) for each in log.read(self._path(name))]

    def go_on(self, name: str, kills: int) -> Iterator[Round]:
        """Do the rounds that are missing until a scenario has so many kills; each as soon as it is done."""
        done = self.rounds(name)
        missing = kills - sum(len(each.kills) for each in done)
        if missing <= 0:
            return
        place, scenario = self.folder / name, SCENARIOS[name].make()
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        scenario.prepare(place)
        try:
            for number in range(len(done), len(done) + 10 * kills):
                round_ = self._round(scenario, place / f"round-{number}", number)
                log.append(self._path(name), vars(round_))
                missing -= len(round_.kills)
                yield round_
                if missing <= 0:
                    return
        finally:
            scenario.close()

    def table(self, names: Iterable[str]) -> str:
        """A table in Markdown of what was done so far."""
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
