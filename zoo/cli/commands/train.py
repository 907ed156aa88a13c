"""``zoo train``: train a model on a text, a table, labelled sequences or a task, into a run directory."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.base import Block, Cell, Optimizer, Task, Tracker
from zoo.base.set_options import Target, assign, component_target
from zoo.cli.component_lookup import (
    PLUGIN,
    cell_classes,
    component_class,
    load_plugins,
    register_loss_file,
    repeated_flags,
    task_class,
    trained_task,
)
from zoo.cli.errors import echo_err, exit_interrupted
from zoo.cli.flags import Command, Flag
from zoo.cli.train_display import open_display
from zoo.cli.train_flags import FLAGS, LOGGING, TRAINING
from zoo.distributed import rank_of_launch
from zoo.errors import CheckpointError, UnknownNameError, UsageError
from zoo.registry import cell_class as registered_cell
from zoo.registry import get_loss, layer_names, registry_of, split_name
from zoo.registry.composite_names import in_block_class
from zoo.registry.plugin_files import is_file_spec
from zoo.training.config import (
    AUTO_SCHEDULE,
    DEFAULT_CLASS_LOSS,
    DEFAULT_FORECAST_LOSS,
    Config,
)
from zoo.training.config_conversion import config_from_plain
from zoo.training.schedules import SCHEDULES, make_schedule

Settings = dict[str, Any]

_NUMBERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "an integer"),
    "float": (float, "a number"),
    "warmup": (
        lambda text: float(text) if "." in text else int(text),
        "an integer, or a share of the updates below 1",
    ),
}


def train_arguments(
    given: Mapping[str, Any],
    assignments: Sequence[str],
    out: str | None,
    resume: bool,
    trackers: Sequence[str] = (),
    config: str | None = None,
) -> Settings:
    """The arguments of ``zoo.train``: settings of a run or a file, then the flags, then ``--set``.

    Args:
        given: Settings from flags.
        assignments: Values of ``--set``.
        out: The run directory.
        resume: Whether to resume the run in it.
        trackers: Names of trackers.
        config: A file with settings, for a new run.

    Raises:
        ZooError: if a name is unknown, a value is invalid, or the stored settings cannot be read.
    """
    stored = _stored_config(out, resume, config)
    if stored is not None and stored.data_kind == "text" and "data" not in given:
        from zoo.data.sources import check_configured_sources

        check_configured_sources(stored.data, stored.glob)
    cells, task = _cells(given, stored), _task(given.get("task"), stored)
    optimizer = _optimizer(given, stored)
    named = {"cell": _cell_names(cells, stored), "optimizer": optimizer.name}
    named |= {} if task is None else {"task": task.name}
    settings = {**_stored_settings(stored, {**given, **named}), **given}
    settings.pop("task", None)
    settings.pop("block", None)  # the cells have it
    if "cell" in given and len(cells) > 1 and "layers" not in given:
        settings.pop("layers", None)  # the number of cells
    cell_prefixes = {cell: "cell" if len(set(cells)) == 1 else cell.name for cell in cells}
    tracker_classes = _trackers_by_prefix(trackers)
    tracker_targets = [component_target(prefix, tracker) for prefix, tracker in tracker_classes.items()]
    cell_targets = [component_target(prefix, cell) for cell, prefix in cell_prefixes.items()]
    chosen = assign(assignments, [*cell_targets, *_targets(task, optimizer, settings), *tracker_targets])
    for name in ("optimizer", "schedule", *(["loss"] if "loss" in chosen else [])):
        settings[f"{name}_options"] = {**settings.get(f"{name}_options", {}), **chosen[name]}
    if task is not None:
        settings["task"] = task(**{**settings.pop("task_options", {}), **chosen["task"]})
    if is_file_spec(given.get("optimizer", "")):
        settings["optimizer"] = optimizer
    settings["trackers"] = [tracker(**chosen[prefix]) for prefix, tracker in tracker_classes.items()]
    stored_options = settings.pop("cell_options", {})
    each_options = stored_options if isinstance(stored_options, list) else [stored_options] * len(cells)
    layers = [
        cell(**{**options, **chosen[cell_prefixes[cell]]})
        for cell, options in zip(cells, each_options, strict=True)
    ]
    settings["cell"] = layers[0] if len(layers) == 1 else layers
    return settings


def _stored_config(out: str | None, resume: bool, config: str | None) -> Config | None:
    """The settings of the file of ``--config`` or of the run to resume, if any."""
    from zoo.training.resume import resume_config

    if config is not None:
        return config_from_file(config)
    return resume_config(out) if resume and out is not None else None


def config_from_file(path: str) -> Config:
    """The settings in a TOML file, in the ``config.json`` of a run, or in a run directory.

    Of a run, all settings except ``init_from``: its parameters are given by ``--init-from``.

    Raises:
        UsageError: if the file does not exist, cannot be read or is invalid.
    """
    from zoo.storage.safe_read import read_json, read_toml

    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    if file.suffix.lower() not in (".toml", ".json"):
        raise UsageError(f"--config is {path!r}; expected a .toml file, a run, or the config.json of a run.")
    if not file.exists():
        raise UsageError(
            f"{file}: no such file or directory; give a .toml file, a run, or the config.json of a run."
        )
    try:
        if file.suffix.lower() == ".toml":
            settings = read_toml(file)
        else:
            settings = {**read_json(file), "init_from": None}
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    data = settings.get("data", [] if "task" in settings else list(Config.data))
    try:
        return config_from_plain({**settings, "data": [data] if isinstance(data, str) else data})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def note_of_new_run(out: str) -> str | None:
    """The note that ``--resume`` starts a new run; None if there is a run to resume.

    A misspelt directory is the usual cause, so the note suggests a run with a similar name.
    """
    from zoo.storage import RunDirectory

    path = Path(out)
    if RunDirectory(path).holds_run():
        return None
    with suppress(OSError):  # no hint without a readable parent
        runs = [
            each.name for each in path.absolute().parent.iterdir() if RunDirectory(each).config_path.is_file()
        ]
        near = difflib.get_close_matches(path.absolute().name, runs, n=1)
        if near:
            return f"no run in {out}; starting a new one. Did you mean {str(path.parent / near[0])!r}?"
    return f"no run in {out}; starting a new one."


def _trackers_by_prefix(names: Sequence[str]) -> dict[str, type[Tracker]]:
    """Trackers by the prefix of their options: ``tracker`` if there is one, else their own names."""
    classes = [component_class(Tracker, name) for name in dict.fromkeys(names)]
    return {("tracker" if len(classes) == 1 else cls.name): cls for cls in classes}


def _stored_settings(config: Config | None, given: Mapping[str, Any]) -> Settings:
    """The stored settings of a run, without options of components that flags replace."""
    if config is None:
        return {}
    settings = {**config.to_json(), "data": config.data or None}
    for name in ("cell", "optimizer", "schedule", "loss", "task"):
        if given.get(name, settings[name]) != settings[name]:
            settings[f"{name}_options"] = {}
    if "epochs" in given:
        settings["steps"] = None
    if "auto" in given and not config.auto and settings["schedule"] == Config.schedule:
        del settings["schedule"]  # the default, which a file need not have named
    return settings


def _cells(given: Mapping[str, Any], stored: Config | None) -> list[type[Cell]]:
    """The given cells, or those of the stored run, or the default: one, or one for each layer.

    A given block replaces the blocks of the stored run.
    """
    if "cell" in given or stored is None:
        return cell_classes(_cell_text(given, stored) or Config().cell_label)
    if "block" not in given:
        return [_stored_cell(name, stored.cell_names) for name in stored.cell_names]
    names = [_in_other_block(name, "") for name in stored.cell_names]
    block = component_class(Block, given["block"])
    return [in_block_class(_stored_cell(name, names), block) for name in names]


def _cell_text(given: Mapping[str, Any], stored: Config | None) -> str | None:
    """The value of ``--cell`` that also has the block of ``--block``; None without these flags."""
    if "block" not in given:
        return given.get("cell")
    if "cell" not in given and stored is not None:
        return ",".join(_in_other_block(name, given["block"]) for name in stored.cell_names)
    cells = layer_names(given.get("cell", Config().cell_label))
    return ",".join(f"{given['block']}({cell})" for cell in cells)


def _in_other_block(name: str, block: str) -> str:
    return str(split_name(name)._replace(block=block))


def _stored_cell(name: str, names: Sequence[str]) -> type[Cell]:
    """The registered cell of a name in a run, which may have one for each layer."""
    try:
        return registered_cell(name)  # never `cell_class`, which could load a file
    except UnknownNameError as error:
        from zoo.storage.strict_json import quote  # which imports NumPy

        flag = ",".join("FILE.py:Class" if each == name else each for each in names)
        raise UnknownNameError(
            f"the settings name the cell {quote(name)}, which is not registered here; if it is "
            f"in a file, name it again, --cell {flag}, or its plugin, --plugin FILE.py."
        ) from error


def _cell_names(cells: Sequence[type[Cell]], stored: Config | None) -> str | list[str]:
    """The names of cells as a configuration stores them; one name if all layers have it, as in the run."""
    names = [cell.name for cell in cells]
    has_list = stored is not None and isinstance(stored.cell, tuple)
    return names[0] if len(set(names)) == 1 and not (has_list and len(names) > 1) else names


def _task(given: str | None, stored: Config | None) -> type[Task] | None:
    """The given task, or that of the stored run, if any."""
    if given is not None:
        return task_class(given)
    return None if stored is None or stored.task is None else trained_task(stored.task)


def _optimizer(given: Mapping[str, Any], stored: Config | None) -> type[Optimizer]:
    """The given optimizer, or the one of the stored run, which names no file, or the default."""
    if "optimizer" in given:
        return component_class(Optimizer, given["optimizer"])
    name = Config.optimizer if stored is None else stored.optimizer
    try:
        return registry_of(Optimizer).cls(name)
    except UnknownNameError as error:
        from zoo.storage.strict_json import quote  # which imports NumPy

        raise UnknownNameError(
            f"the settings name the optimizer {quote(name)}, which is not registered here; name its file "
            f"again, --optimizer FILE.py:Class, or its plugin, --plugin FILE.py."
        ) from error


def _targets(task: type[Task] | None, optimizer: type[Optimizer], settings: Settings) -> list[Target]:
    schedule = settings.get("schedule", AUTO_SCHEDULE if settings.get("auto") else Config.schedule)
    tasks = [] if task is None else [component_target("task", task)]
    has_loss = settings.get("target") or settings.get("label") or settings.get("loss")
    losses = [loss_target(settings.get("loss") or default_loss(settings))] if has_loss else []
    others = [component_target("optimizer", optimizer), schedule_target(schedule)]
    return [*tasks, *losses, *others]


def default_loss(settings: Mapping[str, Any]) -> str:
    """The loss whose options ``--set`` changes if the settings name none: of labels or of a forecast."""
    return DEFAULT_CLASS_LOSS if settings.get("label") else DEFAULT_FORECAST_LOSS


def loss_target(name: str) -> Target:
    """The options of a loss; none if the text holds them, as ``huber:0.5`` or ``load=huber`` does."""
    names = () if ":" in name or "=" in name else get_loss(name).options
    return Target("loss", f"loss {name!r}", {n: _number(f"loss {name!r}", n, "float") for n in names})


def schedule_target(name: str) -> Target:
    """The settings of a schedule.

    Raises:
        UsageError: if the schedule is unknown.
    """
    cls = SCHEDULES.get(name) or type(make_schedule(name))  # raises for an unknown name
    readers = {
        field.name: _number(
            f"schedule {name!r}", field.name, "warmup" if field.name == "warmup" else str(field.type)
        )
        for field in dataclasses.fields(cls)
    }
    return Target("schedule", f"schedule {name!r}", readers)


def _number(owner: str, name: str, kind: str) -> Callable[[str], Any]:
    convert, description = _NUMBERS[kind]

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise UsageError(f"{owner}: {name} is {text!r}; expected {description}.") from None

    return read


_HELP = """Train a model on a text, a table, labelled sequences or a task.

