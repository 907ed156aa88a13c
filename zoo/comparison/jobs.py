"""Jobs: what is to be done, as plain JSON that any process on any machine can be handed.

Which engine runs them is no matter here: an engine maps jobs to records, as they are done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypedDict

from zoo.comparison.plan import Plan
from zoo.comparison.specs import Problem

Record = dict[str, Any]
Event = dict[str, Any]
Tell = Callable[[Event], None]
"""Called with what happens meanwhile, a dictionary with ``event``."""

SWEEP_SEED = 1_000_000
"""Of the runs of the sweep: none of those compared, so that the choice of a rate favours none of them."""


_VALIDATIONS = {"sweep": 5, "run": 20}
"""In a run of each kind."""


class Job(TypedDict):
    """Something to do.

    Attributes:
        kind: ``"warm"`` to compile kernels, ``"pace"`` to measure what a step takes, ``"sweep"`` for a short
            run, ``"run"`` for one that is tested in the end.
        path: Names the job; for a run its directory, below that of the comparison.
        task: Label of the task.
        cell: Label of the cell.
        goal: What the task measures: metric, direction, threshold, baseline.
        parameters: ``P``.
        plugins: Files that bring members, to be loaded before.
        train: Arguments of ``zoo.train``; to warm up, several of them, one after the other, under ``each``.
    """

    kind: str
    path: str
    task: str
    cell: str
    goal: dict[str, Any]
    parameters: int
    plugins: list[str]
    train: dict[str, Any]


class Engine(Protocol):
    """What runs jobs: the processes of this machine, or others."""

    def map(self, jobs: Iterable[Job], tell: Tell) -> Iterator[tuple[Job, Record]]:
        """Every job with its record, in the order in which they are done.

        Whatever a job does, it comes back with a record. To close the iterator stops what is running, and
        what was running can be gone on with.
        """


class Jobs:
    """The jobs of a plan.

    Args:
        plan: The plan.
        problems: The tasks by label.
        plugins: Files that bring members.
    """

    def __init__(self, plan: Plan, problems: Mapping[str, Problem], plugins: Iterable[str] = ()) -> None:
        self.plan, self.problems, self.plugins = plan, problems, list(plugins)

    def warm(self, pairs: Iterable[tuple[str, str]]) -> list[Job]:
        """Compile what some pairs need: a job for each cell, with a step for each kind of kernels."""
        found: dict[str, dict[str, Job]] = {}
        for task, cell in pairs:
            job = self._job("warm", "warm", task, cell, {"steps": 1, "seed": 0})
            found.setdefault(cell, {}).setdefault(self.problems[task].kernels, job)
        return [_together(list(jobs.values())) for jobs in found.values()]

    def pace(self, pairs: Iterable[tuple[str, str]]) -> list[Job]:
        """Measure how long a step of each pair takes."""
        return [self._job("pace", "pace", *pair, {"seed": 0}) for pair in pairs]

    def sweep(self, pairs: Iterable[tuple[str, str]]) -> list[Job]:
        """Short runs at every rate of the grid, if there are several."""
        rates = self.plan.rates if len(self.plan.rates) > 1 else ()
        return [self._run("sweep", *pair, rate, SWEEP_SEED) for pair in pairs for rate in rates]

    def runs(self, rates: Mapping[tuple[str, str], float]) -> list[Job]:
        """Every run; one seed of everything comes before the next, so that what is done first is of use."""
        seeds = range(self.plan.seeds)
        return [self._run("run", *pair, rate, seed) for seed in seeds for pair, rate in rates.items()]

    def _run(self, kind: str, task: str, cell: str, rate: float, seed: int) -> Job:
        settled = self.plan.settled[task][cell].steps or 1
        steps = self.plan.swept_steps(task, cell) if kind == "sweep" else settled
        every = _every(steps, _VALIDATIONS[kind])
        setting = f"/{'sweep-' if kind == 'sweep' else ''}lr{rate!r}-s{seed}"
        return self._job(
            kind, "runs", task, cell, {"steps": steps, "lr": rate, "seed": seed, **every}, setting
        )

    def _job(
        self, kind: str, place: str, task: str, cell: str, train: dict[str, Any], setting: str = ""
    ) -> Job:
        plan, settled = self.plan, self.plan.settled[task][cell]
        member, asked = plan.cells[cell], plan.tasks[task]
        arguments = {
            **plan.settings,
            "task": asked.spec,
            "task_options": dict(asked.options),
            "cell": member.spec,
            "cell_options": dict(member.options),
            "hidden": settled.hidden,
            "threads": 1,
            "keep": 1,
            **train,
        }
        return Job(
            kind=kind,
            path=f"{place}/{task}/{cell}{setting}",
            task=task,
            cell=cell,
            goal=self.problems[task].goal(),
            parameters=settled.parameters,
            plugins=self.plugins,
            train=arguments,
        )


def _together(jobs: list[Job]) -> Job:
    """Several jobs of one cell as one: what they have in common is compiled by one process, once."""
    job: Job = {**jobs[0], "train": {"each": [each["train"] for each in jobs]}}
    return job


def _every(steps: int, times: int) -> dict[str, int]:
    """So many validations in a run, and at each a line of progress, from which is read what a run took."""
    every = max(1, steps // times)
    return {"eval_every": every, "log_every": every, "save_every": every}
