"""From what is asked, and the comparison that is there already, to the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoo.arguments import short_repr
from zoo.base import Cell
from zoo.comparison import specs as specs_module
from zoo.comparison.hidden_size import MOST_HIDDEN, TOLERANCE, Count, Size, nearest, smallest
from zoo.comparison.plan import Member, Plan, Settled
from zoo.comparison.request import SETTINGS, Asked, Specs
from zoo.comparison.specs import Problem
from zoo.errors import CheckpointError, UnknownNameError, UsageError
from zoo.layers.parameters import Layout
from zoo.layers.stack import Stack
from zoo.model.model import model_shapes
from zoo.registry import get_optimizer
from zoo.registry.plugin_files import is_file_spec
from zoo.training.config import Config

SEEDS, PARAMS, STEPS = 3, 20_000, 2_000
GRID = (0.3, 1.0, 3.0)
"""The learning rates that are swept, in parts of the optimizer's own."""

X = TypeVar("X")
Found = dict[str, tuple[Member, X]]
Differences = list[str]


@dataclass(frozen=True)
class Comparands:
    """A plan, and the cells and tasks that it names.

    Args:
        plan: The plan.
        cells: Its cells by label.
        problems: Its tasks by label.
    """

    plan: Plan
    cells: Mapping[str, Cell]
    problems: Mapping[str, Problem]


def settle(asked: Asked, stored: Plan | None, folder: Path) -> Comparands:
    """The plan that what is asked makes of what is there.

    Args:
        asked: What is asked.
        stored: The plan that the directory holds; it may only grow, by cells, tasks and seeds.
        folder: The directory.

    Raises:
        UsageError: if something does not fit, or a cell does not come in the size.
        UnknownNameError: if there is no such cell, task or optimizer.
        CheckpointError: if it would be another comparison.
    """
    told: Differences = []
    before = (stored.cells, stored.tasks) if stored else ({}, {})
    cells = _find("cell", asked.cells, asked.options, before[0], specs_module.find_cell, told)
    tasks = _find("task", asked.tasks, asked.options, before[1], specs_module.find_task, told)
    specs_module.check_labels(asked.options, cells, tasks)
    told += _differences(asked, stored) if stored else []
    if told:
        raise CheckpointError(
            f"{folder} holds another comparison ({'; '.join(told)}); give the settings it was begun with, or "
            f"another --out. Only cells, tasks and seeds may be added."
        )
    plan = _grown(asked, stored, cells, tasks) if stored else _begun(asked, cells, tasks)
    instances = {label: cell for label, (_, cell) in cells.items()}
    problems = {label: problem for label, (_, problem) in tasks.items()}
    _check_budget(plan, instances, problems)
    sized = dataclasses.replace(plan, settled=_settled(plan, instances, problems))
    return Comparands(sized, instances, problems)


def _find(
    kind: str,
    specs: Specs,
    options: specs_module.Options,
    stored: Mapping[str, Member],
    find: Callable[[str, Mapping[str, Any]], tuple[Member, X]],
    told: Differences,
) -> Found[X]:
    """The members that are there, then those that are new; what has changed is told."""
    found: Found[X] = {}
    for label in dict.fromkeys((*stored, *specs)):
        before = stored.get(label)
        spec = specs.get(label) or (before.spec if before else "")
        keeps = before is not None and (spec == before.name or is_file_spec(spec))
        chosen = {**(before.options if before and keeps else {}), **options.get(label, {})}
        try:
            found[label] = find(spec, chosen)
        except UnknownNameError as error:
            raise error if label in specs or not before else specs_module.again(kind, label, before) from None
        if before:
            told += _changes(kind, label, before, found[label][0])
    return found


def _changes(kind: str, label: str, before: Member, now: Member) -> Differences:
    """How a member is not what it was."""
    if before.name != now.name:
        return [f"{kind} {label!r}: {before.name} -> {now.name}"]
    if before.options != now.options:
        others = {name for name in now.options if before.options.get(name) != now.options[name]}
        return [
            f"{label}.{name}: {short_repr(before.options.get(name))} -> {short_repr(now.options[name])}"
            for name in sorted(others)
        ]
    if before.source != now.source:
        return [f"the {kind} {label!r} itself has changed since"]
    return []


def _begun(asked: Asked, cells: Found[Any], tasks: Found[Any]) -> Plan:
    """A new plan: what is asked, and defaults."""
    settings = {name: asked.settings.get(name, getattr(Config(), name)) for name in SETTINGS}
    return Plan(
        _members(cells),
        _members(tasks),
        asked.seeds or SEEDS,
        asked.size or ("params", PARAMS),
        asked.length or ("steps", STEPS),
        asked.rates or _grid(settings),
        asked.sweep_steps,
        settings,
    )


