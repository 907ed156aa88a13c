"""``zoo.train`` and what it gives back."""

from __future__ import annotations

import dataclasses
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.contracts import Cell, Optimizer
from zoo.data import Corpus
from zoo.errors import CheckpointError
from zoo.model import LanguageModel, load
from zoo.registry import get_optimizer, resolve_cell
from zoo.storage import RunDirectory
from zoo.training.config import Config, config_from_json, harmful_changes, make_config
from zoo.training.progress import Progress, restore
from zoo.training.schedules import Schedule, make_schedule
from zoo.training.signals import interruptible
from zoo.training.text import Text, prepare
from zoo.training.trainer import Event, Trainer


@dataclass(frozen=True)
class Run:
    """A run directory: what was asked, what happened, and the models that came of it.

    Args:
        path: The directory.

    Raises:
        CheckpointError: when something is read that is not there or is damaged.
    """

    path: Path

    @cached_property
    def config(self) -> Config:
        """The settled configuration."""
        return config_from_json(RunDirectory(self.path).read_config(), str(self.path / "config.json"))

    @property
    def history(self) -> list[dict[str, Any]]:
        """The events of ``log.jsonl``."""
        return RunDirectory(self.path).read_log()

    @cached_property
    def model(self) -> LanguageModel:
        """The model of the best validation."""
        return load(self.path)

    @property
    def best_loss(self) -> float | None:
        """Lowest validation loss, in nats per symbol; None before the first validation."""
        losses = [float(event["loss"]) for event in self.history if event["event"] == "eval"]
        return min(losses, default=None)

    @property
    def ended(self) -> str | None:
        """Why training ended: ``finished``, ``no improvement``, ``interrupted``; None if it was killed."""
        ends = [event["reason"] for event in self.history if event["event"] == "end"]
        return str(ends[-1]) if ends else None


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop by a signal, and has saved.

    Attributes:
        signal: The signal's number.
        run: The run, which can be resumed.
    """

    def __init__(self, number: int, run: Run) -> None:
        super().__init__(f"{signal.Signals(number).name}: saved; resume with --resume --out {run.path}")
        self.signal = number
        self.run = run


def train(
    data: Any = "builtin:pydoc",
    cell: str | type[Cell] | Cell = "vanilla",
    *,
    out: str | Path | None = None,
    resume: bool = False,
    on_event: Callable[[Event], None] | None = None,
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
        resume: Go on with the run in ``out``, or begin it if there is none.
        on_event: Called with every event, as it is written to ``log.jsonl``.
        **settings: The other settings of :class:`Config`.

    Returns:
        The run.

    Raises:
        UsageError: if a setting cannot be meant, or a resumed run would be another run.
        DataError: if the text cannot be read or is too short.
        CheckpointError: if the directory cannot be used.
        ZooError: if training diverges.
        Interrupted: after a signal, when the step is finished and saved.
    """
    chosen = (
        resolve_cell(cell, **settings.pop("cell_options", {}))
        if isinstance(cell, str)
        else resolve_cell(cell)
    )
    corpus = data if isinstance(data, Corpus) else None
    sources = (
        (data.name,)
        if isinstance(data, Corpus)
        else ((data,) if isinstance(data, (str, Path)) else tuple(data))
    )
    config = make_config(
        {
            **settings,
            "data": tuple(map(str, sources)),
            "cell": chosen.name,
            "cell_options": dict(chosen.options),
        }
    )
    config, text = prepare(config, corpus)
    optimizer = get_optimizer(config.optimizer, **config.optimizer_options)
    schedule = make_schedule(config.schedule, **_schedule_settings(config))
    model = LanguageModel(
        text.corpus.vocabulary, chosen, config.hidden, config.layers, config.dtype, config.seed, config.threads
    )
    # Last, so that settings which cannot be meant leave no directory behind.
    directory = RunDirectory(out if out is not None else new_directory(config, text))
    directory.create(resuming=resume)
    with directory.lock():
        directory.create(resuming=resume)  # again: another process may have begun a run before the lock was ours
        return _train(config, text, model, optimizer, schedule, directory, on_event or (lambda event: None))


