"""From flags, and a run to resume, to the arguments of ``zoo.train``."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.cli.assignments import Target, assign, member_target
from zoo.cli.members import cell_class, task_class, trained_task
from zoo.contracts import Cell, Optimizer, Task, Tracker
from zoo.errors import UnknownNameError, UsageError
from zoo.registry import cell_class as registered_cell
from zoo.registry import registry_of
from zoo.training.config import Config
from zoo.training.schedules import SCHEDULES, make_schedule

Settings = dict[str, Any]

_NUMBERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "an integer"),
    "float": (float, "a number"),
}


def train_arguments(
    given: Mapping[str, Any],
    assignments: Sequence[str],
    out: str | None,
    resume: bool,
    trackers: Sequence[str] = (),
) -> Settings:
    """What ``zoo.train`` is called with: the stored settings of a run, then the flags, then ``--set``.

    Args:
        given: The settings that were given as flags.
        assignments: What ``--set`` was given.
        out: The run directory.
        resume: Whether to go on with the run in it.
        trackers: Names of trackers.

    Raises:
        ZooError: if a name is unknown, a value is not allowed, or the stored settings cannot be read.
    """
    from zoo.training.resuming import resume_config

    stored = resume_config(out) if resume and out is not None else None
    if stored is not None and "data" not in given:
        from zoo.data.files import check_configured_sources

        check_configured_sources(stored.data, stored.glob)
    cell, task = _cell(given.get("cell"), stored), _task(given.get("task"), stored)
    named = {"cell": cell.name, **({} if task is None else {"task": task.name})}
    settings = {**_stored(stored, {**given, **named}), **given}
    settings.pop("task", None)
    followers = _followers(trackers)
    watching = [member_target(prefix, follower) for prefix, follower in followers.items()]
    chosen = assign(assignments, [*_targets(cell, task, settings), *watching])
    for name in ("optimizer", "schedule"):
        settings[f"{name}_options"] = {**settings.get(f"{name}_options", {}), **chosen[name]}
    if task is not None:
        settings["task"] = task(**{**settings.pop("task_options", {}), **chosen["task"]})
    settings["trackers"] = [follower(**chosen[prefix]) for prefix, follower in followers.items()]
    settings["cell"] = cell(**{**settings.pop("cell_options", {}), **chosen["cell"]})
    return settings


def note_of_new_run(out: str) -> str | None:
    """What to print if ``--resume`` finds no run in a directory and begins one; None if there is a run.

    A misspelt directory is the usual cause, so the note names the nearest run beside it.
    """
    from zoo.storage import RunDirectory

    path = Path(out)
    if RunDirectory(path).holds_run():
        return None
    with suppress(OSError):  # without a parent that can be read there is no hint
        beside = [
            each.name for each in path.absolute().parent.iterdir() if RunDirectory(each).config_path.is_file()
        ]
        near = difflib.get_close_matches(path.absolute().name, beside, n=1)
        if near:
            return f"no run in {out}; starting a new one. Did you mean {str(path.parent / near[0])!r}?"
    return f"no run in {out}; starting a new one."


def _followers(names: Sequence[str]) -> dict[str, type[Tracker]]:
    """Trackers by the prefix of their options: ``tracker`` if there is one, else their own names."""
    found = [registry_of(Tracker).cls(name) for name in dict.fromkeys(names)]
    return {("tracker" if len(found) == 1 else follower.name): follower for follower in found}


def _stored(config: Config | None, given: Mapping[str, Any]) -> Settings:
    """The settings of a stored run that still count; options of what is replaced do not."""
    if config is None:
        return {}
    settings = {**config.to_json(), "data": config.data or None}
    for name in ("cell", "optimizer", "schedule", "task"):
        if given.get(name, settings[name]) != settings[name]:
            settings[f"{name}_options"] = {}
    if "epochs" in given:
        settings["steps"] = None
    return settings


def _cell(given: str | None, stored: Config | None) -> type[Cell]:
    """The cell that was given, or that of the stored run, or the default."""
    if given is not None or stored is None:
        return cell_class(given or Config.cell)
    try:
        return registered_cell(stored.cell)  # never `cell_class`, which runs the file that a text names
    except UnknownNameError as error:
        from zoo.storage.strict_json import quote  # which imports NumPy

        raise UnknownNameError(
            f"the run was begun with the cell {quote(stored.cell)}, which is not registered here; if it is "
            f"in a file, name it again, --cell FILE.py:Class, or its plugin, --plugin FILE.py."
        ) from error


def _task(given: str | None, stored: Config | None) -> type[Task] | None:
    """The task that was given, or that of the stored run, if there is one."""
    if given is not None:
        return task_class(given)
    return None if stored is None or stored.task is None else trained_task(stored.task)


def _targets(cell: type[Cell], task: type[Task] | None, settings: Settings) -> list[Target]:
    optimizer = registry_of(Optimizer).cls(settings.get("optimizer", Config.optimizer))
    schedule = settings.get("schedule", Config.schedule)
    tasks = [] if task is None else [member_target("task", task)]
    others = [member_target("optimizer", optimizer), schedule_target(schedule)]
    return [member_target("cell", cell), *tasks, *others]


def schedule_target(name: str) -> Target:
    """The settings of a schedule.

    Raises:
        UsageError: if there is no such schedule.
    """
    found = SCHEDULES.get(name) or type(make_schedule(name))  # which raises, with the names there are
    readers = {field.name: _number(name, field.name, str(field.type)) for field in dataclasses.fields(found)}
    return Target("schedule", f"schedule {name!r}", readers)


def _number(schedule: str, name: str, kind: str) -> Callable[[str], Any]:
    convert, words = _NUMBERS[kind]

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise UsageError(f"schedule {schedule!r}: {name} is {text!r}; expected {words}.") from None

    return read
