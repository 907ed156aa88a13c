"""``zoo.train``: from settings to a run directory, begun or gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.arguments import as_bool, as_path, short_repr
from zoo.base import Cell, Optimizer, Task, Tracker
from zoo.data import Corpus
from zoo.data.sources import IN_MEMORY
from zoo.distributed.launch import process_group
from zoo.distributed.process_group import ProcessGroup
from zoo.errors import UsageError
from zoo.model import AnyModel
from zoo.registry import get_optimizer, resolve_cell, resolve_task
from zoo.storage import ReadOnlyRunDirectory, RunDirectory
from zoo.training.config import Config, make_config
from zoo.training.dataset import Reader
from zoo.training.evaluation import analyse
from zoo.training.resume import find_checkpoint, left_open, resume_config
from zoo.training.run import Interrupted, Run, new_directory
from zoo.training.schedules import Schedule, make_schedule
from zoo.training.signals import Interruption, interruptible
from zoo.training.state import Progress, restore
from zoo.training.task_dataset import prepare_task
from zoo.training.text_dataset import prepare
from zoo.training.trackers import chosen_trackers, following
from zoo.training.trainer import Event, Trainer

Watch = Callable[[Event], None]

_CLOSING = ("end", "diverged")
"""Events after the last checkpoint of a session: a run that goes on writes its own, at its own end."""


def train(
    data: Any = None,
    cell: str | type[Cell] | Cell = "vanilla",
    *,
    task: str | type[Task] | Task | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    on_event: Watch | None = None,
    trackers: Sequence[str | type[Tracker] | Tracker] = (),
    **settings: Any,
) -> Run:
    """Train a language model on a text, or a sequence model on a task.

    >>> run = zoo.train("builtin:hello", cell="vanilla", hidden=64, steps=200)
    >>> run.model.sample("h", length=4, sampler="greedy")
    'hello'
    >>> run = zoo.train(task="copying", task_options={"delay": 3}, cell="lstm", hidden=32, steps=20)

    Args:
        data: A source or several (see :class:`Config`), or a :class:`zoo.data.Corpus`; None for
            ``"builtin:pydoc"`` where there is no task.
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        task: Name of a registered task, ``"FILE.py:Class"``, a task class, or a task with its options chosen;
            instead of data.
        out: The run directory; None for a new one under ``runs/``.
        resume: Go on with the run in ``out``, or begin it if there is none. Sizes, lengths and intervals that
            are left at None are then those of the run.
        on_event: Called with every event, as it is written to ``log.jsonl``.
        trackers: Names of registered trackers, classes, or trackers with their options chosen, which are told
            of every event, too. One that fails is left out with a warning, and the run goes on.
        **settings: The other settings of :class:`Config`.

    Returns:
        The run.

    Raises:
        UsageError: if a setting cannot be meant.
        UnknownNameError: if no cell, task, optimizer or tracker has this name.
        DataError: if the text cannot be read or is too short.
        CheckpointError: if the directory cannot be used or written, or a resumed run would be another run.
        ZooError: if training diverges.
        Interrupted: after a signal, when the step is finished and saved.
    """
    out = None if out is None else as_path(out, "out")
    if as_bool(resume, "resume") and out is None:
        raise UsageError("resume needs out, the directory of the run.")
    if on_event is not None and not callable(on_event):
        raise UsageError(f"on_event is {short_repr(on_event)}; expected a function of an event.")
    told, practised = chosen_trackers(trackers), _task(task, settings)
    asked, chosen = _configure(data, practised, cell, settings)
    before = resume_config(out) if resume and out is not None else None
    config, reader = _prepare(left_open(asked, before) if before else asked, data, practised)
    parts = _build(config, reader, chosen)
    ranks = process_group()
    if ranks.size > 1 and "-" in config.data:
        raise UsageError(
            f"data is '-', which only one of {ranks.size} processes can read; give a file that all can read."
        )
    # Last, so that settings which cannot be meant leave no directory behind.
    with _writing(ranks, out, resume, config.cell, reader.name) as directory:
        watchers = (on_event, told) if ranks.is_root else (None, ())
        return _Session(config, reader, *parts, directory, ranks, *watchers).run()


@contextmanager
def _writing(
    ranks: ProcessGroup, out: str | Path | None, resume: bool, cell: str, name: str
) -> Iterator[RunDirectory]:
    """The directory, which the first rank alone writes to, and locks."""
    if not ranks.is_root:
        yield ReadOnlyRunDirectory(ranks.broadcast_text(""))
        return
    directory = RunDirectory(out if out is not None else new_directory(cell, name))
    begun, existed = directory.holds_run(), out is not None and directory.path.exists()
    directory.create(resuming=resume)
    with directory.lock():
        # Again, since another process may have begun a run before the lock was ours.
        directory.create(resuming=resume)
        ranks.broadcast_text(str(directory.path))
        try:
            yield directory
        except Exception:  # before the first step, as of a task's draw: `discard` keeps what was trained
            if not begun:
                directory.discard(remove_directory=not existed)
            raise


def _task(task: str | type[Task] | Task | None, settings: dict[str, Any]) -> Task | None:
    """The task that was asked for, with its options."""
    if task is None:
        return None
    return resolve_task(task, **_options("task_options", settings))


def _configure(
    data: Any, task: Task | None, cell: str | type[Cell] | Cell, settings: dict[str, Any]
) -> tuple[Config, Cell]:
    """The configuration that was asked for, and its cell."""
    chosen = resolve_cell(cell, **_options("cell_options", settings))
    named: dict[str, Any] = {"cell": chosen.name, "cell_options": dict(chosen.options)}
    if task is not None:
        named |= {"task": task.name, "task_options": dict(task.options)}
    if task is not None and data is not None:
        raise UsageError(f"data and the task {task.name!r} are both given; give one of them.")
    return make_config({**settings, **named, "data": _sources(data, task)}), chosen


def _options(name: str, settings: dict[str, Any]) -> Mapping[str, Any]:
    """Options of a member, taken out of the settings."""
    options = settings.pop(name, {})
    if not isinstance(options, Mapping):
        raise UsageError(f"{name} is {short_repr(options)}; expected a mapping of names to values.")
    return options


def _prepare(config: Config, data: Any, task: Task | None) -> tuple[Config, Reader]:
    """What is read, and the configuration with every size settled."""
    if task is not None:
        return prepare_task(config, task)
    return prepare(config, data if isinstance(data, Corpus) else None)


def _sources(data: Any, task: Task | None) -> tuple[str, ...]:
    """The names of the sources as a configuration holds them."""
    if data is None:
        return Config.data if task is None else ()
    if isinstance(data, Corpus):
        return (f"{IN_MEMORY}{data.name}",)
    if isinstance(data, (str, Path)):
        return (_lasting(data),)
    if isinstance(data, Sequence) and all(isinstance(source, (str, Path)) for source in data):
        return tuple(map(_lasting, data))
    raise UsageError(
        f"data is a {type(data).__name__}; expected a file, a directory, '-' or builtin:NAME, several of "
        f"them, or a zoo.data.Corpus."
    )


def _lasting(source: str | Path) -> str:
    """A source under a name that still means it when a run is looked at from another directory."""
    path = Path(source)
    return str(path.absolute()) if path.exists() else str(source)


def _build(config: Config, reader: Reader, cell: Cell) -> tuple[AnyModel, Optimizer, Schedule]:
    """What is trained, and with what."""
    spans = config.schedule == "cosine" and "total" not in config.schedule_options
    settings = {**config.schedule_options, **({"total": config.steps} if spans else {})}
    optimizer = get_optimizer(config.optimizer, **config.optimizer_options)
    schedule = make_schedule(config.schedule, **settings)
    return reader.make_model(cell, config), optimizer, schedule


@dataclass
class _Session:
    """One process at work in a run directory whose lock it holds."""

    config: Config
    reader: Reader
    model: AnyModel
    optimizer: Optimizer
    schedule: Schedule
    directory: RunDirectory
    ranks: ProcessGroup
    watch: Watch | None
    trackers: Sequence[Tracker]
    _log_is_complete: bool = field(default=False, init=False)

    def run(self) -> Run:
        """Begin or go on, to the end."""
        with following(self.trackers) as self._tell:
            return self._train()

    def _train(self) -> Run:
        self._join_ranks()
        warnings: list[str] = []
        resumed = self._resume_point(warnings.append)
        trainer, started = self._trainer(resumed, warnings), time.perf_counter()
        with interruptible() as interruption:
            reason = trainer.run(interruption)
        progress, seconds = trainer.progress, round(time.perf_counter() - started, 3)
        best = {"best": progress.best, "best_step": progress.best_step}
        self._emit({"event": "end", "step": progress.step, "reason": reason, **best, "seconds": seconds})
        self.ranks.finish()
        if interruption.signal is not None:
            raise Interrupted(interruption.signal, self._run())
        return self._run()

    def _join_ranks(self) -> None:
        """Work on every batch with the others, if there are any."""
        self.model.process_group = self.ranks
        if self.config.threads is None:
            self.model.threads = self.ranks.local_threads(self.model.threads)

    def _run(self) -> Run:
        return Run(self.directory.path, type(self.model.cell))

    def _resume_point(self, report: Callable[[str], None]) -> Progress | None:
        """Restore the model and the pointers to checkpoints from the last checkpoint; None for a new run."""
        if not self.directory.holds_run():
            return None
        resumed = find_checkpoint(self.config, self.reader, self.model, self.directory, report)
        if resumed is None:
            return None
        step, checkpoint = resumed
        rows, source = self.reader.rows, str(self.directory.path)
        progress = restore(checkpoint, self.model, self.optimizer, self.schedule, rows, source)
        best_step = None if progress.best is None else progress.best_step
        self.directory.resume(step, checkpoint, best_step=best_step, report=report, keep=self.config.keep)
        return progress

    def _trainer(self, resumed: Progress | None, warnings: list[str]) -> Trainer:
        """Truncate the log to the resume point, and write the first events."""
        progress = resumed or Progress(self.optimizer.init(self.model.theta), self.schedule.init())
        parts = self.model, self.optimizer, self.schedule, progress, self.directory
        trainer = Trainer(self.config, self.reader, *parts, self.ranks, self._emit, analyse)
        self._log_is_complete = self._has_ended(trainer)
        if not self._log_is_complete:
            self.directory.truncate_log(progress.step if resumed else -1, without=_CLOSING)
        self.directory.write_config(self.config.to_json())
        self._emit(self._start_event("resume" if resumed else "start", progress.step))
        for sentence in warnings:
            self._emit({"event": "warning", "step": progress.step, "text": sentence})
        return trainer

    def _has_ended(self, trainer: Trainer) -> bool:
        """Whether no step is left and the log already ends with this event."""
        reason = trainer.reason_to_end(Interruption())
        if reason is None or not self.ranks.is_root:  # the other ranks write no log
            return False
        last = self.directory.read_log()[-1:] or [{}]
        end = {"event": "end", "step": trainer.progress.step, "reason": reason}
        return end.items() <= last[0].items()

    def _start_event(self, kind: str, step: int) -> Event:
        return {
            "event": kind,
            "step": step,
            "out": str(self.directory.path),
            "cell": self.config.cell,
            "parameters": self.model.layout.size,
            "threads": self.model.threads,
            "ranks": self.ranks.size,
            self.reader.kind: self.reader.facts(),
            "config": self.config.to_json(),
        }

    def _emit(self, event: Event) -> None:
        """Append an event to the log, and pass it to the trackers and `watch`.

        The log of a run that has ended already gets no second end.
        """
        if not self._log_is_complete:
            self.directory.append_log(event)
        self._tell(event)
        if self.watch is not None:
            self.watch(event)
