"""``zoo.compare``: plan a comparison in its directory, run the missing jobs, and write the results."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.arguments import as_directory, as_mapping, short_repr
from zoo.comparison import specs
from zoo.comparison.data_sets import (
    DataSetInfo,
    label_data_sets,
    read_baselines,
    read_targets,
    save_data,
)
from zoo.comparison.jobs import Executor, OnEvent
from zoo.comparison.metadata import make_metadata
from zoo.comparison.model_info import override_options
from zoo.comparison.plan import DATA_SETTINGS, CompareRequest, Plan, Specs, read_plan
from zoo.comparison.records import RunRecord
from zoo.comparison.resolve import ResolvedPlan, resolve_plan
from zoo.comparison.results import Comparison, with_worst_scores, write_results
from zoo.comparison.runner import ComparisonRunner
from zoo.comparison.statistics import overall, summarize, summarize_targets
from zoo.comparison.workers import LOCAL, Backend, SerialExecutor, WorkerPool, check_jobs, parse_backend
from zoo.errors import CheckpointError, UsageError
from zoo.processes import available_processors
from zoo.registry import given_classes
from zoo.storage import PLAN_FILE, RunDirectory
from zoo.storage.atomic import entries, is_temporary, remove_temporaries
from zoo.storage.run_directory import exclusive_lock
from zoo.storage.safe_read import cannot_write
from zoo.training import Interrupted
from zoo.training.run import new_directory
from zoo.training.signals import catch_stop_signals

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
    params: int | Sequence[int] | None = None,
    hidden: int | Sequence[int] | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    lr: float | None = None,
    lr_grid: Sequence[float] | None = None,
    sweep_steps: int | None = None,
    sweep_rounds: int | None = None,
    reference: str | None = None,
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
    >>> comparison = zoo.compare(["lstm", "gru"], ["adding"], params=[1000, 4000, 16000])

    Options of cells that you do not set have their defaults, or their customary values: the forget bias of
    ``lstm`` and its variants is 1 in comparisons.

    A comparison is a directory. The same call resumes it and runs only what is missing. When you add cells,
    tasks, sizes or seeds, you can leave out all other arguments.

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
            (layers and readout) is nearest to it. A list in ascending order compares the cells at each of
            these sizes, with a table for each. None for 20,000, unless ``hidden`` is given.
        hidden: Number of hidden units of all cells, or a list of several, instead of ``params``.
        steps: Updates of a run; None for 2,000, unless ``seconds`` is given.
        seconds: Training time of a run, instead of ``steps``. The updates per second of each cell are
            measured once, and give its number of updates.
        lr: Learning rate of all runs; None to choose one for each cell, task and size by short runs.
        lr_grid: Learning rates to choose from; None for three around the optimizer's default.
        sweep_steps: Updates of a short run; None for a fifth of a run.
        sweep_rounds: Rounds that continue a sweep without a decision: with runs of twice the length while no
            rate is better than the memoryless baseline, then with a rate beyond the grid while the best one
            is at its edge. Then the run at the best rate is repeated with another seed, and a rate counts by
            its worse run. None for 8, or for 0 if ``lr_grid`` or ``sweep_steps`` is given.
        reference: Label or specification of the cell with which tables and notes compare all others, for
            example the cell without a change; ``"best"`` for the best cell of each table, as at first. It
            changes no run, so a finished comparison trains nothing.
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
    classes = [*specs.classes_of(cells), *specs.classes_of(tasks)]
    with given_classes(classes), TemporaryDirectory() as scratch:
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
            reference=reference,
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
            if resolved.plan != current:  # or an error would leave a plan with runs that no command can read
                runner = ComparisonRunner(folder, resolved, (), SerialExecutor(folder), lambda _: None)
                runner.check_stored_records()
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
    runs, sweep = (sort_records(with_worst_scores(each), plan) for each in (runner.runs, runner.sweep))
    target_records: list[tuple[RunRecord, str, str]] = []
    for label, info in runner.resolved.tasks.items():
        if isinstance(info, DataSetInfo):
            label_runs = [run for run in runs if run.task == label]
            metadata["tasks"][label] |= read_baselines(folder, label_runs)
            target_records += read_targets(folder, label_runs) if info.has_several_targets else ()
    targets = summarize_targets(target_records)
    summary, ranking = summarize(runs, plan.reference), overall(runs, plan.reference)
    write_results(folder, metadata, runs, sweep, summary, ranking, targets)


def sort_records(records: Iterable[RunRecord], plan: Plan) -> list[RunRecord]:
    """Sort records by group in the order of the plan, then by rate and seed."""
    order = {group: index for index, group in enumerate(plan.groups())}
    return sorted(
        records,
        key=lambda record: (order[record.group], record.lr or 0.0, record.seed or 0),
    )


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
