"""The course of a comparison: warm the kernels, measure the pace, sweep the rates, run everything, tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoo.comparison.jobs import Engine, Event, Job, Jobs, Record, Tell
from zoo.comparison.plan import Plan
from zoo.comparison.records import read_record
from zoo.comparison.settling import Comparands
from zoo.comparison.sweep import choose_rate

Pair = tuple[str, str]


class Course:
    """Everything that is left to do in a comparison directory.

    Args:
        folder: The directory.
        comparands: The plan and its tasks.
        plugins: Files that bring members.
        engine: What runs jobs.
        tell: Called with every event.

    Attributes:
        plan: The plan; a pace that is measured goes into it.
        sweep: Records of the sweep so far.
        runs: Records of the runs so far.
    """

    def __init__(
        self, folder: Path, comparands: Comparands, plugins: Sequence[str], engine: Engine, tell: Tell
    ) -> None:
        self.folder, self.engine, self.tell = folder, engine, tell
        self.plan, self.comparands, self.plugins = comparands.plan, comparands, plugins
        self.sweep: list[Record] = []
        self.runs: list[Record] = []

    @property
    def jobs(self) -> Jobs:
        """The jobs of the plan as it is now."""
        return Jobs(self.plan, self.comparands.problems, self.plugins)

    def run(self) -> None:
        """Do all that is missing; what fails is in the records."""
        unpaced = self._unpaced()
        unfinished = [pair for pair in self.plan.pairs() if pair in unpaced or not self._is_done(pair)]
        self._warm(self.jobs.warm(unfinished))
        if unpaced:
            self._pace(unpaced)
        unpaced = self._unpaced()
        pairs = [pair for pair in self.plan.pairs() if pair not in unpaced]
        later = self.jobs.runs({pair: self._rate(pair, []) for pair in pairs})
        self._each("sweep", self.jobs.sweep(pairs), self.sweep, later)
        self._each("runs", self.jobs.runs({pair: self._rate(pair, self.sweep) for pair in pairs}), self.runs)

    def _unpaced(self) -> list[Pair]:
        """The pairs of which nobody knows how long a run is."""
        return [pair for pair in self.plan.pairs() if self.plan.settled[pair[0]][pair[1]].steps is None]

    def _warm(self, jobs: Sequence[Job]) -> None:
        """Compile before everybody starts: the first cell alone, since the others need much of the same."""
        for some in (jobs[:1], jobs[1:]):
            if some:
                self._each("warm", some, [])

    def _pace(self, pairs: Sequence[Pair]) -> None:
        """Settle how many steps take as long as is asked for."""
        found: list[Record] = []
        self._each("pace", self.jobs.pace(pairs), found)
        self.plan = paced(self.plan, found)
        self.plan.write(self.folder)
        self.runs += [record for record in found if record["status"] == "failed"]

    def _each(
        self, stage: str, jobs: Sequence[Job], records: list[Record], later: Sequence[Job] = ()
    ) -> None:
        """Have those jobs done that are not; the records of all go to a list in the order of the jobs."""
        found = {job["path"]: record for job in jobs if (record := self._done(job)) is not None}
        missing = [job for job in jobs if job["path"] not in found]
        coming = {"missing": list(map(_facts, missing)), "later": list(map(_facts, later))}
        self.tell({"event": "stage", "stage": stage, "jobs": len(jobs), **coming})
        try:
            for job, record in self.engine.map(missing, self.tell):
                found[job["path"]] = record
                self.tell({"event": "done", "stage": stage, "path": job["path"], "record": record})
        finally:
            records += [found[job["path"]] for job in jobs if job["path"] in found]

    def _done(self, job: Job) -> Record | None:
        return read_record(self.folder, job) if job["kind"] in ("sweep", "run") else None

    def _rate(self, pair: Pair, sweep: Iterable[Record]) -> float:
        own = [record for record in sweep if (record["task"], record["cell"]) == pair]
        return choose_rate(own, self.plan.rates)

    def _is_done(self, pair: Pair) -> bool:
        """Whether nothing is left to do for a pair."""
        swept = [record for job in self.jobs.sweep([pair]) if (record := self._done(job)) is not None]
        if len(swept) < len(self.jobs.sweep([pair])):
            return False
        return all(map(self._done, self.jobs.runs({pair: self._rate(pair, swept)})))


def paced(plan: Plan, records: Iterable[Record]) -> Plan:
    """A plan in which every pair has as many steps as take the seconds that are asked for."""
    settled = {task: dict(sizes) for task, sizes in plan.settled.items()}
    for record in records:
        if record["status"] == "finished":
            task, cell = record["task"], record["cell"]
            steps = max(1, round(plan.length[1] * record["steps_per_s"]))
            settled[task][cell] = dataclasses.replace(settled[task][cell], steps=steps)
    return dataclasses.replace(plan, settled=settled)


def _facts(job: Job) -> Event:
    """What is told of a job that is to be done."""
    return {"path": job["path"], "task": job["task"], "cell": job["cell"], "steps": job["train"].get("steps")}
