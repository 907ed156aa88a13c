"""``zoo cells``, ``tasks``, ``optimizers``, ...: list registered components and run directories."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from zoo.arguments import counted
from zoo.base import (
    Block,
    Cell,
    Component,
    Constraint,
    Modifier,
    Optimizer,
    Penalty,
    Sampler,
    Task,
    Tracker,
)
from zoo.base.component import first_paragraph, printed_docstring
from zoo.base.loss import row_loss_function
from zoo.base.metric import metric_text
from zoo.base.names import did_you_mean
from zoo.base.task import reads_tokens
from zoo.cell_pages.cell_info import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    SORT_KEYS,
    cell_info,
    option_prefix,
    sort_cells,
)
from zoo.cli.component_lookup import plugin_option
from zoo.cli.errors import echo_err
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.terminal import echo, is_terminal, print_facts, show_table
from zoo.errors import DefinitionError, UsageError, ZooError
from zoo.registry import get_cell, get_loss, list_losses, loss_source, registry_of
from zoo.registry.hookspecs import plural
from zoo.tables import TextTable

Info = dict[str, Any]
Columns = Mapping[str, Callable[[Info], str]]
"""Text of a component by heading."""

_SECONDS = 0.2  # for each cell that is measured
_RIGHT = ("year", "state size", "parameters", "ns/token", "baseline", "solved")

_pattern = argument("pattern", default="*")


def _number(form: str, value: float | None) -> str:
    return "-" if value is None else f"{value:{form}}"


def _options(info: Info) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in info["options"].items()) or "-"


_CELL_COLUMNS: Columns = {
    "cell": lambda info: info["name"],
    "family": lambda info: info["family"],
    "year": lambda info: f"{info['year'] or '-'}",
    "scope": lambda info: info["scope"],
    "state": lambda info: ", ".join(info["states"]),
    "state size": lambda info: _number(",.0f", info["state_size"]["count"]),
    "parameters": lambda info: _number(",.0f", info["parameters"]["count"]),
    "ns/token": lambda info: _number(",.0f", info["speed"]["ns_per_token"]),
    "from": lambda info: Path(info["distribution"]).name,
    "description": lambda info: printed_docstring(info["summary"]),
}
_COMPONENT_COLUMNS: Columns = {
    "name": lambda info: info["name"],
    "year": lambda info: f"{info['year'] or '-'}",
    "options": _options,
    "from": lambda info: info["distribution"],
    "description": lambda info: printed_docstring(info["summary"]),
}
_LOSS_COLUMNS: Columns = {
    "name": lambda info: info["name"],
    "targets": lambda info: info["targets"],
    "metric": lambda info: metric_text(info["metric"]),
    "options": _options,
    "from": lambda info: info["distribution"],
}
_TASK_COLUMNS: Columns = {
    "task": lambda info: info["name"],
    "family": lambda info: info["family"],
    "year": lambda info: f"{info['year'] or '-'}",
    "inputs": lambda info: "-" if info["inputs"] is None else counted(info["inputs"], info["input_kind"]),
    "score": lambda info: metric_text(info["metric"]),
    "baseline": lambda info: _number(".3g", info["baseline"]),
    "solved": lambda info: _number(".3g", info["threshold"]),
    "description": lambda info: f"{info['summary']} {info['problem']}".rstrip(),
}


def _names(kind: type[Component], pattern: str) -> list[str]:
    registry = registry_of(kind)
    _check_any(names := registry.list(pattern), kind.kind, pattern, registry.list(), registry.plugin_note())
    return names


def _check_any(names: Sequence[str], kind: str, pattern: str, known: Sequence[str], plugin_note: str) -> None:
    if not names:
        near = did_you_mean(pattern, known)
        listing = f"`zoo {plural(kind)}` lists all of them."
        raise UsageError(f"no {kind} matches {pattern!r}.{near} {listing}{plugin_note}")


def _print(infos: Sequence[Info], columns: Columns, notes: Sequence[str], form: str | None) -> None:
    """Print components as JSON or CSV, or as a table with notes below it.

    The table has no column ``from`` if all come from one distribution.
    """
    if form is not None:
        print_facts(infos, form)
        return
    if len({info.get("distribution") for info in infos}) == 1:
        columns = {heading: text for heading, text in columns.items() if heading != "from"}
    rows = tuple(tuple(text(info) for text in columns.values()) for info in infos)
    right = tuple(column for column, heading in enumerate(columns) if heading in _RIGHT)
    show_table(TextTable("", tuple(columns), rows, right), wrap=("description", "state"))
    echo("\n".join(["", *notes]))


# ---- zoo cells ----------------------------------------------------------------------------------------


@click.command(cls=Command)
@_pattern
@option(
    "--sort",
    "order",
    default="family",
    metavar="[-]BY",
    help=f"Sort by {', '.join(SORT_KEYS)}; with a minus sign, as in --sort -year, in descending order.  "
    "[family]",
)
@option(
    "--speed",
    is_flag=True,
    help="Measure ns per token, forward and backward. Cells that were never used are compiled first, which "
    "takes some seconds each.",
)
@format_options
@plugin_option
def cells(pattern: str, order: str, speed: bool, form: str | None) -> None:
    """List the cells.

    PATTERN is a shell pattern for the name, as in '*lstm', or for family and name, as in 'classic/*'.
    """
    _check_order(order, speed)
    infos = [cell_info(name) for name in _names(Cell, pattern)]
    infos = sort_cells(_with_speed(infos) if speed else infos, order)
    columns = {heading: text for heading, text in _CELL_COLUMNS.items() if speed or heading != "ns/token"}
    notes = [
        f"State size and parameters are for a layer with {HIDDEN_SIZE} units and {INPUT_SIZE} inputs.",
        "Processor time per token, forward and backward, for eight sequences in one thread, float32.",
        "`zoo show CELL` explains one; --json and --csv print all facts.",
    ]
    _print(infos, columns, notes if speed else [notes[0], notes[2]], form)


def _check_order(order: str, speed: bool) -> None:
    by = order.removeprefix("-")
    if by not in SORT_KEYS:
        raise UsageError(
            f"--sort {order}: unknown order {by!r}; choose one of {', '.join(SORT_KEYS)}."
            f"{did_you_mean(by, SORT_KEYS)}"
        )
    if by == "speed" and not speed:
        raise UsageError("--sort speed needs --speed; add it.")


def _with_speed(infos: list[Info]) -> list[Info]:
    """Measure the speed of each cell; print progress to a terminal, since compiling may take minutes."""
    measured = []
    for number, info in enumerate(infos, 1):
        if is_terminal(sys.stderr):
            echo_err(f"measuring {info['name']}, {number} of {len(infos)}")
        measured.append({**info, "speed": _speed(info["name"])})
    return measured


def _speed(name: str) -> Info:
    """Measure ns per token of a cell; None, with a warning, if it cannot run in this size."""
    from zoo.bench.timing import STEPS, ns_per_token
    from zoo.layers.sharding import ROWS_PER_TILE

    try:
        nanoseconds = round(ns_per_token(get_cell(name), INPUT_SIZE, HIDDEN_SIZE, _SECONDS), 1)
    except (DefinitionError, UsageError) as error:
        echo_err(f"Warning: {name} is not measured: {error}")
        nanoseconds = None
    sizes = {"steps": STEPS, "batch": ROWS_PER_TILE, "input_size": INPUT_SIZE, "hidden_size": HIDDEN_SIZE}
    return {**sizes, "dtype": "float32", "ns_per_token": nanoseconds}


# ---- zoo blocks, modifiers, constraints, penalties, optimizers, samplers, trackers and losses ----------


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def blocks(pattern: str, form: str | None) -> None:
    """List the blocks, which surround any cell.

    A block adds norms, projections, gates and a skip connection. Write it around the name of a cell, as in
    prenorm(lstm) or mamba(gru+zoneout). PATTERN is a shell pattern for the name, as in 'm*'.
    """
    _print_components(Block, pattern, "--cell CELL --block NAME", form)


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def modifiers(pattern: str, form: str | None) -> None:
    """List the modifiers, which change any cell.

    Write them after the name of a cell: lstm+zoneout, gru+low_rank+layer_norm. PATTERN is a shell pattern for
    the name, as in '*norm'.
    """
    _print_components(Modifier, pattern, "--cell CELL+NAME", form)


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def constraints(pattern: str, form: str | None) -> None:
    """List the constraints on parameters.

    They hold after every update. The table has their options and defaults. PATTERN is a shell pattern for the
    name, as in '*sign'.
    """
    _print_components(Constraint, pattern, "--constraint PARAMETER=NAME:OPTION=VALUE", form)


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def penalties(pattern: str, form: str | None) -> None:
    """List the penalties, which add terms to the loss.

    The terms depend on the activity or on parameters. The table has their options and defaults. PATTERN is a
    shell pattern for the name, as in 'l*'.
    """
    _print_components(Penalty, pattern, "--penalty activity=NAME:OPTION=VALUE", form)


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def optimizers(pattern: str, form: str | None) -> None:
    """List the optimizers.

    The table has their options and defaults. PATTERN is a shell pattern for the name, as in 'adam*'.
    """
    _print_components(Optimizer, pattern, "--optimizer NAME", form)


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def samplers(pattern: str, form: str | None) -> None:
    """List the samplers, which choose the next token.

    The table has their options and defaults. PATTERN is a shell pattern for the name, as in 'top*'.
    """
    _print_components(Sampler, pattern, "--sampler NAME", form, command="sample RUN")


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def trackers(pattern: str, form: str | None) -> None:
    """List the trackers, which receive the events of a run.

    The table has their options and defaults. PATTERN is a shell pattern for the name.
    """
    _print_components(Tracker, pattern, "--tracker NAME", form)


def _print_components(
    kind: type[Component], pattern: str, flag: str, form: str | None, command: str = "train"
) -> None:
    infos = [_component_info(kind, name) for name in _names(kind, pattern)]
    options = "" if flag.endswith("=VALUE") else " --set OPTION=VALUE"
    note = f"`zoo {command} {flag}{options}` uses one; `zoo show {kind.kind}:NAME` explains it."
    _print(infos, _COMPONENT_COLUMNS, [note], form)


def _component_info(kind: type[Component], name: str) -> Info:
    registry = registry_of(kind)
    cls, source = registry.cls(name), registry.source(name)
    prefix = option_prefix(cls)
    return {
        "name": name,
        "year": cls.card.year,
        "options": {f"{prefix}{option}": each.default for option, each in cls.declared_options.items()},
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def losses(pattern: str, form: str | None) -> None:
    """List the losses.

    The table has their targets, metric, options and defaults. A task and a model choose a loss. PATTERN is a
    shell pattern for the name, as in '*error'.
    """
    names = list_losses(pattern)
    _check_any(names, "loss", pattern, list_losses(), registry_of(Cell).plugin_note())
    notes = [
        "A model takes loss=NAME, or loss=zoo.get_loss(NAME, OPTION=VALUE).",
        "`zoo show loss:NAME` explains one.",
    ]
    _print(list(map(_loss_info, names)), _LOSS_COLUMNS, notes, form)


def _loss_info(name: str) -> Info:
    loss, source = get_loss(name), loss_source(name)
    options = {option: each.default for option, each in loss.options.items()}
    return {
        "name": name,
        "targets": loss.target_text,
        "metric": loss.metric,
        "options": {**options, **({"class_weights": None} if loss.target == "class" else {})},
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": first_paragraph(row_loss_function(loss)),
    }


# ---- zoo tasks ----------------------------------------------------------------------------------------


@click.command(cls=Command)
@_pattern
@format_options
@plugin_option
def tasks(pattern: str, form: str | None) -> None:
    """List the benchmark tasks.

    The table has their metric, memoryless baseline and threshold. PATTERN is a shell pattern for the name, as
    in '*copying', or for family and name, as in 'memory/*'.
    """
    infos = [_task_info(name) for name in _names(Task, pattern)]
    infos.sort(key=lambda info: (info["family"], info["name"]))
    note = "`zoo train --task TASK --cell CELL` trains on one; `zoo show TASK` explains it."
    _print(infos, _TASK_COLUMNS, [note], form)


def _task_info(name: str) -> Info:
    registry = registry_of(Task)
    cls, source = registry.cls(name), registry.source(name)
    return {
        "name": name,
        "family": cls.family,
        "year": cls.card.year,
        "loss": str(cls.loss),
        "metric": cls.metric,
        **_measures(cls),
        "threshold": cls.threshold,
        "threshold_source": cls.threshold_source,
        "options": {option: each.default for option, each in cls.declared_options.items()},
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


def _measures(cls: type[Task]) -> Info:
    """Sizes and baseline; None, and the problem, for a task that lacks a package or a text."""
    task = cls()
    measures: Info = {"inputs": None, "input_kind": "", "outputs": None, "baseline": None, "problem": ""}
    try:
        kind = "token" if reads_tokens(task) else "feature"
        measures.update(inputs=task.input_size, input_kind=kind, outputs=task.output_size)
        measures["baseline"] = task.baseline()
    except ZooError as error:
        measures["problem"] = str(error)
    return {**measures, "higher_is_better": task.higher_is_better}


# ---- zoo runs -----------------------------------------------------------------------------------------

_DEPTH = 4  # directories below DIR; a run of a comparison is at runs/NAME/runs/...


@click.command(cls=Command)
@argument("directory", metavar="[DIR]", default="runs", type=click.Path(file_okay=False, path_type=Path))
@format_options
def runs(directory: Path, form: str | None) -> None:
    """List run directories with cell, data, steps and best score.

    The best score is the metric of the validation with the lowest loss.

    DIR is a run directory or a directory that holds some.  [runs]
    """
    from zoo.training import Run
    from zoo.training.run_info import best_text, run_info, state_text, steps_text

    if not directory.is_dir():
        raise UsageError(f"{directory}: no such file or directory; `zoo runs` lists the runs.")
    infos = [run_info(Run(path)) for path in _directories_with("config.json", directory)]
    comparisons = _directories_with("compare.json", directory)
    notes = [info["problem"] for info in infos if info["problem"]]
    where = "this directory" if directory == Path() else directory
    notes.append(f"{len(infos)} run{'s' * (len(infos) != 1)} in {where}. `zoo report RUN` shows one.")
    if comparisons:
        count = f"{len(comparisons)} comparison{'s' * (len(comparisons) != 1)}"
        notes.append(f"{count}: {', '.join(map(str, comparisons))}. `zoo report COMPARISON` shows one.")
    columns: Columns = {
        "run": lambda info: info["run"],
        "cell": lambda info: info["cell"] or "-",
        "data": lambda info: info["data"] or "-",
        "steps": steps_text,
        "best": best_text,
        "state": state_text,
    }
    _print(infos, columns, notes, form)


def _directories_with(name: str, top: Path) -> list[Path]:
    """The directories that hold a file of this name, at most `_DEPTH` below the top."""
    return sorted({path.parent for depth in range(_DEPTH + 1) for path in top.glob("*/" * depth + name)})