A table is a CSV, NumPy or Parquet file with the column of --target to forecast, or a directory with such a
file for each series. Labelled sequences are a table with the columns of --series and --label, a directory
with a file for each sequence, a .npz file of arrays, or a .ts file. Standard input, --data -, is CSV with
--target or --label, else a text.

A run is a directory with config.json, log.jsonl (all events) and checkpoints. Ctrl-C saves a checkpoint and
stops. To continue:

\b
  zoo train --resume --out DIR

The result is the same, bit for bit, as without the interruption. All settings come from the run; flags may
change only those that do not change the results. A run with --schedule cosine, which --auto chooses, cannot
become longer, because its learning rates depend on --steps. Name a cell, task, optimizer or loss in a file
again, for example with --cell FILE.py:Class.
"""

_COMMAND_FLAGS = [
    Flag(
        "--set",
        "assignments",
        section=TRAINING,
        multiple=True,
        metavar="NAME=VALUE",
        help="Set an option of the task, cell, loss, optimizer or schedule (`zoo show NAME` lists them), for "
        "example beta1=0.8; optimizer.beta1=0.8 or adam.beta1=0.8 if several have it; may be repeated.",
    ),
    Flag(
        "--out",
        section=LOGGING,
        metavar="DIR",
        help="The run directory.  [the next free runs/CELL-DATA-N]",
    ),
    Flag(
        "--resume",
        section=LOGGING,
        is_flag=True,
        help="Resume the run in --out; if there is none, print a note and start one.",
    ),
    Flag(
        "--config",
        section=LOGGING,
        metavar="FILE|RUN",
        help="Read settings from a TOML file, or from a run or its config.json, except its --init-from; "
        "flags override them.",
    ),
    Flag(
        "--tracker",
        "trackers",
        section=LOGGING,
        multiple=True,
        metavar="NAME|FILE.py:Class",
        help="Also send every event to a tracker, for example tensorboard (`zoo trackers` lists them); --set "
        "tracker.dir=... sets an option, --set NAME.dir=... with several trackers; may be repeated.",
    ),
    Flag("--quiet", section=LOGGING, is_flag=True, help="Print only warnings and errors."),
    Flag("--json", "as_json", section=LOGGING, is_flag=True, help="Print each event as one line of JSON."),
    Flag("--plugin", **PLUGIN),
]


def run(
    assignments: Sequence[str],
    out: str | None,
    resume: bool,
    config: str | None,
    trackers: Sequence[str],
    quiet: bool,
    as_json: bool,
    plugin: Sequence[str],
    **flags: Any,
) -> None:
    """Train; the arguments come from the command line, with None for flags that were not given."""
    if resume and out is None:
        raise UsageError("--resume needs --out DIR, the directory of the run.")
    if resume and config is not None:
        raise UsageError("--config is for a new run and --resume continues a run; leave out one.")
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    load_plugins(plugin)
    given, losses = register_loss_file(given)
    stored = _stored_config(out, resume, config) if "block" in given else None
    extra_flags = repeated_flags([*plugin, *losses], cell=[_cell_text(given, stored)], task=[flags["task"]])
    with open_display(quiet or rank_of_launch() > 0, as_json, extra_flags) as display:
        from zoo.training import Interrupted, train

        logging.getLogger("zoo.compile").setLevel(logging.ERROR)  # the display shows when zoo compiles
        arguments = train_arguments(given, assignments, out, resume, trackers, config)
        note = note_of_new_run(out) if resume and out is not None and rank_of_launch() == 0 else None

        def on_event(event: dict[str, Any]) -> None:
            nonlocal note
            if note is not None:  # not before the first event: the directory may be invalid
                echo_err(f"Note: {note}")
                if as_json:
                    display({"event": "note", "text": note})
                note = None
            display(event)

        try:
            train(**arguments, out=out, resume=resume, on_event=on_event)
        except Interrupted as stopped:
            words = [
                "--resume",
                "--out",
                str(stopped.path),
                *extra_flags,
                *_tracker_flags(trackers, assignments),
            ]
            exit_interrupted(stopped, ["zoo", "train", *words])


def _tracker_flags(trackers: Sequence[str], assignments: Sequence[str]) -> list[str]:
    """Flags of the trackers and their options, which no run stores."""
    names = [component_class(Tracker, name).name for name in trackers]
    prefixes = ("tracker.", *(f"{name}." for name in names))
    sets = [text for text in assignments if trackers and text.startswith(prefixes)]
    return [
        *(word for name in trackers for word in ("--tracker", name)),
        *(w for s in sets for w in ("--set", s)),
    ]


command = Command("train", callback=run, params=[*FLAGS, *_COMMAND_FLAGS], help=_HELP)