def _grown(asked: Asked, stored: Plan, cells: Found[Any], tasks: Found[Any]) -> Plan:
    """The plan that is there, with what there is more of."""
    seeds = max(asked.seeds or 0, stored.seeds)
    return dataclasses.replace(stored, cells=_members(cells), tasks=_members(tasks), seeds=seeds)


def _members(found: Found[Any]) -> dict[str, Member]:
    return {label: member for label, (member, _) in found.items()}


def _differences(asked: Asked, stored: Plan) -> Differences:
    """What is asked to be otherwise than it is."""
    pairs = [
        (name, getattr(asked, name), getattr(stored, name))
        for name in ("size", "length", "rates", "sweep_steps")
    ]
    pairs += [(name, value, stored.settings[name]) for name, value in asked.settings.items()]
    return [
        f"{name}: {_words(before)} -> {_words(wanted)}"
        for name, wanted, before in pairs
        if wanted is not None and wanted != before
    ]


def _words(value: Any) -> str:
    if isinstance(value, tuple) and isinstance(value[0], str):  # a size or a length
        return f"{value[0]} {short_repr(value[1])}"
    return short_repr(value)


def _grid(settings: Mapping[str, Any]) -> tuple[float, ...]:
    """The optimizer's own rate, and some around it."""
    own = float(get_optimizer(settings["optimizer"], **settings["optimizer_options"]).options["lr"])
    return tuple(float(f"{part * own:.6g}") for part in GRID)


def _check_budget(plan: Plan, cells: Mapping[str, Cell], problems: Mapping[str, Problem]) -> None:
    """Refuse a budget of parameters that is below the smallest size of a new cell.

    Raises:
        UsageError: naming each such cell, and the least possible budget.
    """
    kind, budget = plan.size
    if kind != "params":
        return
    new = [(task, cell) for task, cell in plan.pairs() if cell not in plan.settled.get(task, {})]
    least: dict[str, int] = {}
    for task, cell in new:
        size = smallest(_counter(cells[cell], problems[task], plan.settings["layers"], []))
        if size is not None and size.parameters > (1 + TOLERANCE) * budget:
            least[f"{cell} on {task}"] = size.parameters
    if least:
        found = ", ".join(f"{who} has at least {count:,}" for who, count in least.items())
        raise UsageError(
            f"compare: {found} parameters, more than the {budget:,} of --params; give --params "
            f"{max(least.values())} or more, or leave out the cell."
        )


def _settled(
    plan: Plan, cells: Mapping[str, Cell], problems: Mapping[str, Problem]
) -> dict[str, dict[str, Settled]]:
    """Size and length of every pair; those that are there already stay."""
    steps = int(plan.length[1]) if plan.length[0] == "steps" else None
    found: dict[str, dict[str, Settled]] = {}
    for task, cell in plan.pairs():
        known = plan.settled.get(task, {}).get(cell)
        if known is None:
            size = _size(plan, cells[cell], problems[task], f"{cell} on {task}")
            known = Settled(size.hidden, size.parameters, steps)
        found.setdefault(task, {})[cell] = known
    return found


def _size(plan: Plan, cell: Cell, problem: Problem, who: str) -> Size:
    """The hidden size that is asked for, or the one whose parameters are nearest to the budget."""
    kind, number = plan.size
    if kind == "hidden":
        return Size(number, parameters(cell, problem, number, plan.settings["layers"]))
    refusals: list[str] = []
    found = nearest(number, _counter(cell, problem, plan.settings["layers"], refusals))
    if found is None:
        why = refusals[-1] if refusals else "it has fewer in all of them"
        raise UsageError(
            f"compare: {who}: no hidden size up to {MOST_HIDDEN:,} has {number:,} parameters: {why}"
        )
    return found


def _counter(cell: Cell, problem: Problem, layers: int, refusals: list[str]) -> Count:
    """Parameters at each hidden size; why a size does not suit the cell is added to the refusals."""

    def count(hidden: int) -> int | None:
        try:
            return parameters(cell, problem, hidden, layers)
        except UsageError as error:
            refusals.append(str(error))
            return None

    return count


def parameters(cell: Cell, problem: Problem, hidden: int, layers: int) -> int:
    """``P`` of layers of a cell, and the readout, on a task.

    Raises:
        UsageError: if the cell does not come in this size.
    """
    stack = Stack(cell, problem.task.input_size, hidden, layers)
    return Layout(model_shapes(stack, problem.task.output_size)).size
