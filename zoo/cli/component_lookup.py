"""Look up components by name or file, and load plugin files."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from zoo.base import Cell, Component, Task
from zoo.base.loss import Loss
from zoo.base.names import did_you_mean, did_you_mean_component
from zoo.cli.completion import complete_files
from zoo.cli.errors import echo_err
from zoo.cli.flags import option
from zoo.errors import UnknownNameError, UsageError
from zoo.registry import cell_class as registered_cell
from zoo.registry import (
    foreign_plugins,
    is_composite,
    layer_names,
    list_losses,
    load_cell_file,
    load_class_file,
    load_component_file,
    load_loss_file,
    load_plugin_file,
    named_loss,
    registry_of,
    split_name,
)
from zoo.registry.hookspecs import CLASSES_BY_KIND, KINDS
from zoo.registry.plugin_files import is_file_spec

C = TypeVar("C", bound=Component)


PLUGIN: dict[str, Any] = {
    "multiple": True,
    "metavar": "FILE.py",
    "help": "Load a plugin from a file, or one loss, FILE.py:NAME; may be repeated.",
}
"""Attributes of ``--plugin``."""


def plugin_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--plugin FILE.py`` to a command: the files are loaded before it runs, without the argument."""

    @option("--plugin", "plugin", **PLUGIN)
    @functools.wraps(command)
    def load_and_run(*args: Any, plugin: tuple[str, ...], **kwargs: Any) -> Any:
        load_plugins(plugin)
        return command(*args, **kwargs)

    return load_and_run


CELL_FILE: dict[str, Any] = {
    "metavar": "FILE.py:Class",
    "help": "The --cell of training, if it names a cell in a Python file, as in lstm,FILE.py:Class.",
    "shell_complete": complete_files,
}
"""Attributes of ``--cell`` in commands that read a trained model."""
TASK_FILE: dict[str, Any] = {
    "metavar": "FILE.py:Class",
    "help": "The --task of training, if it is in a Python file.",
    "shell_complete": complete_files,
}
"""Attributes of ``--task`` in commands that read a trained model."""


def load_plugins(files: Iterable[str]) -> None:
    """Load plugins from files, and print a note on stderr if an installed one failed.

    Raises:
        UsageError: if a file does not exist or is not a Python file.
        PluginError: if one cannot be loaded.
    """
    for file in files:
        load_plugin_file(file)
    failed = sum(record.status == "failed" for record in foreign_plugins())
    if failed:
        echo_err(f"{failed} plugin{'s' * (failed > 1)} failed to load: `zoo plugins` shows why.")


def repeated_flags(plugins: Iterable[str], **components: Iterable[str | None]) -> list[str]:
    """Flags to repeat in later commands, since a checkpoint never causes a file to be loaded.

    Args:
        plugins: The values of ``--plugin``.
        **components: The values of flags such as ``cell``, None if one was not given. Only files are
            repeated.
    """
    words = []
    for flag, names in components.items():
        if files := [name for name in names if name and is_file_spec(name)]:
            words += [f"--{flag}", ",".join(files)]
    return [*words, *(word for file in plugins for word in ("--plugin", file))]


def cell_class(text: str) -> type[Cell]:
    """The cell of a name or ``FILE.py:Class``, with its modifiers.

    Raises:
        UnknownNameError: if the name of a cell or modifier is unknown.
        ZooError: if the file or the class does not exist or is not a cell, or a modifier does not fit it.
    """
    if not text.strip():
        raise UsageError("the name of a cell is empty; leave out the comma, or give a name.")
    path, colon, name = text.partition(":")
    if colon and not is_file_spec(text) and os.path.isfile(f"{path}.py"):  # noqa: PTH113 - does not raise
        raise UnknownNameError(f"unknown cell {text!r}. Did you mean '{path}.py:{name}'?")
    return load_cell_file(text) if is_file_spec(text) else registered_cell(text)


def cell_classes(text: str) -> list[type[Cell]]:
    """The cell of each layer in the notation of a stack, ``2*lstm,FILE.py:Class``; see `cell_class`."""
    names = layer_names(text)
    classes = {name: cell_class(name) for name in dict.fromkeys(names)}
    return [classes[name] for name in names]


def component_class(base: type[C], text: str) -> type[C]:
    """The task, sampler, tracker or other component of a name or ``FILE.py:Class``.

    Raises:
        UnknownNameError: if the name is unknown.
        ZooError: if the file or the class does not exist or is of another kind.
    """
    return load_class_file(text, base) if is_file_spec(text) else registry_of(base).cls(text)