def _train(
    config: Config,
    text: Text,
    model: LanguageModel,
    optimizer: Optimizer,
    schedule: Schedule,
    directory: RunDirectory,
    watch: Callable[[Event], None],
) -> Run:
    def emit(event: Event) -> None:
        directory.append_log(event)
        watch(event)

    def report(sentence: str) -> None:
        emit({"event": "warning", "step": 0, "text": sentence})

    found = _resume(config, text, model, directory, report) if directory.holds_run() else None
    if found is None:
        progress = Progress(optimizer.init(model.theta), schedule.init())
        directory.truncate_log(-1)
    else:
        progress = restore(found, model, optimizer, schedule, text.train.batch, str(directory.path))
        directory.truncate_log(progress.step)
        directory.resumed_from = progress.step
    directory.write_config(config.to_json())
    emit(_start_event("start" if found is None else "resume", progress.step, config, text, model, directory))
    trainer = Trainer(config, text, model, optimizer, schedule, progress, directory, emit)
    return _run(trainer, directory, emit)


def _run(trainer: Trainer, directory: RunDirectory, emit: Callable[[Event], None]) -> Run:
    run, started = Run(directory.path), time.perf_counter()
    with interruptible() as interruption:
        reason = trainer.run(interruption)
    progress = trainer.progress
    emit(
        {
            "event": "end",
            "step": progress.step,
            "reason": reason,
            "best": progress.best,
            "best_step": progress.best_step,
            "seconds": round(time.perf_counter() - started, 3),
        }
    )
    if interruption.signal is not None:
        raise Interrupted(interruption.signal, run)
    return run


def _resume(
    config: Config, text: Text, model: LanguageModel, directory: RunDirectory, report: Callable[[str], None]
) -> Any:
    """The checkpoint to go on from, after making sure that it is of the same run; None to begin again."""
    before = config_from_json(directory.read_config(), str(directory.config_path))
    changes = harmful_changes(before, config)
    if changes:
        raise CheckpointError(
            f"{directory.path} cannot be resumed with another configuration ({'; '.join(changes)}); give the settings it "
            f"was begun with, or another --out."
        )
    found = directory.load_last(report)
    if found is None:
        return None
    meta: Any = found[1].meta
    for what, then, now in (
        ("text", meta["text"]["sha256"], text.facts()["sha256"]),
        (f"cell {config.cell!r}", meta["model"]["cell"]["source"], model.cell.source_digest()),
    ):
        if then != now:
            raise CheckpointError(
                f"{directory.path} cannot be resumed: the {what} has changed since (sha256 {str(then)[:12]} then, {now[:12]} "
                f"now); restore it, or begin a new run with another --out."
            )
    return found[1]


def _schedule_settings(config: Config) -> dict[str, Any]:
    """The schedule's settings; one that spans the run is told how long it is."""
    spans = config.schedule == "cosine" and "total" not in config.schedule_options
    return {**config.schedule_options, **({"total": config.steps} if spans else {})}


def _start_event(
    kind: str, step: int, config: Config, text: Text, model: LanguageModel, directory: RunDirectory
) -> Event:
    return {
        "event": kind,
        "step": step,
        "out": str(directory.path),
        "cell": config.cell,
        "parameters": model.layout.size,
        "threads": model.threads,
        "text": text.facts(),
        "config": config.to_json(),
    }


def new_directory(config: Config, text: Text) -> Path:
    """The first free ``runs/CELL-TEXT-N``."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{config.cell}-{text.corpus.name}")
    number = 1
    while (path := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return path


def resume_config(out: str | Path) -> Config | None:
    """The configuration of the run in a directory, or None if there is none to resume."""
    directory = RunDirectory(out)
    if not directory.config_path.exists():
        return None
    return dataclasses.replace(config_from_json(directory.read_config(), str(directory.config_path)))
