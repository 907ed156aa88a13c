"""``zoo.compare``: plan, compile kernels, measure the speed, sweep learning rates, run all jobs."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.arguments import as_directory, as_mapping, short_repr
from zoo.bench.machine import machine_info
from zoo.comparison import specs
from zoo.comparison.data_sets import (
    DataSetInfo,
    Facts,
    baseline_scores,
    data_flags,
    label_data_sets,
    save_data,
    target_fields,
)
from zoo.comparison.execute import failed_record
from zoo.comparison.jobs import Event, Executor, Job, JobFactory, OnEvent, Record
from zoo.comparison.model_info import merge_layers, override_options, stated_options
from zoo.comparison.plan import (
    DATA_SETTINGS,
    DEFAULTS,
    CompareRequest,
    Plan,
    PlanEntry,
    Specs,
    read_plan,
)
from zoo.comparison.resolve import ResolvedPlan, count_parts, resolve_plan
from zoo.comparison.results import (
    Comparison,
    RunRecord,
    read_record,
    write_results,
)
from zoo.comparison.specs import TaskInfo
from zoo.comparison.statistics import overall, summarize, summarize_targets
from zoo.comparison.sweep import decided_rate, max_stages
from zoo.comparison.workers import LOCAL, Backend, SerialExecutor, WorkerPool, check_jobs, parse_backend
from zoo.errors import CheckpointError, UsageError
from zoo.processes import available_processors
from zoo.storage import PLAN_FILE, RunDirectory
from zoo.storage.atomic import entries, is_temporary, remove_temporaries
from zoo.storage.run_directory import exclusive_lock
from zoo.storage.safe_read import cannot_write
from zoo.training import Interrupted, Run
from zoo.training.run import new_directory
from zoo.training.signals import catch_stop_signals
from zoo.training.state import versions

Pair = tuple[str, str]


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
        without_steps = self._pairs_without_steps()
        unfinished = [pair for pair in self.plan.pairs() if pair in without_steps or not self._is_done(pair)]
        self._compile(self.jobs.compile(unfinished))
        if without_steps:
            self._measure_speed(without_steps)
        without_steps = self._pairs_without_steps()
        pairs = [pair for pair in self.plan.pairs() if pair not in without_steps]
        upcoming = self.jobs.runs({pair: decided_rate(self.plan, []) for pair in pairs})
        for _ in range(max_stages(self.plan)):
            swept = [job for pair in pairs for job in self.jobs.sweep(pair, self._sweep_of(pair))]
            if not swept:
                break
            self._run_stage("sweep", swept, self.sweep, upcoming)
        rates = {pair: decided_rate(self.plan, self._sweep_of(pair)) for pair in pairs}
        reasons = {pair: _reason_without_rate(self._sweep_of(pair)) for pair in pairs}
        jobs = self.jobs.runs(rates)
        self._run_stage("runs", [job for job in jobs if not reasons[_pair(job)]], self.runs)
        for job in jobs:
            if reason := reasons[_pair(job)]:
                self.runs.append(RunRecord(**failed_record(job, reason)))

    def _pairs_without_steps(self) -> list[Pair]:
        """Pairs whose number of steps is not measured yet."""
        return [pair for pair in self.plan.pairs() if self.plan.run_sizes[pair[0]][pair[1]].steps is None]

    def _compile(self, jobs: Sequence[Job]) -> None:
        """Compile the kernels; the first cell alone, because the others share many of them."""
        if jobs:
            self._run_stage("compile", jobs, first=1)

    def _measure_speed(self, pairs: Sequence[Pair]) -> None:
        """Measure how many steps take the requested time, and store them in the plan."""
        records = self._run_stage("speed", self.jobs.speed(pairs))
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

    def _sweep_of(self, pair: Pair) -> list[RunRecord]:
        """Records of the sweep of a pair so far."""
        return [record for record in self.sweep if (record.task, record.cell) == pair]

    def _is_done(self, pair: Pair) -> bool:
        swept, is_swept = self._stored_sweep(pair, self._stored_record)
        return is_swept and all(map(self._stored_record, self._compared_jobs(pair, swept)))

    def _stored_sweep(
        self, pair: Pair, read: Callable[[Job], RunRecord | None]
    ) -> tuple[list[RunRecord], bool]:
        """Stored records of the sweep of a pair, and whether the sweep is complete."""
        swept: list[RunRecord] = []
        while jobs := self.jobs.sweep(pair, swept):
            stored = [record for job in jobs if (record := read(job)) is not None]
            swept += stored
            if len(stored) < len(jobs):
                return swept, False
        return swept, True

    def _compared_jobs(self, pair: Pair, swept: Sequence[RunRecord]) -> list[Job]:
        """The compared runs of a pair after its sweep."""
        return self.jobs.runs({pair: decided_rate(self.plan, swept)})

    def add_stored_records(self) -> None:
        """Add the records of finished runs that an interrupted call did not reach, except damaged ones."""
        known = {record.path for record in (*self.sweep, *self.runs)}
        without_steps = self._pairs_without_steps()
        for pair in (pair for pair in self.plan.pairs() if pair not in without_steps):
            swept, _ = self._stored_sweep(pair, self._readable_record)
            runs = [
                record
                for job in self._compared_jobs(pair, swept)
                if (record := self._readable_record(job)) is not None
            ]
            for records, stored in ((self.sweep, swept), (self.runs, runs)):
                records += [record for record in stored if record.path not in known]


def with_measured_steps(plan: Plan, records: Iterable[Record]) -> Plan:
    """Set the steps of every pair to the number that takes the seconds of the plan."""
    run_sizes = {task: dict(sizes) for task, sizes in plan.run_sizes.items()}
    for record in records:
        if record["status"] == "finished":
            task, cell = record["task"], record["cell"]
            steps = max(1, round(plan.length[1] * record["steps_per_s"]))
            run_sizes[task][cell] = dataclasses.replace(run_sizes[task][cell], steps=steps)
    return dataclasses.replace(plan, run_sizes=run_sizes)


def _pair(job: Job) -> Pair:
    return job["task"], job["cell"]


def _reason_without_rate(sweep: Sequence[RunRecord]) -> str:
    """The reason why the runs of a pair do not start; empty if they do."""
    if not sweep or any(record.status != "failed" for record in sweep):
        return ""
    return f"not started, because all runs of its learning rate sweep failed. {sweep[0].error}"


def _job_summary(job: Job) -> Event:
    return {"path": job["path"], "task": job["task"], "cell": job["cell"], "steps": job["train"].get("steps")}


_LOCK = ".lock"
DATA_FOLDER = "data"
"""Folder of data sets that were given in memory."""


def compare(
    cells: Any = (),
    tasks: Any = (),
    *,
    block: Any = None,
    data: Any = None,
    out: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seeds: int | None = None,
    params: int | None = None,
    hidden: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    lr: float | None = None,
    lr_grid: Sequence[float] | None = None,
    sweep_steps: int | None = None,
    sweep_rounds: int | None = None,
    jobs: int | None = None,
    on: str | None = None,
    engine: Executor | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Comparison:
    """Train cells on tasks or on your data under equal conditions, and compare their scores.

    >>> comparison = zoo.compare(["vanilla", "gru"], ["adding"], seeds=2, params=2000, steps=300)
    >>> print(comparison.table())
    >>> comparison = zoo.compare(["lstm", "gru"], data="load.csv", target="load", horizon=24)

    Options of cells that you do not set have their defaults, or their customary values: the forget bias of
    ``lstm`` and its variants is 1 in comparisons.

    A comparison is a directory. The same call resumes it and runs only what is missing. When you add cells,
    tasks or seeds, you can leave out all other arguments.

    Args:
        cells: A name, ``FILE.py:Class``, ``LABEL=NAME``, a class, or an instance with its options; a sequence
            of these; or a mapping from labels to these. A list of these within the sequence or mapping is a
            stack with a cell for each layer, ``[["griffin(rg_lru)", "griffin(lstm)"], "lstm"]``. The name
            ``"(griffin(rg_lru),griffin(lstm))"`` is the same, and ``"2*lstm"`` repeats layers.
        tasks: Tasks in the same forms.
        block: Name of the block around every cell, or names of several, each around every cell; ``"bare"``
            for none. The parameters of cells, blocks and readout are reported separately.
        data: A table to forecast, or labelled sequences, as for :func:`zoo.fit`; or several files, each a
            data set of its own. The settings are also those of :func:`zoo.fit`: ``target``, ``horizon``,
            ``label``, ``series`` and others. Data in memory are saved in the directory. The scores of simple
            baselines are rows of the table.
        out: The directory; None for a new one under ``runs/``.
        options: Options of cells and tasks, by name or label.
        seeds: Number of runs of each cell on each task, with the seeds 0, 1, 2, ...; None for 5.
        params: Budget of parameters. On each task a cell gets the hidden size whose number of parameters
            (layers and readout) is nearest to it. None for 20,000, unless ``hidden`` is given.
        hidden: Number of hidden units of all cells, instead of ``params``.
        steps: Updates of a run; None for 2,000, unless ``seconds`` is given.
        seconds: Training time of a run, instead of ``steps``. The updates per second of each cell are
            measured once, and give its number of updates.
        lr: Learning rate of all runs; None to choose one for each cell and task by short runs.
        lr_grid: Learning rates to choose from; None for three around the optimizer's default.
        sweep_steps: Updates of a short run; None for a fifth of a run.
        sweep_rounds: Rounds that continue a sweep without a decision: with runs of twice the length while no
            rate is better than the memoryless baseline, then with a rate beyond the grid while the best one
            is at its edge. Then the run at the best rate is repeated with another seed, and a rate counts by
            its worse run. None for 4, or for 0 if ``lr_grid`` or ``sweep_steps`` is given.
        jobs: Worker processes, of one thread each; None for one per processor; 0 to run everything serially
            in this process. With ``on="dask+slurm"``, the number of SLURM jobs to submit.
        on: ``"local"`` (the same as None); ``"dask://HOST:PORT"`` for the workers of a Dask scheduler, on
            machines that share the directory; ``"dask+slurm"`` for Dask workers that are SLURM jobs.
        engine: An executor that runs the jobs instead.
        on_event: Called with every event, a dictionary with the key ``event``.
        **settings: Settings of the data, and other arguments of every run, as for ``zoo.train``: ``layers``,
            ``dtype``, ``batch``, ``optimizer`` and others. The optimizer is a name or ``FILE.py:Class``. The
            default schedule is half a cosine after a warm-up over 5 % of the updates.

    Returns:
        The comparison, failed runs included.

    Raises:
        UsageError: if an argument is invalid.
        UnknownNameError: if a cell, task or optimizer is unknown.
        DataError: if the data cannot be read, or do not fit their settings.
        CheckpointError: if the directory cannot be used, or holds another comparison, or the data have
            changed since.
        Interrupted: after a signal, when all running jobs have saved.
    """
    out = None if out is None else as_directory(out, "compare: out")
    if on_event is not None and not callable(on_event):
        raise UsageError(f"compare: on_event is {short_repr(on_event)}; expected a function of an event.")
    if engine is not None and not hasattr(engine, "map"):
        raise UsageError(f"compare: engine is {short_repr(engine)}; expected an object with a method map.")
    cell_specs, task_specs, chosen = _collect_specs(cells, tasks, options, block)
    data_settings = {name: settings.pop(name) for name in DATA_SETTINGS if settings.get(name) is not None}
    with TemporaryDirectory() as scratch:
        settings, optimizer_spec = specs.extract_optimizer_file(settings)
        files, data_settings = save_data(data, data_settings, Path(scratch))
        request = CompareRequest(
            cell_specs,
            task_specs,
            label_data_sets(files),
            data_settings,
            chosen,
            seeds=seeds,
            params=params,
            hidden=hidden,
            steps=steps,
            seconds=seconds,
            lr=lr,
            lr_grid=lr_grid,
            sweep_steps=sweep_steps,
            sweep_rounds=sweep_rounds,
            settings=settings,
            optimizer_spec=optimizer_spec,
        )
        backend = parse_backend(on)
        check_jobs(backend, jobs)
        stored = read_plan(out) if out is not None else None
        resolved = resolve_plan(request, stored, out or Path("runs"))
        if engine is None and jobs != 0:
            specs.check_importable_by_workers(resolved.plan)
        # Last, so that invalid arguments leave no directory behind.
        named = "-".join((*request.tasks, *request.data))
        folder = out if out is not None else new_directory("compare", named)
        with _lock_directory(folder):
            if (current := read_plan(folder)) != stored or (stored and stored.cells != resolved.plan.cells):
                resolved = resolve_plan(request, current, folder)  # another process may have been faster
            resolved = _move_files(resolved, Path(scratch), folder / DATA_FOLDER)
            resolved.plan.write(folder)
            _run(folder, resolved, jobs, engine or backend, on_event or (lambda _: None))
    return Comparison(folder)


def _move_files(resolved: ResolvedPlan, scratch: Path, folder: Path) -> ResolvedPlan:
    """Move the data that were in memory from ``scratch`` into the directory of the comparison."""
    entries = dict(resolved.plan.tasks)
    for label, info in resolved.tasks.items():
        if isinstance(info, DataSetInfo) and Path(info.path).parent == scratch:
            info.move(folder)
            entries[label] = dataclasses.replace(entries[label], spec=info.path)
    return dataclasses.replace(resolved, plan=dataclasses.replace(resolved.plan, tasks=entries))


def _collect_specs(
    cells: Any, tasks: Any, options: Mapping[str, Mapping[str, Any]] | None, block: Any
) -> tuple[Specs, Specs, specs.Options]:
    """Specs of cells and tasks by label, and all options."""
    (cell_specs, cell_options), (task_specs, task_options) = (
        specs.in_blocks(specs.label_specs("cell", cells), block),
        specs.label_specs("task", tasks),
    )
    chosen = {label: dict(values) for label, values in {**cell_options, **task_options}.items()}
    for label, values in as_mapping({} if options is None else options, "compare: options").items():
        label_options = as_mapping(values, f"compare: options of {label!r}")
        chosen[label] = override_options(chosen.get(label, {}), label_options)
    return cell_specs, task_specs, chosen


@contextmanager
def _lock_directory(folder: Path) -> Iterator[None]:
    """Create a directory if it is missing, lock it, and remove temporary files of killed processes.

    Raises:
        CheckpointError: if it holds something else, cannot be written, or is locked by another process.
    """
    foreign = [path.name for path in entries(folder) if path.name != _LOCK and not is_temporary(path)]
    if PLAN_FILE not in foreign and RunDirectory(folder).holds_run():
        raise CheckpointError(
            f"the directory {folder} holds a run of `zoo train`; choose an empty or new directory."
        )
    if foreign and PLAN_FILE not in foreign:
        raise CheckpointError(
            f"the directory {folder} is not empty and holds no comparison ({len(foreign)} entries, such as "
            f"{foreign[0]!r}); choose an empty or new directory."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    with exclusive_lock(folder / _LOCK, f"The comparison in {folder}"):
        remove_temporaries(folder)
        yield


def _run(
    folder: Path, resolved: ResolvedPlan, jobs: int | None, where: Executor | Backend, on_event: OnEvent
) -> None:
    """Run all missing jobs, and write the results even after an error."""
    started = time.perf_counter()
    count = available_processors() if jobs is None else jobs
    with catch_stop_signals() as interruption:

        def check() -> None:
            if interruption.signal is not None:
                raise Interrupted(interruption.signal, folder)

        with _open_executor(folder, count, where, check) as executor:
            runner = ComparisonRunner(folder, resolved, specs.plugin_files(), executor, on_event)
            plan = runner.plan.to_json()
            data_descriptions = {
                label: info.description
                for label, info in resolved.tasks.items()
                if isinstance(info, DataSetInfo)
            }
            on_event(
                {
                    "event": "started",
                    "out": str(folder),
                    "jobs": count,
                    "plan": plan,
                    "data": data_descriptions,
                }
            )
            try:
                runner.run()
            except BaseException as error:
                runner.add_stored_records()
                if isinstance(error, Interrupted):  # by the run that this process trains
                    raise Interrupted(error.signal, folder) from None
                raise
            finally:
                processes = count if where == Backend(LOCAL) else None
                _write_results(folder, runner, processes, time.perf_counter() - started)
    on_event({"event": "ended", "seconds": round(time.perf_counter() - started, 3)})


def _write_results(folder: Path, runner: ComparisonRunner, count: int | None, seconds: float) -> None:
    plan = runner.plan
    metadata = make_metadata(plan, runner.resolved, count, seconds, folder)
    runs, sweep = sort_records(runner.runs, plan), sort_records(runner.sweep, plan)
    target_records: list[tuple[RunRecord, str, str]] = []
    for label, info in runner.resolved.tasks.items():
        if isinstance(info, DataSetInfo):
            label_runs = [run for run in runs if run.task == label]
            metadata["tasks"][label] |= _read_baselines(folder, label_runs)
            target_records += _read_targets(folder, label_runs) if info.has_several_targets else ()
    targets = summarize_targets(target_records)
    write_results(folder, metadata, runs, sweep, summarize(runs), overall(runs), targets)


def _read_baselines(folder: Path, runs: Iterable[RunRecord]) -> dict[str, Any]:
    """The baselines of a data set, which are the same in the logs of all its runs."""
    for run, facts in _read_test_scores(folder, runs):
        return {"baseline": run.baseline, "baselines": baseline_scores(facts)}
    return {}


def _read_targets(folder: Path, runs: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, str, str]]:
    """A record of each run for each target, with the target and its best baseline."""
    for run, facts in _read_test_scores(folder, runs):
        for target, best, fields in target_fields(facts):
            yield dataclasses.replace(run, **fields), target, best


def _read_test_scores(folder: Path, runs: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, Facts]]:
    """Finished runs with the scores on the test part in their logs."""
    for run in runs:
        if run.status == "finished" and run.baseline is not None:
            end = next(iter(deque(Run(folder / run.path).events("end"), maxlen=1)), {})
            if facts := end.get("test"):
                yield run, facts


@contextmanager
def _open_executor(
    folder: Path, count: int, where: Executor | Backend, check: Callable[[], None]
) -> Iterator[Executor]:
    if not isinstance(where, Backend):
        yield where
    elif where.kind != LOCAL:
        from zoo.comparison.dask_executor import DaskExecutor, connect  # Dask is an optional dependency

        with connect(where, count) as client:
            yield DaskExecutor(folder, client, check)
    elif count:
        with WorkerPool(folder, count, check) as pool:
            yield pool
    else:
        yield SerialExecutor(folder)


def make_metadata(
    plan: Plan, resolved: ResolvedPlan, jobs: int | None, seconds: float, folder: Path
) -> dict[str, Any]:
    """Make the fields of ``results.json`` apart from the records.

    Args:
        plan: The plan with measured values.
        resolved: Its cells and tasks.
        jobs: Number of worker processes; None for another executor.
        seconds: Duration of this call.
        folder: Directory of the comparison.
    """
    now = datetime.now(timezone.utc)
    return {
        "command": command_line(plan, resolved, folder),
        "plan": plan.to_json(),
        "cells": {
            label: {
                "name": cell.name,
                "summary": cell.summary,
                "scope": cell.scope,
                "options": cell.options,
                "stated_options": cell.stated_options,
                "customary_options": cell.customary_options,
                "fixed_sizes": cell.fixed_sizes,
            }
            for label, cell in resolved.cells.items()
        },
        "tasks": {label: info.to_json() for label, info in resolved.tasks.items()},
        **parameter_parts(plan, resolved),
        "jobs": jobs,
        "wall_seconds": round(seconds, 3),
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine_info(),
        "versions": versions(),
    }


def parameter_parts(plan: Plan, resolved: ResolvedPlan) -> dict[str, Any]:
    """The parameters of cell, block and readout by task and cell, if a cell has a block."""
    if not any(cell.is_in_block for cell in resolved.cells.values()):
        return {}
    parts: dict[str, dict[str, dict[str, int]]] = {}
    for task, cell in plan.pairs():
        size = plan.run_sizes[task][cell]
        counts = count_parts(resolved.cells[cell].of_layers, resolved.tasks[task], size.hidden, plan.settings)
        parts.setdefault(task, {})[cell] = counts
    return {"parameters": parts}


def sort_records(records: Iterable[RunRecord], plan: Plan) -> list[RunRecord]:
    """Sort records by task and cell in the order of the plan, then by rate and seed."""
    order = {pair: index for index, pair in enumerate(plan.pairs())}
    return sorted(
        records,
        key=lambda record: (order[record.task, record.cell], record.lr or 0.0, record.seed or 0),
    )


def command_line(plan: Plan, resolved: ResolvedPlan, folder: Path) -> str:
    """Make the command line that reproduces a comparison, with defaults of ``zoo compare`` spelled out.

    Data sets with different settings need a command each.

    Args:
        plan: The plan.
        resolved: Its cells and tasks.
        folder: Directory of the comparison.
    """
    (size, number), (length, amount) = plan.size, plan.length
    tasks = {label: entry for label, entry in plan.tasks.items() if not entry.is_data}
    options = {
        label: merge_layers(cell.stated_options, cell.options) for label, cell in resolved.cells.items()
    }
    for label, info in resolved.tasks.items():
        options |= {label: stated_options(info.task)} if isinstance(info, TaskInfo) else {}
    options["optimizer"] = stated_options(resolved.optimizer)
    first, *others = _data_groups(plan.tasks.values()) or [[]]
    flags = ["--cells", _label_list(plan.cells), *(("--tasks", _label_list(tasks)) if tasks else ())]
    flags += [*first, "--seeds", str(plan.seeds)]
    flags += [f"--{size}", str(number), f"--{length}", f"{amount:g}"]
    flags += ["--lr" if len(plan.rates) == 1 else "--lr-grid", ",".join(f"{rate:g}" for rate in plan.rates)]
    flags += [] if plan.sweep_steps is None else ["--sweep-steps", str(plan.sweep_steps)]
    flags += ["--sweep-rounds", str(plan.sweep_rounds)] if plan.sweep_rounds and len(plan.rates) > 1 else []
    optimizer = specs.spec_for_commands(plan.optimizer_spec) or plan.settings["optimizer"]
    settings = {**plan.settings, "optimizer": optimizer}
    flags += [*_setting_flags(settings), *_set_flags(settings, options)]
    plugins = [
        word for file in specs.plugin_files() for word in ("--plugin", specs.path_for_commands(Path(file)))
    ]
    flags, others = [*flags, *plugins], [[*data, *plugins] for data in others]
    out = ["--out", str(folder)] if others else []
    commands = [[*flags, *out], *([*out, *data] for data in others)]
    return " && ".join(shlex.join(["zoo", "compare", *command]) for command in commands)


def _data_groups(entries: Iterable[PlanEntry]) -> list[list[str]]:
    """Flags of the data sets, a list for each group with the same settings."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        if entry.is_data:
            files = groups.setdefault(tuple(data_flags(entry)), [])
            files += ["--data", specs.path_for_commands(Path(entry.spec))]
    return [[*files, *settings] for settings, files in groups.items()]


