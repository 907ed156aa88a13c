"""Jobs of a comparison as plain JSON, which can be sent to any process on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypedDict

from zoo.comparison.data_sets import DataSetInfo
from zoo.comparison.model_info import layer_options
from zoo.comparison.plan import Plan, PlanEntry
from zoo.comparison.records import RunGroup, RunRecord
from zoo.comparison.specs import TaskInfo
from zoo.comparison.sweep import next_runs
from zoo.registry import is_stack, layer_names
from zoo.training.config import setting_names
from zoo.training.schedules import absolute_settings

Record = dict[str, Any]
"""Result of a job as plain JSON; of a run, the fields of `zoo.comparison.results.RunRecord`."""
Event = dict[str, Any]
OnEvent = Callable[[Event], None]
"""Callback that receives events: dictionaries with the key ``event``."""

SWEEP_SEED = 1_000_000
"""First of the two seeds of the learning rate sweep. No compared run has them, so that the chosen rate
favours none of these runs."""

_VALIDATIONS = {"sweep": 5, "run": 20}
"""Validations in a run of each kind."""
_FOLDERS = {"sweep": "runs", "run": "runs"}
"""First folder in the path of a job, if it is not its kind."""


class Job(TypedDict):
    """A unit of work.

    Attributes:
        kind: ``"compile"`` to compile kernels, ``"speed"`` to measure updates per second, ``"sweep"`` for a
            short run of the learning rate sweep, ``"run"`` for a run that is tested at its end.
        path: Name of the job. For a run, its directory within the directory of the comparison.
        task: Label of the task.
        cell: Label of the cell.
        size: The size of the comparison at which the cell runs.
        metric: Metric of the task: name, direction, threshold, baseline.
        digest: SHA-256 of the data set; empty for a task.
        parameters: ``P``.
        plugins: Plugin files to load first.
        train: Arguments of ``zoo.train``. A ``"compile"`` job has a list of them under ``each``.
    """

    kind: str
    path: str
    task: str
    cell: str
    size: int
    metric: dict[str, Any]
    digest: str
    parameters: int
    plugins: list[str]
    train: dict[str, Any]


class Executor(Protocol):
    """Interface that runs jobs: in processes of this machine or elsewhere."""

    def map(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Record]]:
        """Yield every job with its record, in the order of completion.

        Every job yields a record, also if it fails. Closing the iterator stops running jobs, which can be
        resumed later.
        """


class JobFactory:
    """Makes the jobs of a plan.

    Args:
        plan: The plan.
        tasks: Tasks and data sets by label.
        plugins: Plugin files that every job loads.
    """

    def __init__(
        self, plan: Plan, tasks: Mapping[str, TaskInfo | DataSetInfo], plugins: Iterable[str] = ()
    ) -> None:
        self.plan, self.tasks, self.plugins = plan, tasks, list(plugins)

    def compile(self, groups: Iterable[RunGroup]) -> list[Job]:
        """Jobs that compile kernels: one for each cell, with one step for each kind of kernels."""
        jobs: dict[str, dict[str, Job]] = {}
        for group in groups:  # all sizes have the same kernels
            job = self._job("compile", group, {"steps": 1, "seed": 0})
            jobs.setdefault(group.cell, {}).setdefault(self.tasks[group.task].kernel_key, job)
        return [_merge_compile_jobs(list(cell_jobs.values())) for cell_jobs in jobs.values()]

    def speed(self, groups: Iterable[RunGroup]) -> list[Job]:
        """Jobs that measure the updates per second of each group."""
        return [self._job("speed", group, {"seed": 0}, self._size_name(group)) for group in groups]

    def sweep(self, group: RunGroup, records: Sequence[RunRecord]) -> list[Job]:
        """The next short runs of the sweep of a group, see `next_runs`; none if it has ended.

        Args:
            group: Task, cell and size.
            records: The runs of its sweep so far.
        """
        steps, runs = next_runs(self.plan, group, records) or (0, ())
        return [self._run("sweep", group, rate, SWEEP_SEED + index, steps) for rate, index in runs]

    def runs(self, rates: Mapping[RunGroup, float]) -> list[Job]:
        """All runs, ordered by seed, so that early results cover every group."""
        seeds = range(self.plan.seeds)
        return [
            self._run("run", group, rate, seed, self.plan.run_sizes[group].steps or 1)
            for seed in seeds
            for group, rate in rates.items()
        ]

    def _run(self, kind: str, group: RunGroup, rate: float, seed: int, steps: int) -> Job:
        every = _intervals(steps, _VALIDATIONS[kind])
        is_longer = kind == "sweep" and steps != self.plan.sweep_run_steps(group)
        stage = f"sweep{steps}" if is_longer else "sweep" if kind == "sweep" else ""
        name = "-".join(filter(None, (self._size_name(group), stage, f"lr{rate!r}-s{seed}")))
        train: dict[str, Any] = {"steps": steps, "lr": rate, "seed": seed, **every}
        if kind == "sweep":
            train["schedule_options"] = self._schedule_options(group)
        return self._job(kind, group, train, name)

    def _size_name(self, group: RunGroup) -> str:
        """The size in the name of a directory; empty for the first size of the comparison.

        Directories of a comparison with one size thus keep their names when other sizes are added.
        """
        sizes = self.plan.sizes
        return "" if group.size == sizes.numbers[0] else f"{sizes.kind}{group.size}"

    def _schedule_options(self, group: RunGroup) -> dict[str, Any]:
        """Settings of the schedule of a compared run: a run of the sweep is the beginning of one.

        With a decay of its own, a short run stays on the plateau that a compared run leaves.
        """
        settings, steps = self.plan.settings, self.plan.run_sizes[group].steps or 1
        return absolute_settings(settings["schedule"], settings["schedule_options"], steps)

    def _job(self, kind: str, group: RunGroup, train: dict[str, Any], name: str = "") -> Job:
        plan, run_size, (task, cell, size) = self.plan, self.plan.run_sizes[group], group
        cell_entry, info = plan.cells[cell], self.tasks[task]
        arguments = {
            **self._task_arguments(task),
            "optimizer": plan.optimizer_spec or plan.settings["optimizer"],
            **_cell_arguments(cell_entry),
            "hidden": run_size.hidden,
            "threads": 1,
            "keep": 1,
            **train,
        }
        return Job(
            kind=kind,
            path="/".join(filter(None, (_FOLDERS.get(kind, kind), task, cell, name))),
            task=task,
            cell=cell,
            size=size,
            metric=info.metric_to_json(),
            digest=info.digest if isinstance(info, DataSetInfo) else "",
            parameters=run_size.parameters,
            plugins=self.plugins,
            train=arguments,
        )

    def _task_arguments(self, task: str) -> dict[str, Any]:
        """Arguments of ``zoo.train`` for a task or data set, with the settings of all runs."""
        settings, entry, info = self.plan.settings, self.plan.tasks[task], self.tasks[task]
        if isinstance(info, DataSetInfo):
            task_settings = setting_names(only="task")
            return {
                name: settings[name] for name in settings if name not in task_settings
            } | info.train_arguments()
        return {**settings, "task": entry.spec, "task_options": dict(entry.options)}


def _cell_arguments(entry: PlanEntry) -> dict[str, Any]:
    """The cell of all layers and its options, or lists of both for the layers of a stack."""
    if not is_stack(entry.spec):
        return {"cell": entry.spec, "cell_options": dict(entry.options)}
    names = layer_names(entry.spec)
    return {"cell": names, "cell_options": layer_options(entry.options, len(names))}


def _merge_compile_jobs(jobs: list[Job]) -> Job:
    """Merge jobs of one cell, so that one process compiles their common kernels once."""
    job: Job = {**jobs[0], "train": {"each": [each["train"] for each in jobs]}}
    return job


def _intervals(steps: int, times: int) -> dict[str, int]:
    """Intervals for ``times`` validations, each with a ``step`` event, from which the run's time is read."""
    every = max(1, steps // times)
    return {"eval_every": every, "log_every": every, "save_every": every}
