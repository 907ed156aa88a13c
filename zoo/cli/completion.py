"""Complete names of components, and run directories, in a shell.

Each function has the signature of ``shell_complete`` in click. Where no name fits, the shell completes files.
"""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _items(names: Iterable[str], incomplete: str, prefix: str = "") -> list[CompletionItem]:
    """The names that begin with ``incomplete``, after a prefix that is complete; files if there is none."""
    fitting = [CompletionItem(prefix + name) for name in names if name.startswith(incomplete)]
    return fitting or complete_files(None, None, prefix + incomplete)


def complete_files(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a file."""
    return [CompletionItem(incomplete, type="file")]


def complete_cells(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the last cell of ``lstm,gru``, or its last modifier, as in ``lstm+zoneout``."""
    from zoo.registry import list_cells, list_modifiers

    start = max(incomplete.rfind(separator) for separator in ",+=") + 1
    file, colon, name = incomplete[start:].rpartition(":")
    if colon and file.endswith(".py"):
        return _items(_classes(file), name, f"{incomplete[:start]}{file}:")
    is_modifier = incomplete[start - 1 : start] == "+"
    names = list_modifiers() if is_modifier else list_cells()
    return _items(names, incomplete[start:], incomplete[:start])


def complete_tasks(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the last task of ``copying,adding``."""
    from zoo.registry import list_tasks

    start = max(incomplete.rfind(separator) for separator in ",=") + 1
    return _items(list_tasks(), incomplete[start:], incomplete[:start])


def complete_optimizers(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an optimizer."""
    from zoo.registry import list_optimizers

    return _items(list_optimizers(), incomplete)


def complete_samplers(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a sampler."""
    from zoo.registry import list_samplers

    return _items(list_samplers(), incomplete)


def complete_trackers(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a tracker."""
    from zoo.registry import list_trackers

    return _items(list_trackers(), incomplete)


def complete_components(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a component of any kind."""
    from zoo.registry import list_modifiers, list_optimizers, list_samplers, list_tasks, list_trackers

    lists = (list_modifiers, list_optimizers, list_samplers, list_tasks, list_trackers)
    others = [name for list_names in lists for name in list_names() if name.startswith(incomplete)]
    cells = complete_cells(ctx, param, incomplete)
    return [*(item for item in cells if item.type == "plain" or not others), *map(CompletionItem, others)]


def complete_schedules(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a schedule."""
    from zoo.training.schedules import SCHEDULES

    return _items(SCHEDULES, incomplete)


def complete_runs(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete run directories: next to the path so far, and under ``runs``."""
    return _directories(incomplete, lambda path: (path / "config.json").is_file())


def complete_text_runs(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the directories of runs on a text."""
    return _directories(incomplete, _is_text_run)


def complete_reports(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the directories of runs and comparisons."""
    names = ("config.json", "compare.json")
    return _directories(incomplete, lambda path: any((path / name).is_file() for name in names))


def _is_text_run(path: Path) -> bool:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no run, or one that no command can read
        return False
    return isinstance(config, dict) and config.get("task") is None


def _directories(incomplete: str, fits: Callable[[Path], bool]) -> list[CompletionItem]:
    parents = [Path(incomplete or ".").parent if not incomplete.endswith("/") else Path(incomplete)]
    if "/" not in incomplete:
        parents.append(Path("runs"))
    paths = [str(path) for parent in parents for path in sorted(parent.glob("*")) if fits(path)]
    fitting = [CompletionItem(path) for path in dict.fromkeys(paths) if path.startswith(incomplete)]
    return fitting or complete_files(None, None, incomplete)


def complete_data(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete a built-in text, or a file."""
    from zoo.data.builtin import BUILTINS, PREFIX

    names = [PREFIX + name for name in BUILTINS] if incomplete else []
    return _items(names, incomplete)


def _classes(file: str) -> list[str]:
    """Names of the classes in a Python file, which is parsed and not run."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def complete_options(ctx: click.Context, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the options of the cell, task and optimizer on the command line, as ``NAME=``."""
    from zoo.base import Component, Optimizer, Task
    from zoo.errors import ZooError
    from zoo.registry import cell_class, registry_of

    lookups: dict[str, Callable[[str], type[Component]]] = {
        "cell": cell_class,
        "task": registry_of(Task).cls,
        "optimizer": registry_of(Optimizer).cls,
    }
    names: list[str] = []
    for kind, find in lookups.items():
        with contextlib.suppress(ZooError):  # of an unknown name there are no options
            names += find(str(ctx.params.get(kind) or "")).declared_options
    return [CompletionItem(f"{name}=") for name in dict.fromkeys(names) if name.startswith(incomplete)]


COMPLETERS: dict[str, Completer] = {
    "--cell": complete_cells,
    "--cells": complete_cells,
    "--task": complete_tasks,
    "--tasks": complete_tasks,
    "--optimizer": complete_optimizers,
    "--schedule": complete_schedules,
    "--sampler": complete_samplers,
    "--tracker": complete_trackers,
    "--data": complete_data,
    "--set": complete_options,
    **dict.fromkeys(("--out", "--plugin", "--config", "--markdown", "--latex"), complete_files),
}
"""Completers of options that mean the same in every command."""
