"""``zoo.train``: from settings to a run directory, begun or gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.contracts import Cell, Optimizer
from zoo.data import Corpus
from zoo.errors import UsageError
from zoo.model import LanguageModel
from zoo.registry import get_optimizer, resolve_cell
from zoo.storage import RunDirectory
from zoo.training.config import Config, make_config
from zoo.training.progress import Progress, restore
from zoo.training.resuming import find_checkpoint, left_open, resume_config
from zoo.training.run import Interrupted, Run, new_directory
from zoo.training.schedules import Schedule, make_schedule
from zoo.training.signals import interruptible
from zoo.training.text import Text, prepare
from zoo.training.trainer import Event, Trainer

Watch = Callable[[Event], None]


def train(
    data: Any = "builtin:pydoc",
    cell: str | type[Cell] | Cell = "vanilla",
    *,
    out: str | Path | None = None,
    resume: bool = False,
    on_event: Watch | None = None,
    **settings: Any,
) -> Run:
    """Train a language model on a text.

    >>> run = zoo.train("builtin:hello", cell="vanilla", hidden=64, steps=200)
    >>> run.model.sample("h", length=4, sampler="greedy")
    'hello'

    Args:
        data: A source or several (see :class:`Config`), or a :class:`zoo.data.Corpus`.
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        out: The run directory; None for a new one under ``runs/``.
        resume: Go on with the run in ``out``, or begin it if there is none. Sizes, lengths and intervals that
            are left at None are then those of the run.
        on_event: Called with every event, as it is written to ``log.jsonl``.
        **settings: The other settings of :class:`Config`.

    Returns:
        The run.

    Raises:
        UsageError: if a setting cannot be meant.
        DataError: if the text cannot be read or is too short.
        CheckpointError: if the directory cannot be used or written, or a resumed run would be another run.
        ZooError: if training diverges.
        Interrupted: after a signal, when the step is finished and saved.
    """
    if resume and out is None:
        raise UsageError("resume needs out, the directory of the run.")
    asked, chosen = _configure(data, cell, settings)
    before = resume_config(out) if resume and out is not None else None
    corpus = data if isinstance(data, Corpus) else None
    config, text = prepare(left_open(asked, before) if before else asked, corpus)
    parts = _build(config, text, chosen)
    # Last, so that settings which cannot be meant leave no directory behind.
    directory = RunDirectory(out if out is not None else new_directory(config.cell, text.corpus.name))
    directory.create(resuming=resume)
    with directory.lock():
        # Again, since another process may have begun a run before the lock was ours.
        directory.create(resuming=resume)
        return _Session(config, text, *parts, directory, on_event).run()


def _configure(data: Any, cell: str | type[Cell] | Cell, settings: dict[str, Any]) -> tuple[Config, Cell]:
    """The configuration that was asked for, and its cell."""
    options = settings.pop("cell_options", {})
    if not isinstance(options, Mapping):
        raise UsageError(f"cell_options is {options!r}; expected a mapping of names to values.")
    chosen = resolve_cell(cell, **options)
    named = {"cell": chosen.name, "cell_options": dict(chosen.options)}
    return make_config({**settings, **named, "data": _sources(data)}), chosen


def _sources(data: Any) -> tuple[str, ...]:
    """The names of the sources as a configuration holds them."""
    if isinstance(data, Corpus):
        return (data.name,)
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


def _build(config: Config, text: Text, cell: Cell) -> tuple[LanguageModel, Optimizer, Schedule]:
    """What is trained, and with what."""
    spans = config.schedule == "cosine" and "total" not in config.schedule_options
    settings = {**config.schedule_options, **({"total": config.steps} if spans else {})}
    optimizer = get_optimizer(config.optimizer, **config.optimizer_options)
    schedule = make_schedule(config.schedule, **settings)
    sizes = config.hidden, config.layers, config.dtype, config.seed, config.threads, config.recompute
    return LanguageModel(text.corpus.vocabulary, cell, *sizes), optimizer, schedule


@dataclass
class _Session:
    """One process at work in a run directory whose lock it holds."""

    config: Config
    text: Text
    model: LanguageModel
    optimizer: Optimizer
    schedule: Schedule
    directory: RunDirectory
    watch: Watch | None

    def run(self) -> Run:
        """Begin or go on, to the end."""
        trainer, started = self._trainer(*self._where_it_stands()), time.perf_counter()
        with interruptible() as interruption:
            reason = trainer.run(interruption)
        progress, seconds = trainer.progress, round(time.perf_counter() - started, 3)
        best = {"best": progress.best, "best_step": progress.best_step}
        self._emit({"event": "end", "step": progress.step, "reason": reason, **best, "seconds": seconds})
        if interruption.signal is not None:
            raise Interrupted(interruption.signal, self._run())
        return self._run()

    def _run(self) -> Run:
        return Run(self.directory.path, type(self.model.cell))

    def _where_it_stands(self) -> tuple[Progress | None, list[str]]:
        """Where the run stands, None if it begins, and what to tell of that; the model is brought there."""
        told: list[str] = []
        if not self.directory.holds_run():
            return None, told
        found = find_checkpoint(self.config, self.text, self.model, self.directory, told.append)
        if found is None:
            return None, told
        batch, source = self.text.train.batch, str(self.directory.path)
        return restore(found, self.model, self.optimizer, self.schedule, batch, source), told

    def _trainer(self, stands: Progress | None, told: list[str]) -> Trainer:
        """Bring the directory to where the run stands, and say so."""
        progress = stands or Progress(self.optimizer.init(self.model.theta), self.schedule.init())
        self.directory.truncate_log(progress.step if stands else -1)
        self.directory.resumed_from = progress.step if stands else None
        self.directory.write_config(self.config.to_json())
        self._emit(self._start_event("resume" if stands else "start", progress.step))
        for sentence in told:
            self._emit({"event": "warning", "step": progress.step, "text": sentence})
        parts = self.model, self.optimizer, self.schedule, progress, self.directory
        return Trainer(self.config, self.text, *parts, self._emit)

    def _start_event(self, kind: str, step: int) -> Event:
        return {
            "event": kind,
            "step": step,
            "out": str(self.directory.path),
            "cell": self.config.cell,
            "parameters": self.model.layout.size,
            "threads": self.model.threads,
            "text": self.text.facts(),
            "config": self.config.to_json(),
        }

    def _emit(self, event: Event) -> None:
        """Write an event to the log, which is the source of truth, and show it to whoever watches."""
        self.directory.append_log(event)
        if self.watch is not None:
            self.watch(event)