def task_class(text: str) -> type[Task]:
    """The task of a name or ``FILE.py:Class``; see `component_class`."""
    return component_class(Task, text)


def register_loss_file(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Register the loss of ``--loss FILE.py:NAME``.

    Returns:
        The settings with the name of the loss, and the ``--plugin`` that registers it in later commands.
    """
    text = given.get("loss")
    if not text or not is_file_spec(text):
        return dict(given), []
    return {**given, "loss": load_loss_file(text).name}, [text]


def file_cells(text: str | None) -> list[type[Cell]] | None:
    """The cells of ``--cell FILE.py:Class`` for a trained model, which names its own cells.

    It may be the whole list of training, ``lstm,FILE.py:Class``.

    Raises:
        UsageError: if the text does not name a file.
    """
    return None if text is None else cell_classes(_only_file("cell", text))


def file_task(text: str | None) -> type[Task] | None:
    """The task of ``--task FILE.py:Class`` for a run, which names its own task.

    Raises:
        UsageError: if the text is a name.
    """
    return None if text is None else load_class_file(_only_file("task", text), Task)


def _only_file(kind: str, text: str) -> str:
    if not is_file_spec(text):
        stored = "names of its cells" if kind == "cell" else f"name of its {kind}"
        raise UsageError(
            f"--{kind} {text}: the run stores the {stored}; leave --{kind} out, or give FILE.py:Class for a "
            f"{kind} that is not registered."
        )
    return text


def trained_task(name: str, own: type[Task] | None = None) -> type[Task]:
    """The task that a run was trained on.

    Args:
        name: Its name.
        own: The class of ``--task FILE.py:Class``, if given.

    Raises:
        UsageError: if the class has another name.
        UnknownNameError: if it is not registered here.
    """
    if own is not None:
        if own.name != name:
            raise UsageError(f"the run has the task {name!r}, and --task names {own.name!r}.")
        return own
    try:
        return registry_of(Task).cls(name)
    except UnknownNameError as error:
        from zoo.storage.strict_json import quote  # which imports NumPy

        raise UnknownNameError(
            f"the run was begun with the task {quote(name)}, which is not registered here; install the "
            f"plugin it comes from, or name its file again, --task FILE.py:Class or --plugin FILE.py."
        ) from error


def find_component(text: str) -> type[Component] | Loss:
    """The class of ``NAME``, ``KIND:NAME`` such as ``optimizer:adam``, or ``FILE.py:Class``; or the loss.

    A name that a cell and a block have is the cell, and a name that a loss and another component have is the
    other component.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: if components of other kinds share it.
        ZooError: if a file or class does not exist, or is not a component.
    """
    if is_file_spec(text):
        is_cell = split_name(text).is_composite
        return load_cell_file(text) if is_cell else load_component_file(text)
    kind, colon, name = text.partition(":")
    if not colon:
        return _find_by_name(text)
    if kind not in KINDS:
        raise UsageError(
            f"{text!r}: unknown kind {kind!r}; expected one of {', '.join(KINDS)}, as in optimizer:adam, or "
            f"a class in a file, as in path/to/file.py:MyCell.{did_you_mean(kind, KINDS)}"
        )
    return _find_of_kind(kind, name)


def _find_of_kind(kind: str, name: str) -> type[Component] | Loss:
    if kind == Loss.kind:
        return named_loss(name)
    return registered_cell(name) if kind == Cell.kind else registry_of(CLASSES_BY_KIND[kind]).cls(name)


def _find_by_name(name: str) -> type[Component] | Loss:
    if is_composite(name):
        return registered_cell(name)
    kinds = [kind for kind, base in CLASSES_BY_KIND.items() if name in registry_of(base)]
    if not kinds and name in list_losses():  # last, since the kernels of losses import Numba
        kinds = [Loss.kind]
    if {*kinds} == {"block", "cell"}:  # a block has the name of the cell for which it was made
        kinds = ["cell"]
    if len(kinds) == 1:
        return _find_of_kind(kinds[0], name)
    if kinds:
        raise UsageError(
            f"{name!r} is a {' and a '.join(kinds)}; write {' or '.join(f'{kind}:{name}' for kind in kinds)}."
        )
    known = [known for base in CLASSES_BY_KIND.values() for known in registry_of(base).list()]
    known += list_losses()
    advice = did_you_mean_component(name, known)
    if name.isidentifier() and name[0].isupper():
        advice += (
            f" Write FILE.py:{name} for a class in a file; in a notebook, zoo.testing.check_cell({name})."
        )
    raise UnknownNameError(
        f"unknown component {name!r}.{advice} `zoo cells` lists the cells, `zoo plugins` all components."
    )
