"""``zoo.train``: start or resume a training run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.arguments import as_bool, as_choice, as_directory, as_path, short_repr
from zoo.base import Cell, Optimizer, Task, Tracker
from zoo.base.param_groups import AnyOptimizer
from zoo.data import Corpus
from zoo.data.column_notes import warn_of_columns
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.panel import warn_of_unread_times
from zoo.data.sequence_reader import is_arrays_of_sequences
from zoo.data.sources import IN_MEMORY
from zoo.data.table import is_table_like
from zoo.data.table_files import IN_MEMORY_TABLE, is_table_directory, is_table_file
from zoo.data.training_files import check_training_files
from zoo.data.ts_file import is_ts_file
from zoo.distributed import process_group
from zoo.distributed.collectives import ProcessGroup
from zoo.errors import MissingSourceError, UsageError, warn_caller
from zoo.layers.config import BlockLike, CellLike
from zoo.layers.stack import check_residual
from zoo.model import AnyModel
from zoo.online.gradients import carry_shapes
from zoo.registry import get_optimizer, list_cells, resolve_cell_in_block, resolve_task
from zoo.registry.api import resolve
from zoo.storage import ReadOnlyRunDirectory, RunDirectory
from zoo.training.auto_settings import AutoTrial, search_learning_rate, with_rules
from zoo.training.aux_notes import aux_notes
from zoo.training.config import KINDS, REGULARISATION_SETTINGS, Config
from zoo.training.config_conversion import make_config
from zoo.training.dataset import RunDataset
from zoo.training.evaluation import analyse
from zoo.training.initial_parameters import Encoding, open_initial
from zoo.training.regularisation import (
    ParameterHooks,
    Regularisation,
    as_regularisation,
)
from zoo.training.resume import fill_defaults_from, find_checkpoint, resume_config
from zoo.training.run import Interrupted, Run, new_directory
from zoo.training.run_factory import RunFactory, join_process_group
from zoo.training.run_text import save_corpus, stored_corpus
from zoo.training.schedules import Schedule
from zoo.training.signals import StopRequest, catch_stop_signals
from zoo.training.state import TrainingState, restore
from zoo.training.task_dataset import prepare_task
from zoo.training.text_dataset import TextDataset, prepare_text
from zoo.training.trackers import open_trackers, resolve_trackers
from zoo.training.trainer import Event, Trainer

EventCallback = Callable[[Event], None]

_CLOSING = ("end", "diverged")
"""Events after the last checkpoint of a run; a resumed run drops them and writes its own at its end."""


def train(
    data: Any = None,
    cell: CellLike | Sequence[CellLike] = "vanilla",
    *,
    block: BlockLike | None = None,
    task: str | type[Task] | Task | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    on_event: EventCallback | None = None,
    trackers: Sequence[str | type[Tracker] | Tracker] = (),
    **settings: Any,
) -> Run:
    """Train a language model on a text, or a sequence model on a task, a table or labelled sequences.

    >>> run = zoo.train("builtin:hello", cell="vanilla", hidden=64, steps=200)
    >>> run.model.sample("h", length=4, sampler="greedy")
    'hello'
    >>> run = zoo.train(task="copying", task_options={"delay": 3}, cell="lstm", hidden=32, steps=20)

    >>> series = {"load": np.sin(np.arange(300) / 4)}
    >>> run = zoo.train(series, target="load", horizon=4, context=16, hidden=8, steps=20)

    Args:
        data: One or several sources (see :class:`Config`), or a :class:`zoo.data.Corpus`; or a table: a
            mapping from names to columns, an array, or a data frame, with the column ``target`` to forecast;
            or arrays of sequences, as for :func:`zoo.fit`, with their labels as ``label``. None for
            ``"builtin:pydoc"``, or with a task.
        cell: Name of a registered cell, a cell class, or a cell with its options chosen; or a list with one
            of these for each layer. ``layers`` is then their number, and ``cell_options`` a list of mappings.
        block: The block around the cell of every layer: the name of a registered block such as ``"prenorm"``,
            a block class, or a block with its options chosen. ``cell="prenorm(lstm)"`` is the same.
        task: Name of a registered task, ``"FILE.py:Class"``, a task class, or a task with its options chosen;
            instead of data.
        out: The run directory; None for a new one under ``runs/``.
        resume: Resume the run in ``out``, or start it if there is none. Sizes, lengths and intervals that are
            None are taken from the run.
        on_event: Called with every event, in the form in which ``log.jsonl`` stores it.
        trackers: Names of registered trackers, classes, or trackers with their options chosen, which also
            receive every event. One that fails is dropped with a warning, and the run continues.
        **settings: The other settings of :class:`Config`. ``optimizer`` may also be a class, or an optimizer
            with its options chosen.

    Returns:
        The run.

    Raises:
        UsageError: if a setting is invalid.
        UnknownNameError: if no cell, task, optimizer or tracker has this name.
        DataError: if the data cannot be read, are too short, or do not fit the settings.
        CheckpointError: if the directory cannot be used or written, or a resumed run would be another run.
        ZooError: if training diverges.
        Interrupted: after a signal, once the step is finished and saved.
    """
    out = None if out is None else as_directory(out, "out")
    if as_bool(resume, "resume") and out is None:
        raise UsageError("resume needs out, the directory of the run.")
    if on_event is not None and not callable(on_event):
        raise UsageError(f"on_event is {short_repr(on_event)}; expected a function of an event.")
    if (label := settings.get("label")) is not None and not isinstance(label, str):
        data, settings["label"] = _with_labels(data, label), None
    resolved_trackers = resolve_trackers(trackers)
    resolved_task = None if task is None else resolve_task(task, **_options("task_options", settings))
    optimizer = _resolve_optimizer(settings)
    regularisation = _regularisation(optimizer, settings)
    requested, resolved_cells = _configure(data, resolved_task, cell, settings, block)
    before = resume_config(out) if resume and out is not None else None
    has_schedule = settings.get("schedule") is not None
    if before:
        requested = fill_defaults_from(requested, before, has_schedule=has_schedule)
        if requested.data == before.data:
            check_training_files(out, before.data)
    elif requested.auto:
        requested = with_rules(requested, has_schedule=has_schedule)
    encoding, initial = open_initial(requested.init_from, out if before else None)
    config, dataset = _prepare(requested, data, resolved_task, out if resume else None, encoding)
    metadata = dataset.metadata()
    if on_event is None:  # otherwise the event ``start`` lists the columns that are left out
        warn_of_unread_times(dataset.name, metadata.get("left_out", ()))
        warn_of_columns(dataset.name, metadata.get("column_notes", ()))
        if dataset.kind == "text" and (text_note := metadata.get("note")):
            warn_caller(f"{dataset.name}: {text_note}.")
    factory = RunFactory(dataset, resolved_cells, optimizer, regularisation, initial)
    parts = factory.make(config)  # before a checkpoint replaces the initial values
    for note in aux_notes(parts.model.stack, dataset.kind, metadata) if on_event is None else ():
        warn_caller(f"{dataset.name}: {note}")
    description = None if initial is None else initial.describe(dataset, parts.model)
    if config.residual and before is None:  # runs of older versions may have it without effect
        check_residual(parts.model.stack)
    group = process_group()
    if group.size > 1 and "-" in config.data:
        raise UsageError(
            f"data is '-', which only one of {group.size} processes can read; give a file that all can read."
        )
    listeners = (on_event, resolved_trackers) if group.is_root else (None, ())
    trials: list[AutoTrial] | None = None
    if config.auto and before is None:
        if out is not None and group.is_root:
            RunDirectory(out).check_free(resuming=resume)  # not after the trials
        config, trials = _choose_learning_rate(config, factory, group, listeners[0], has_schedule)
    del factory, initial  # the arrays of the other checkpoint
    # Last, so that invalid settings leave no directory behind.
    with _open_run_directory(group, out, resume, config.cell_label, dataset.name) as directory:
        if isinstance(dataset, TextDataset) and config.data[0].startswith(IN_MEMORY) and group.is_root:
            save_corpus(directory, dataset.corpus)
        run = _TrainingSession(
            config, dataset, *parts, directory, group, *listeners, trials, description
        ).run()
    return replace(run, data=data) if _is_in_memory(data) else run


def _with_labels(data: Any, labels: Any) -> LabelledSequences:
    """Arrays of sequences with their labels."""
    if data is None or _sources(data):
        raise UsageError(
            f"label is {short_repr(labels)}, which are the labels of arrays; for a file give the name of its "
            f"column, label='COLUMN'."
        )
    return LabelledSequences.from_arrays(data, labels)


@contextmanager
def _open_run_directory(
    group: ProcessGroup, out: str | Path | None, resume: bool, cell: str, name: str
) -> Iterator[RunDirectory]:
    """Create and lock the directory; only the first rank writes to it."""
    if not group.is_root:
        yield ReadOnlyRunDirectory(group.broadcast_text(""))
        return
    directory = RunDirectory(out if out is not None else new_directory(cell, name))
    begun, existed = directory.holds_run(), out is not None and directory.path.exists()
    directory.create(resuming=resume)
    with directory.lock():
        # Again, since another process may have started a run before we got the lock.
        directory.create(resuming=resume)
        group.broadcast_text(str(directory.path))
        try:
            yield directory
        except Exception:  # before the first step, for example in a task: `discard` keeps a trained run
            if not begun:
                directory.discard(remove_directory=not existed)
            raise


def _configure(
    data: Any,
    task: Task | None,
    cell: CellLike | Sequence[CellLike],
    settings: dict[str, Any],
    block: BlockLike | None = None,
) -> tuple[Config, Cell | list[Cell]]:
    """The requested configuration, and the cell of all layers or the list of the cell of each."""
    cells = _resolve_cells(cell, block, settings)
    resolved = cells[0] if all(each == cells[0] for each in cells) else cells
    named: dict[str, Any]
    if isinstance(resolved, Cell):
        named = {"cell": resolved.name, "cell_options": dict(resolved.options)}
    else:
        options = tuple(dict(each.options) for each in cells)
        named = {"cell": tuple(each.name for each in cells), "cell_options": options}
    if task is not None:
        named |= {"task": task.name, "task_options": dict(task.options)}
    if task is not None and data is not None:
        raise UsageError(f"`data` and the task {task.name!r} are both given; give one of them.")
    if isinstance(settings.get("tokenizer"), (str, Path)):
        named["tokenizer"] = _absolute_source(settings["tokenizer"])
    if (init_from := settings.get("init_from")) is not None:
        path = as_path(getattr(init_from, "path", init_from), "init_from")
        named["init_from"] = str(path.absolute())  # as for data; also once the run is deleted
    if task is None:
        named["kind"] = _data_kind(data, settings)
    return make_config({**settings, **named, "data": _source_names(data, task)}), resolved


def _resolve_optimizer(settings: dict[str, Any]) -> Optimizer:
    """The optimizer of the settings, a name, a class or an optimizer, which its name and options replace."""
    given, options = settings.get("optimizer", Config.optimizer), settings.get("optimizer_options", {})
    if not isinstance(options, Mapping):
        raise UsageError(
            f"optimizer_options is {short_repr(options)}; expected a mapping of names to values."
        )
    if isinstance(given, str):  # a registered name: the name of a file could come from a run directory
        return get_optimizer(given, **options)
    optimizer: Optimizer = resolve(Optimizer, given, dict(options))
    settings["optimizer"] = optimizer.name
    if isinstance(given, Optimizer):
        settings["optimizer_options"] = dict(optimizer.options)
    return optimizer


def _regularisation(optimizer: Optimizer, settings: dict[str, Any]) -> Regularisation:
    """Constraints, penalties and parameter groups, which become texts in the settings, and the base width.

    Raises:
        ZooError: if a name is unknown, or a value is invalid.
    """
    given = {name: settings.pop(name) for name in REGULARISATION_SETTINGS if name in settings}
    base_hidden = settings.get("base_hidden")
    if base_hidden is None and not any(given.values()):
        return Regularisation()
    regularisation = as_regularisation(optimizer, **given, base_hidden=base_hidden)
    settings.update(regularisation.settings())
    return regularisation


def _resolve_cells(
    cell: CellLike | Sequence[CellLike], block: BlockLike | None, settings: dict[str, Any]
) -> list[Cell]:
    """The cell of all layers, or of each, whose number is then a setting; their options are removed."""
    if isinstance(cell, str) or not isinstance(cell, Sequence):
        return [resolve_cell_in_block(cell, block, **_options("cell_options", settings))]
    if not cell:
        raise UsageError("cell is an empty list; expected a cell, or one for each layer.")
    options = settings.pop("cell_options", None) or [{}] * len(cell)
    is_list = isinstance(options, (list, tuple)) and all(isinstance(each, Mapping) for each in options)
    if not is_list or len(options) != len(cell):
        raise UsageError(
            f"cell_options is {short_repr(options)} and there are {len(cell)} cells; expected a list with a "
            f"mapping for each."
        )
    layers = settings.setdefault("layers", len(cell))
    if type(layers) is not int or layers != len(cell):
        raise UsageError(
            f"layers is {short_repr(layers)} and there are {len(cell)} cells; expected a cell for each "
            f"layer, or one cell for all."
        )
    return [resolve_cell_in_block(each, block, **chosen) for each, chosen in zip(cell, options, strict=True)]


def _options(name: str, settings: dict[str, Any]) -> Mapping[str, Any]:
    """Options of a component, removed from the settings."""
    options = settings.pop(name, {})
    if not isinstance(options, Mapping):
        raise UsageError(f"{name} is {short_repr(options)}; expected a mapping of names to values.")
    return options


def prepare_data(data: Any, settings: Mapping[str, Any]) -> tuple[Config, RunDataset]:
    """The dataset that :func:`train` trains on, and the configuration with every size resolved.

    Args:
        data: As for :func:`train`.
        settings: Settings of the data.

    Raises:
        UsageError: if a setting is invalid.
        DataError: if the data cannot be read, or do not fit the settings.
    """
    config, _ = _configure(data, None, Config.cell, dict(settings))
    return _prepare(config, data, None, None, Encoding())


def _prepare(
    config: Config,
    data: Any,
    task: Task | None,
    resumed: str | Path | None,
    encoding: Encoding,
) -> tuple[Config, RunDataset]:
    """The configuration with every size resolved, and the dataset.

    Args:
        config: The requested configuration.
        data: As for :func:`train`.
        task: The task, if there is one.
        resumed: The directory of a run to resume.
        encoding: The encoding of the model that the run starts from.
    """
    if resumed is not None and config.data_kind == "text" and not isinstance(data, Corpus):
        data = stored_corpus(resumed, config.data) or data
    as_given = replace(config, data=tuple(_sources(data)) or config.data)  # errors name these paths
    try:
        resolved, dataset = _PREPARE[config.data_kind](as_given, data, task, encoding)
    except MissingSourceError as error:
        if isinstance(data, str) and data in list_cells():
            raise MissingSourceError(f"{error} {data!r} is a cell: zoo.train(cell={data!r}).") from error
        raise
    return replace(resolved, data=config.data), dataset


# Imported only for data of their kind: with them, the first step of a text took 3.5 % longer.
def _prepare_table(config: Config, data: Any, _: Any, encoding: Encoding) -> tuple[Config, RunDataset]:
    from zoo.training.series_dataset import prepare_table

    return prepare_table(config, data if is_table_like(data) else None, encoding.categories)


def _prepare_sequences(config: Config, data: Any, _: Any, encoding: Encoding) -> tuple[Config, RunDataset]:
    from zoo.training.sequence_preparation import prepare_sequences

    return prepare_sequences(config, data if _is_in_memory(data) else None, encoding.categories)


_PREPARE: dict[str, Callable[[Config, Any, Any, Any], tuple[Config, RunDataset]]] = {
    "text": lambda config, data, _, encoding: prepare_text(
        config, data if isinstance(data, Corpus) else None, encoding.vocabulary
    ),
    "task": lambda config, _, task, __: prepare_task(config, task),
    "table": _prepare_table,
    "sequences": _prepare_sequences,
}
"""From a configuration, data in memory, a task and an encoding to the dataset, for each kind of data."""


def _data_kind(data: Any, settings: Mapping[str, Any]) -> str:
    """The kind of the data: as given, or from the settings, the type or the name of the data."""
    if (kind := settings.get("kind")) is not None:
        return as_choice(kind, "kind", KINDS)
    if settings.get("label") is not None or _holds_sequences(data) or any(map(is_ts_file, _sources(data))):
        return "sequences"
    if settings.get("target") not in (None, "", (), []) or is_table_like(data):
        return "table"
    sources, is_text = _sources(data), any(name in settings for name in ("glob", "level", "tokenizer"))
    is_table = any(map(is_table_file, sources)) or (not is_text and any(map(is_table_directory, sources)))
    return "table" if is_table else "text"


def _is_in_memory(data: Any) -> bool:
    return is_table_like(data) or _holds_sequences(data)


def _holds_sequences(data: Any) -> bool:
    """Whether data in memory are labelled sequences by their type."""
    return isinstance(data, LabelledSequences) or is_arrays_of_sequences(data)


def _sources(data: Any) -> list[str]:
    """Names of files and other sources in the argument; empty for data in memory."""
    if isinstance(data, (str, Path)):
        return [str(data)]
    is_list = isinstance(data, Sequence) and all(isinstance(source, (str, Path)) for source in data)
    return [str(source) for source in data] if is_list else []


def _source_names(data: Any, task: Task | None) -> tuple[str, ...]:
    """Names of the sources for the configuration."""
    if data is None:
        return Config.data if task is None else ()
    if isinstance(data, Corpus):
        return (f"{IN_MEMORY}{data.name}",)
    if _is_in_memory(data):
        return (f"{IN_MEMORY_TABLE}{getattr(data, 'name', 'table')}",)
    if isinstance(data, (str, Path)):
        return (_absolute_source(data),)
    if isinstance(data, Sequence) and all(isinstance(source, (str, Path)) for source in data):
        return tuple(map(_absolute_source, data))
    raise UsageError(
        f"data has the type {type(data).__name__}; expected a file, a directory, '-' or builtin:NAME, "
        f"several of them, a zoo.data.Corpus, zoo.data.LabelledSequences, or a table: a mapping of columns, "
        f"an array or a data frame."
    )


def _absolute_source(source: str | Path) -> str:
    """Make a path absolute, so that it stays valid in another working directory."""
    path = Path(source)
    try:
        return str(path.absolute()) if path.exists() else str(source)
    except OSError:  # no permission, or a name that is too long; reading it raises the error
        return str(source)


def _choose_learning_rate(
    config: Config,
    factory: RunFactory,
    group: ProcessGroup,
    on_event: EventCallback | None,
    has_schedule: bool,
) -> tuple[Config, list[AutoTrial]]:
    """The configuration with a learning rate, and the trials, of which there are none if it was given."""
    if config.lr is not None or "lr" in config.optimizer_options:
        return config, []
    if on_event is not None:
        on_event({"event": "trials", "step": 0})
    rate, trials = search_learning_rate(config, factory, group, has_schedule=has_schedule)
    return replace(config, lr=rate), trials


@dataclass
class _TrainingSession:
    """Training in a locked run directory."""

    config: Config
    dataset: RunDataset
    model: AnyModel
    optimizer: AnyOptimizer
    schedule: Schedule
    hooks: ParameterHooks | None
    directory: RunDirectory
    process_group: ProcessGroup
    on_event: EventCallback | None
    trackers: Sequence[Tracker]
    trials: Sequence[AutoTrial] | None
    initial: Mapping[str, Any] | None
    _log_is_complete: bool = field(default=False, init=False)

    def run(self) -> Run:
        """Start or resume the run, and train to its end."""
        with open_trackers(self.trackers) as self._log:
            return self._train()

    def _train(self) -> Run:
        join_process_group(self.model, self.config, self.process_group)
        warnings = list[str]()
        resumed = self._restore_state(warnings.append)
        trainer, started = self._make_trainer(resumed, warnings), time.perf_counter()
        with catch_stop_signals() as request:
            reason = trainer.run(request)
        state, seconds = trainer.state, round(time.perf_counter() - started, 3)
        best = {"best": state.best, "best_step": state.best_step}
        end: Event = {"event": "end", "step": state.step, "reason": reason, **best, "seconds": seconds}
        if self.config.metric is not None:
            end["criterion"] = state.criterion
        if reason in ("finished", "no improvement"):
            if text := trainer.score_warning():
                end["warning"] = text
            if self.process_group.is_root:
                end.update(self.dataset.final_entries(lambda: self._run().model))
        self._emit(end)
        self.process_group.finish()
        if request.signal is not None:
            raise Interrupted(request.signal, self._run().path)
        return self._run()

    def _run(self) -> Run:
        classes = tuple(dict.fromkeys(map(type, self.model.cells)))
        return Run(self.directory.path, classes[0] if len(classes) == 1 else classes)

    def _restore_state(self, report: Callable[[str], None]) -> TrainingState | None:
        """Restore the model and the pointers to checkpoints from the last checkpoint; None for a new run."""
        if not self.directory.holds_run():
            return None
        resumed = find_checkpoint(self.config, self.dataset, self.model, self.directory, report)
        if resumed is None:
            return None
        step, checkpoint = resumed
        shapes = carry_shapes(self.config.gradient, self.model.stack, self.dataset.batch_size)
        source = str(self.directory.path)
        state = restore(checkpoint, self.model, self.optimizer, self.schedule, shapes, source)
        best_step = None if state.best is None else state.best_step
        self.directory.resume(step, checkpoint, best_step=best_step, report=report, keep=self.config.keep)
        return state

    def _make_trainer(self, resumed: TrainingState | None, warnings: list[str]) -> Trainer:
        """Truncate the log to the resume point, and write the first events."""
        state = resumed or TrainingState(self.optimizer.init(self.model.theta), self.schedule.init())
        parts = self.model, self.optimizer, self.schedule, state, self.directory
        trainer = Trainer(
            self.config, self.dataset, *parts, self.process_group, self._emit, analyse, self.hooks
        )
        history: list[Event] = self.directory.read_log() if resumed and self.process_group.is_root else []
        self._log_is_complete = self._has_ended(trainer, history)
        if not self._log_is_complete:
            self.directory.truncate_log(state.step if resumed else -1, without=_CLOSING)
        evals = (event for event in reversed(history) if event.get("event") == "eval")
        trainer.last_eval = next((event for event in evals if event.get("step", 0) <= state.step), None)
        self.directory.write_config(self.config.to_json())
        self._emit(self._start_event("resume" if resumed else "start", state.step, trainer.lr))
        for sentence in filter(
            None, (*warnings, *aux_notes(self.model.stack, self.dataset.kind, self.dataset.metadata()))
        ):
            self._emit({"event": "warning", "step": state.step, "text": sentence})
        return trainer

    def _has_ended(self, trainer: Trainer, history: Sequence[Event]) -> bool:
        """Whether no step is left and the log already ends with this event."""
        reason = trainer.stop_reason(StopRequest())
        end = {"event": "end", "step": trainer.state.step, "reason": reason}
        return bool(history) and reason is not None and end.items() <= history[-1].items()

    def _start_event(self, kind: str, step: int, lr: float) -> Event:
        trials = None if self.trials is None else {"trials": [trial.to_json() for trial in self.trials]}
        initial = None if self.initial is None else {"init_from": self.initial}
        return {
            "event": kind,
            "step": step,
            "out": str(self.directory.path),
            "cell": self.config.cell_label,
            "parameters": self.model.layout.size,
            "threads": self.model.threads,
            "aux": sorted(self.model.stack.inputs),
            "lr": lr,
            "ranks": self.process_group.size,
            self.dataset.kind: self.dataset.metadata(),
            "config": self.config.to_json(),
            **(trials or {}),
            **(initial or {}),
        }

    def _emit(self, event: Event) -> None:
        """Append an event to the log, and pass it to the trackers and `on_event`.

        The log of a run that has ended already gets no second end.
        """
        if not self._log_is_complete:
            self.directory.append_log(event)
        self._log(event)
        if self.on_event is not None:
            self.on_event(event)