def _label_list(entries: Mapping[str, PlanEntry]) -> str:
    return ",".join(
        spec if specs.has_default_label(label, entry) else f"{label}={spec}"
        for label, entry in entries.items()
        for spec in (specs.spec_for_commands(entry.spec),)
    )


_LIST_FLAGS = {"constraints": "--constraint", "penalties": "--penalty", "param_groups": "--param-group"}


def _setting_flags(settings: Mapping[str, Any]) -> Iterator[str]:
    """Flags of the settings that differ from their defaults."""
    for name, value in settings.items():
        if name in _LIST_FLAGS:
            yield from (part for text in value for part in (_LIST_FLAGS[name], text))
        elif name == "schedule":
            yield from () if _has_default_schedule(settings) else ("--schedule", value)
        elif value != DEFAULTS[name] and not name.endswith("_options"):
            flag = f"--{name.replace('_', '-')}"
            yield from (flag,) if value is True else (flag, f"{value}")


def _has_default_schedule(settings: Mapping[str, Any]) -> bool:
    """Whether neither the schedule nor an option of it was set: ``--schedule`` alone resets the options."""
    return all(settings[name] == DEFAULTS[name] for name in ("schedule", "schedule_options"))


def _set_flags(settings: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """``--set`` flags of the options that a command states, by label."""
    for label, label_options in options.items():
        for name, value in label_options.items():
            yield from ("--set", f"{label}.{name}={value}")
    if _has_default_schedule(settings):
        return
    for name, value in settings["schedule_options"].items():
        yield from ("--set", f"schedule.{name}={value}")
