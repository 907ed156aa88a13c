"""The course of a comparison: warm the kernels, measure the pace, sweep the rates, run everything, tell.

``zoo.compare``: from what is asked to a comparison directory, begun or gone on with.
"""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.arguments import as_mapping, as_path, short_repr
from zoo.comparison import specs
from zoo.comparison.backends import LOCAL, Place, check_jobs, find_place
from zoo.comparison.jobs import Engine, Event, Job, Jobs, Record, Tell
from zoo.comparison.plan import FILE, Plan, read_plan
from zoo.comparison.request import Asked, Specs
from zoo.comparison.resolve import Comparands, settle
from zoo.comparison.results import Comparison, facts, in_order, read_record, write_results
from zoo.comparison.statistics import choose_rate
from zoo.comparison.workers import Inline, Pool
from zoo.errors import CheckpointError, UsageError
from zoo.layers.sharding import available_threads
from zoo.storage.atomic import entries, is_temporary, remove_temporaries
from zoo.storage.run_directory import exclusive_lock
from zoo.storage.safe_read import cannot_write
from zoo.training import Interrupted
from zoo.training.run import new_directory
from zoo.training.signals import interruptible

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


_LOCK = ".lock"


class Stopped(KeyboardInterrupt):
    """A comparison was asked to stop by a signal; everything is kept.

    Attributes:
        signal: The signal's number.
        path: The directory, in which the same call goes on.
    """

    def __init__(self, number: int, path: Path) -> None:
        super().__init__(
            f"{signal.Signals(number).name}: everything is kept; the same call goes on in {path}"
        )
        self.signal, self.path = number, path

    def __reduce__(self) -> tuple[Any, ...]:
        return Stopped, (self.signal, self.path)


def compare(
    cells: Any = (),
    tasks: Any = (),
    *,
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
    jobs: int | None = None,
    on: str | None = None,
    engine: Engine | None = None,
    on_event: Tell | None = None,
    **settings: Any,
) -> Comparison:
    """Train cells on tasks, alike but for themselves, and say what came of it.

    >>> found = zoo.compare(["vanilla", "gru"], ["adding"], seeds=2, params=2000, steps=300)
    >>> print(found.table())

    A comparison is a directory. The same call goes on where it stopped, whatever stopped it, and does only
    what is missing; cells, tasks and seeds may be added, and everything else may be left out then.

    Args:
        cells: Names, ``FILE.py:Class``, ``LABEL=NAME``, classes, or cells with their options chosen: one, a
            sequence, or such things by label.
        tasks: The same of tasks.
        out: The directory; None for a new one under ``runs/``.
        options: Options of cells and tasks, by name or label.
        seeds: Runs of each cell on each task, with the seeds 0, 1, 2, ...; None for 3.
        params: A budget of parameters: on each task a cell gets the hidden size at which it comes nearest to
            it, layers and readout counted; None for 20,000, unless ``hidden`` is given.
        hidden: Or hidden units, the same for all.
        steps: Updates of a run; None for 2,000, unless ``seconds`` is given.
        seconds: Or for how long: so many updates as take this time, by the pace of each cell, which is
            measured once.
        lr: The learning rate of all runs; None to choose one for each cell and task by short runs.
        lr_grid: The rates among which is chosen; None for three around the optimizer's own.
        sweep_steps: Updates of a short run; None for a fifth of a run's.
        jobs: Worker processes, of one thread each; None for as many as there are processors; 0 to do
            everything in this process, one after the other. With ``on="dask+slurm"`` the jobs that SLURM is
            asked for.
        on: Where: ``"local"`` (None is the same); ``"dask://HOST:PORT"`` for the workers of a Dask scheduler,
            on machines that share the directory; ``"dask+slurm"`` for such workers as jobs of SLURM.
        engine: What runs the jobs instead.
        on_event: Called with every event, a dictionary with ``event``.
        **settings: What every run is trained with besides: ``layers``, ``dtype``, ``batch``, ``optimizer``
            and others, as for ``zoo.train``.

    Returns:
        The comparison. Runs that failed are in it, and stop no others.

    Raises:
        UsageError: if something cannot be meant.
        UnknownNameError: if there is no such cell, task or optimizer.
        CheckpointError: if the directory cannot be used, or holds another comparison.
        Stopped: after a signal, when everything that is running has saved.
    """
    out = None if out is None else as_path(out, "compare: out")
    if on_event is not None and not callable(on_event):
        raise UsageError(f"compare: on_event is {short_repr(on_event)}; expected a function of an event.")
    if engine is not None and not hasattr(engine, "map"):
        raise UsageError(f"compare: engine is {short_repr(engine)}; expected what has a method map.")
    asked = Asked(
        *_named(cells, tasks, options),
        seeds=seeds,
        params=params,
        hidden=hidden,
        steps=steps,
        seconds=seconds,
        lr=lr,
        lr_grid=lr_grid,
        sweep_steps=sweep_steps,
        settings=settings,
    )
    place = find_place(on)
    check_jobs(place, jobs)
    stored = read_plan(out) if out is not None else None
    comparands = settle(asked, stored, out or Path("runs"))
    if engine is None and jobs != 0:
        specs.check_found_elsewhere(comparands.plan.cells.values(), comparands.plan.tasks.values())
    # Last, so that settings which cannot be meant leave no directory behind.
    folder = out if out is not None else new_directory("compare", "-".join(asked.tasks))
    with _held(folder):
        if (now := read_plan(folder)) != stored:  # another process was faster
            comparands = settle(asked, now, folder)
        comparands.plan.write(folder)
        _run(folder, comparands, jobs, engine or place, on_event or (lambda _: None))
    return Comparison(folder)


