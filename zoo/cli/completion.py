"""Complete names of components, and run directories, in a shell.

Each function has the signature of ``shell_complete`` in click. Where no name fits, the shell completes files.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.base import Component

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _items(names: Iterable[str], incomplete: str, prefix: str = "") -> list[CompletionItem]:
    """The names that begin with ``incomplete``, after a prefix that is complete; files if there is none."""
    fitting = [CompletionItem(prefix + name) for name in names if name.startswith(incomplete)]
    return fitting or complete_files(None, None, prefix + incomplete)


def complete_files(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a file."""
    return [CompletionItem(incomplete, type="file")]


def complete_cells(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the last cell of ``2*lstm,prenorm(gru``, or its last modifier, as in ``lstm+zoneout``."""
    from zoo.registry import list_cells, list_modifiers

    start = max(incomplete.rfind(separator) for separator in ",+=(*") + 1
    is_modifier = incomplete[start - 1 : start] == "+"
    return _names_or_classes(list_modifiers() if is_modifier else list_cells(), incomplete, start)


def complete_blocks(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a block."""
    from zoo.registry import list_blocks

    return _names_or_classes(list_blocks(), incomplete, 0)


def complete_tasks(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the last task of ``copying,adding``."""
    from zoo.registry import list_tasks

    start = max(incomplete.rfind(separator) for separator in ",=") + 1
    return _names_or_classes(list_tasks(), incomplete, start)


def _names_or_classes(names: Iterable[str], incomplete: str, start: int) -> list[CompletionItem]:
    """Complete a name that begins at ``start``, or a class after ``FILE.py:``."""
    file, colon, name = incomplete[start:].rpartition(":")
    if colon and file.endswith(".py"):
        return _items(_classes(file), name, f"{incomplete[:start]}{file}:")
    return _items(names, incomplete[start:], incomplete[:start])


def complete_losses(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a loss."""
    from zoo.registry import list_losses

    return _names_or_classes(list_losses(), incomplete, 0)


def complete_optimizers(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an optimizer."""
    from zoo.registry import list_optimizers

    return _names_or_classes(list_optimizers(), incomplete, 0)


def complete_samplers(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a sampler."""
    from zoo.registry import list_samplers

    return _names_or_classes(list_samplers(), incomplete, 0)


def complete_trackers(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a tracker."""
    from zoo.registry import list_trackers

    return _names_or_classes(list_trackers(), incomplete, 0)


def complete_constraints(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a constraint after ``PATTERN=``."""
    from zoo.registry import list_constraints

    return _after_pattern(list_constraints, incomplete)


def complete_penalties(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a penalty after ``PATTERN=``."""
    from zoo.registry import list_penalties

    return _after_pattern(list_penalties, incomplete)


def _after_pattern(list_names: Callable[[], list[str]], incomplete: str) -> list[CompletionItem]:
    pattern, equals, name = incomplete.partition("=")
    return _items(list_names(), name, f"{pattern}=") if equals else []


def complete_components(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a component of any kind, or ``KIND:NAME``."""
    from zoo.base.loss import Loss
    from zoo.registry import list_losses, registry_of
    from zoo.registry.hookspecs import COMPONENT_CLASSES

    lists: dict[str, Callable[[], list[str]]] = {
        **{base.kind: registry_of(base).list for base in COMPONENT_CLASSES},
        Loss.kind: list_losses,
    }
    kind, colon, name = incomplete.partition(":")
    if colon and kind in lists:
        return _items(lists[kind](), name, f"{kind}:")
    names = [name for list_names in lists.values() for name in list_names()]
    others = [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]
    return others or complete_cells(ctx, param, incomplete)


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
    config = _config(path)
    return config is not None and config.get("task") is None


def _config(path: Path) -> dict[str, object] | None:
    """The configuration of a run; None for no run, or one that no command can read."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


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
    """Complete the options of the components on the command line, as ``NAME=`` or ``PREFIX.NAME=``."""
    is_comparison = "cells" in ctx.params
    names = [
        f"{prefix}.{option}=" if is_comparison or "." in incomplete else f"{option}="
        for prefix, options in _option_names(ctx)
        for option in options
    ]
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _option_names(ctx: click.Context) -> Iterator[tuple[str, Iterable[str]]]:
    """The prefix and the options of each component; none of an unknown name, or of a class in a file."""
    from zoo.base import Optimizer, Sampler, Task, Tracker
    from zoo.registry import cell_class, layer_names, registry_of, split_at_commas, stack_label
    from zoo.training.config import Config
    from zoo.training.schedules import SCHEDULES

    def given(name: str, default: str = "") -> list[str]:
        value = ctx.params.get(name) or default
        return split_at_commas(value) if isinstance(value, str) else list(value)

    is_training = {"optimizer", "schedule"} <= ctx.params.keys()
    cell = Config().cell_label if is_training and "cell" in ctx.params else ""
    optimizer = Config.optimizer if is_training else ""
    words = ctx.args[:1]  # RUN or NAME, which click does not parse where the last option has no value
    config = (_config(Path(*words)) if words else None) or {}
    task = str(config.get("task") or "")
    lookups: list[tuple[str, list[str], Callable[[str], type[Component]]]] = [
        ("cell", [*words, *given("cell", cell)], cell_class),
        ("", given("cells"), cell_class),
        ("task", given("task", task), registry_of(Task).cls),
        ("", given("tasks"), registry_of(Task).cls),
        ("optimizer", given("optimizer", optimizer), registry_of(Optimizer).cls),
        ("", given("names"), registry_of(Sampler).cls),
        ("tracker", given("trackers"), registry_of(Tracker).cls),
    ]
    for kind, specs, find in lookups:
        for spec in specs:
            label, equals, name = spec.partition("=")
            with contextlib.suppress(ZooError):
                for layer in dict.fromkeys(layer_names(name if equals else spec)):
                    yield kind or (label if equals else stack_label(spec)), find(layer).declared_options
    for schedule in given("schedule"):
        with contextlib.suppress(KeyError):
            yield "schedule", [field.name for field in dataclasses.fields(SCHEDULES[schedule])]


COMPLETERS: dict[str, Completer] = {
    "--block": complete_blocks,
    "--cell": complete_cells,
    "--cells": complete_cells,
    "--task": complete_tasks,
    "--tasks": complete_tasks,
    "--loss": complete_losses,
    "--optimizer": complete_optimizers,
    "--schedule": complete_schedules,
    "--sampler": complete_samplers,
    "--tracker": complete_trackers,
    "--constraint": complete_constraints,
    "--penalty": complete_penalties,
    "--data": complete_data,
    "--init-from": complete_runs,
    "--set": complete_options,
    **dict.fromkeys(("--out", "--plugin", "--config", "--markdown", "--latex"), complete_files),
}
"""Completers of options that mean the same in every command."""
