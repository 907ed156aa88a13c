"""Runs the missing jobs of a comparison: compile kernels, measure the speed, sweep learning rates, train."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from zoo.comparison.execute import failed_record
from zoo.comparison.jobs import Event, Executor, Job, JobFactory, OnEvent, Record
from zoo.comparison.plan import Plan
from zoo.comparison.records import RunGroup, RunRecord
from zoo.comparison.resolve import ResolvedPlan
from zoo.comparison.results import read_record
from zoo.comparison.sweep import decided_rate, max_stages
from zoo.errors import CheckpointError


class ComparisonRunner:
    """Runs the missing jobs of a comparison directory.

    Args:
        folder: The directory.
        resolved: The plan with its cells and tasks.
        plugins: Plugin files that every job loads.
        executor: Runs the jobs.
        on_event: Called with every event.

    Attributes:
        plan: The plan, updated when the speed is measured.
        sweep: Records of the sweep so far.
        runs: Records of the runs so far.
    """

    def __init__(
        self,
        folder: Path,
        resolved: ResolvedPlan,
        plugins: Sequence[str],
        executor: Executor,
        on_event: OnEvent,
    ) -> None:
        self.folder, self.executor, self.on_event = folder, executor, on_event
        self.plan, self.resolved, self.plugins = resolved.plan, resolved, plugins
        self.sweep: list[RunRecord] = []
        self.runs: list[RunRecord] = []

    @property
    def jobs(self) -> JobFactory:
        """Factory of jobs for the current plan."""
        return JobFactory(self.plan, self.resolved.tasks, self.plugins)

    def run(self) -> None:
        """Run all missing jobs; failures are in the records."""
        without_steps = self._groups_without_steps()
        groups = [group for group in self.plan.groups() if group not in without_steps]
        missing = {group: self._missing_runs(group) for group in groups}
        unfinished = [group for group in self.plan.groups() if missing.get(group) != []]
        self._compile(self.jobs.compile(unfinished))
        if without_steps:
            self._measure_speed(without_steps)
            without_steps = self._groups_without_steps()
            groups = [group for group in self.plan.groups() if group not in without_steps]
            missing |= {group: self._missing_runs(group) for group in groups if group not in missing}
        upcoming = [job for group in groups for job in missing[group]]
        for _ in range(max_stages(self.plan)):
            swept = [job for group in groups for job in self.jobs.sweep(group, self._sweep_of(group))]
            if not swept:
                break
            self._run_stage("sweep", swept, self.sweep, upcoming)
        rates = {group: decided_rate(self.plan, self._sweep_of(group)) for group in groups}
        reasons = {group: _reason_without_rate(self._sweep_of(group)) for group in groups}
        jobs = self.jobs.runs(rates)
        self._run_stage("runs", [job for job in jobs if not reasons[_group(job)]], self.runs)
        for job in jobs:
            if reason := reasons[_group(job)]:
                self.runs.append(RunRecord(**failed_record(job, reason)))

    def check_stored_records(self) -> None:
        """Check the records of runs that exist, for example copied ones, before the plan is stored.

        Raises:
            CheckpointError: if one cannot be read, or belongs to another run.
        """
        without_steps = self._groups_without_steps()
        for group in (group for group in self.plan.groups() if group not in without_steps):
            swept, is_swept = self._stored_sweep(group, self._stored_record)
            for job in self._compared_jobs(group, swept) if is_swept else ():
                self._stored_record(job)

    def _groups_without_steps(self) -> list[RunGroup]:
        """Groups with a number of steps that is not measured yet."""
        return [group for group in self.plan.groups() if self.plan.run_sizes[group].steps is None]

    def _compile(self, jobs: Sequence[Job]) -> None:
        """Compile the kernels; the first cell alone, because the others share many of them."""
        if jobs:
            self._run_stage("compile", jobs, first=1)

    def _measure_speed(self, groups: Sequence[RunGroup]) -> None:
        """Measure how many steps take the requested time, and store them in the plan."""
        records = self._run_stage("speed", self.jobs.speed(groups))
        self.plan = with_measured_steps(self.plan, records)
        self.plan.write(self.folder)
        self.runs += [RunRecord(**record) for record in records if record["status"] == "failed"]

    def _run_stage(
        self,
        stage: str,
        jobs: Sequence[Job],
        records: list[RunRecord] | None = None,
        upcoming: Sequence[Job] = (),
        first: int = 0,
    ) -> list[Record]:
        """Run the missing jobs.

        Args:
            stage: Name of the stage.
            jobs: The jobs.
            records: Receives the records of all jobs, even after an error.
            upcoming: Jobs of later stages, for the estimate of the time.
            first: Number of jobs to run before the others.

        Returns:
            The records, in the order of the jobs.
        """
        stored = {job["path"]: self._stored_record(job) for job in jobs}
        by_path = {path: vars(record) for path, record in stored.items() if record is not None}
        missing = [job for job in jobs if job["path"] not in by_path]
        listed = {"missing": list(map(_job_summary, missing)), "upcoming": list(map(_job_summary, upcoming))}
        self.on_event({"event": "stage", "stage": stage, "jobs": len(jobs), **listed})
        try:
            for batch in (missing[:first], missing[first:]):
                for job, record in self.executor.map(batch, self.on_event) if batch else ():
                    by_path[job["path"]] = record
                    done_event = {"event": "job_done", "stage": stage, "path": job["path"], "record": record}
                    self.on_event(done_event)
        finally:
            done = [by_path[job["path"]] for job in jobs if job["path"] in by_path]
            if records is not None:
                records += [RunRecord(**record) for record in done]
        return done

    def _stored_record(self, job: Job) -> RunRecord | None:
        return read_record(self.folder, job) if job["kind"] in ("sweep", "run") else None

    def _readable_record(self, job: Job) -> RunRecord | None:
        """As `_stored_record`; None if the file is damaged."""
        try:
            return self._stored_record(job)
        except CheckpointError:
            return None

    def _sweep_of(self, group: RunGroup) -> list[RunRecord]:
        """Records of the sweep of a group so far."""
        return [record for record in self.sweep if record.group == group]

    def _missing_runs(self, group: RunGroup) -> list[Job]:
        """The compared runs of a group without a record; all of them before the end of its sweep."""
        swept, is_swept = self._stored_sweep(group, self._stored_record)
        jobs = self._compared_jobs(group, swept)
        return [job for job in jobs if self._stored_record(job) is None] if is_swept else jobs

    def _stored_sweep(
        self, group: RunGroup, read: Callable[[Job], RunRecord | None]
    ) -> tuple[list[RunRecord], bool]:
        """Stored records of the sweep of a group, and whether the sweep is complete."""
        swept: list[RunRecord] = []
        while jobs := self.jobs.sweep(group, swept):
            stored = [record for job in jobs if (record := read(job)) is not None]
            swept += stored
            if len(stored) < len(jobs):
                return swept, False
        return swept, True

    def _compared_jobs(self, group: RunGroup, swept: Sequence[RunRecord]) -> list[Job]:
        """The compared runs of a group after its sweep."""
        return self.jobs.runs({group: decided_rate(self.plan, swept)})

    def add_stored_records(self) -> None:
        """Add the records of finished runs that an interrupted call did not reach, except damaged ones."""
        known = {record.path for record in (*self.sweep, *self.runs)}
        without_steps = self._groups_without_steps()
        for group in (group for group in self.plan.groups() if group not in without_steps):
            swept, _ = self._stored_sweep(group, self._readable_record)
            runs = [
                record
                for job in self._compared_jobs(group, swept)
                if (record := self._readable_record(job)) is not None
            ]
            for records, stored in ((self.sweep, swept), (self.runs, runs)):
                records += [record for record in stored if record.path not in known]


def with_measured_steps(plan: Plan, records: Iterable[Record]) -> Plan:
    """Set the steps of every group to the number that takes the seconds of the plan."""
    run_sizes = dict(plan.run_sizes)
    for record in records:
        if record["status"] == "finished":
            group = RunGroup(record["task"], record["cell"], record["size"])
            steps = max(1, round(plan.length[1] * record["steps_per_s"]))
            run_sizes[group] = dataclasses.replace(run_sizes[group], steps=steps)
    return dataclasses.replace(plan, run_sizes=run_sizes)


def _group(job: Job) -> RunGroup:
    return RunGroup(job["task"], job["cell"], job["size"])


def _reason_without_rate(sweep: Sequence[RunRecord]) -> str:
    """The reason why the runs of a group do not start; empty if they do."""
    if not sweep or any(record.status != "failed" for record in sweep):
        return ""
    return f"not started, because all runs of its learning rate sweep failed. {sweep[0].error}"


def _job_summary(job: Job) -> Event:
    named = {"path": job["path"], "task": job["task"], "cell": job["cell"], "size": job["size"]}
    return {**named, "steps": job["train"].get("steps")}