def _named(
    cells: Any, tasks: Any, options: Mapping[str, Mapping[str, Any]] | None
) -> tuple[Specs, Specs, specs.Options]:
    """What to find cells and tasks by, by label, and all options that are given."""
    (cell_specs, of_cells), (task_specs, of_tasks) = (
        specs.by_label("cell", cells),
        specs.by_label("task", tasks),
    )
    chosen = {label: dict(values) for label, values in {**of_cells, **of_tasks}.items()}
    for label, values in as_mapping({} if options is None else options, "compare: options").items():
        of_label = as_mapping(values, f"compare: options of {label!r}")
        chosen[label] = {**chosen.get(label, {}), **of_label}
    return cell_specs, task_specs, chosen


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Be the only one at work in a directory, which is made if it is not there.

    What killed writers left half written is removed; it may be all that there is.

    Raises:
        CheckpointError: if it holds something else, cannot be written, or somebody else is at work in it.
    """
    foreign = [path.name for path in entries(folder) if path.name != _LOCK and not is_temporary(path)]
    if foreign and FILE not in foreign:
        raise CheckpointError(
            f"The directory {folder} is not empty and holds no comparison ({len(foreign)} entries, such as "
            f"{foreign[0]!r}); choose an empty or new directory."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    with exclusive_lock(folder / _LOCK, f"The comparison in {folder}"):
        remove_temporaries(folder)
        yield


def _run(folder: Path, comparands: Comparands, jobs: int | None, where: Engine | Place, tell: Tell) -> None:
    """Do all that is missing, and write what is there, whatever happens."""
    began = time.perf_counter()
    count = available_threads() if jobs is None else jobs
    with interruptible() as interruption:

        def check() -> None:
            if interruption.signal is not None:
                raise Stopped(interruption.signal, folder)

        with _engine(folder, count, where, check) as engine:
            course = Course(folder, comparands, specs.plugin_files(), engine, tell)
            tell(_begin(folder, course, count))
            try:
                course.run()
            except Interrupted as stopped:
                raise Stopped(stopped.signal, folder) from None
            finally:
                here = count if where == Place(LOCAL) else None
                _write(folder, course, here, time.perf_counter() - began)
    tell({"event": "end", "seconds": round(time.perf_counter() - began, 3)})


def _begin(folder: Path, course: Course, count: int) -> Event:
    """The first event: what is compared, and where."""
    return {"event": "begin", "out": str(folder), "jobs": count, "plan": course.plan.to_json()}


def _write(folder: Path, course: Course, count: int | None, seconds: float) -> None:
    """The results of everything that is done."""
    plan = course.plan
    beside = facts(plan, course.comparands, count, seconds)
    write_results(folder, beside, in_order(course.sweep, plan), in_order(course.runs, plan))


@contextmanager
def _engine(folder: Path, count: int, where: Engine | Place, check: Callable[[], None]) -> Iterator[Engine]:
    """What runs the jobs."""
    if not isinstance(where, Place):
        yield where
    elif where.kind != LOCAL:
        from zoo.comparison import dask_backend  # only who asks for it needs Dask

        with dask_backend.connected(where, count) as client:
            yield dask_backend.Dask(folder, client, check)
    elif count:
        with Pool(folder, count, check) as pool:
            yield pool
    else:
        yield Inline(folder)
