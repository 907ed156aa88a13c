"""Resolve a request and the stored plan to a new plan, with a hidden size for each cell and task."""

from __future__ import annotations

import dataclasses
import functools
import glob
import math
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoo.arguments import counted, expand_user, short_repr
from zoo.base import Cell, Optimizer
from zoo.base.names import did_you_mean, matching_names
from zoo.comparison import specs as specs_module
from zoo.comparison.data_sets import DataSetInfo, check_unchanged, find_data_set
from zoo.comparison.model_info import ModelInfo, override_options
from zoo.comparison.plan import (
    BEST_CELL,
    DEFAULTS,
    TOLERANCE,
    CompareRequest,
    Plan,
    PlanEntry,
    RunSize,
    Sizes,
    Specs,
)
from zoo.comparison.records import RunGroup
from zoo.comparison.specs import TaskInfo
from zoo.data.builtin import PREFIX
from zoo.errors import CheckpointError, MissingSourceError, UnknownNameError, UsageError, ZooError
from zoo.kernels.losses import BUILT_IN_LOSSES
from zoo.kernels.precision import check_precision
from zoo.layers.config import StackConfig
from zoo.layers.parameters import ParameterLayout, parameter_part
from zoo.layers.stack import Stack, check_residual
from zoo.model.model import embedding_shape, model_shapes
from zoo.model.width_groups import check_base_hidden
from zoo.online.gradients import GRADIENTS, carry_shapes, check_layers
from zoo.registry.plugin_files import is_file_spec
from zoo.storage import RunDirectory
from zoo.storage.safe_read import exists
from zoo.training.config import REGULARISATION_SETTINGS
from zoo.training.defaults import KIND_DEFAULTS
from zoo.training.regularisation import ACTIVITY, as_regularisation
from zoo.training.resume import changed_options

SEEDS, PARAMS, STEPS = 5, 20_000, 2_000
SWEEP_ROUNDS = 8
"""Up to three rounds double the length of the runs from a fifth of the updates to all of them. On `adding`,
with 400 updates and 2,000 parameters, four rounds left the rate of a GRU at 0.009, and one of three seeds
solved the task. With eight the rate is 0.081, inside of the grid, and all seeds solve it."""
GRID = (0.3, 1.0, 3.0)
"""Default learning rates of the sweep, as multiples of the optimizer's default."""

X = TypeVar("X")
Resolved = dict[str, tuple[PlanEntry, X]]
AnyTaskInfo = TaskInfo | DataSetInfo
Layers = Cell | list[Cell]
"""The cell of all layers, or the cell of each."""
Changes = list[str]


@dataclass(frozen=True)
class ResolvedPlan:
    """A plan with its cells and tasks.

    Args:
        plan: The plan.
        cells: Cells by label.
        tasks: Tasks and data sets by label.
        optimizer: The optimizer of all runs.
    """

    plan: Plan
    cells: Mapping[str, ModelInfo]
    tasks: Mapping[str, AnyTaskInfo]
    optimizer: Optimizer


def resolve_plan(request: CompareRequest, stored: Plan | None, folder: Path) -> ResolvedPlan:
    """Resolve a request to a plan.

    Args:
        request: The request.
        stored: Plan of the directory, to which only cells, tasks, sizes and seeds can be added. A cell may
            change if none of its runs has begun, for example because its first version failed at once.
        folder: The directory.

    Raises:
        UsageError: if the request is invalid, or a cell has no valid size.
        UnknownNameError: if a cell, task or optimizer is unknown.
        CheckpointError: if the request changes the stored comparison.
    """
    before = (stored.cells, stored.tasks) if stored else ({}, {})
    cell_changes: dict[str, Changes] = {}
    cells = _resolve_entries(
        "cell", request.cells, request.options, before[0], specs_module.find_cell, cell_changes
    )
    changed_cells = [label for label, differences in cell_changes.items() if differences]
    changes = [each for label in changed_cells if _has_begun(folder, label) for each in cell_changes[label]]
    tasks, task_changes = _resolve_tasks(request, before[1])
    changes += task_changes
    specs_module.check_labels(request.options, cells, tasks)
    reference = _find_reference(request.reference, stored.reference if stored else None, _entries(cells))
    changes += _request_changes(request, stored) if stored else []
    _raise_if_changed(changes, folder)
    instances = {label: cell for label, (_, cell) in cells.items()}
    settings = stored.settings if stored else _new_settings(request, instances)
    is_given = "layers" in request.settings
    _check_layers(settings["layers"], instances, is_given=is_given, is_stored=stored is not None)
    optimizer = _find_optimizer(request, settings, is_stored=stored is not None)
    task_infos = {label: info for label, (_, info) in tasks.items()}
    sources = _source_digests(optimizer, task_infos)
    if stored:
        _raise_if_changed(_source_changes(stored.sources, sources), folder)
        plan = _extended_plan(request, stored, cells, tasks, changed_cells)
    else:
        plan = _new_plan(request, cells, tasks, settings, optimizer)
    plan = dataclasses.replace(plan, sources={**plan.sources, **sources}, reference=reference)
    check_precision(plan.settings["precision"], plan.settings["dtype"], "compare")
    for info in task_infos.values():
        info.category_inputs(plan.settings["embedding"])  # raises an error if there is nothing to embed
    if plan.settings["bidirectional"]:
        _check_bidirectional(task_infos)
    if plan.settings["residual"]:
        _check_not_in_block(instances)
    _check_budget(plan, instances, task_infos)
    plan = dataclasses.replace(plan, run_sizes=_run_sizes(plan, instances, task_infos))
    if plan.settings["residual"]:
        _check_residual(plan, instances, task_infos)
    if plan.settings["gradient"] in GRADIENTS:
        _check_gradient(plan, instances, task_infos)
    _check_patterns(plan, instances, task_infos, optimizer)
    _check_base_hidden(plan, instances, task_infos)
    return ResolvedPlan(plan, instances, task_infos, optimizer)


def _find_reference(requested: str | None, stored: str | None, cells: Mapping[str, PlanEntry]) -> str | None:
    """The label of the reference cell; None for the best cell.

    Args:
        requested: A label, a specification as in ``cells``, `BEST_CELL`, or None for the stored one.
        stored: The label of the stored plan, if any.
        cells: Cells by label.

    Raises:
        UsageError: if the requested one is none of the cells, or several.
    """
    if requested is None:
        return stored
    if requested in cells:
        return requested
    if requested == BEST_CELL:
        return None
    labels = specs_module.labels_of_spec(requested, cells)
    if len(labels) == 1:
        return labels[0]
    if labels:
        raise UsageError(
            f"compare: reference is {short_repr(requested)}, which has the labels {', '.join(labels)}; give "
            f"one of them."
        )
    raise UsageError(
        f"compare: reference is {short_repr(requested)}; expected one of the cells {', '.join(cells)}, or "
        f"{BEST_CELL!r} for the best cell of each table.{did_you_mean(requested, cells)}"
    )


def _find_optimizer(request: CompareRequest, settings: Mapping[str, Any], *, is_stored: bool) -> Optimizer:
    try:
        return specs_module.find_optimizer(settings, request.optimizer_spec)
    except UnknownNameError:
        name = settings["optimizer"]
        if not is_stored or "optimizer" in request.settings:
            raise
        raise specs_module.missing_component_error("optimizer", name, name) from None


def _raise_if_changed(changes: Changes, folder: Path) -> None:
    """Check that nothing differs from the stored comparison; raises `CheckpointError`."""
    if changes:
        raise CheckpointError(
            f"{folder} holds another comparison ({'; '.join(changes)}); restore its settings and "
            f"files, or give another `out`. Only cells, tasks, sizes and seeds may be added."
        )


def _has_begun(folder: Path, cell: str) -> bool:
    """Whether a run of a cell has begun; a cell that fails at once leaves none."""
    runs = folder.glob(f"runs/*/{glob.escape(cell)}/*")
    return any(RunDirectory(run).holds_run() for run in runs)


def _source_digests(optimizer: Optimizer, tasks: Mapping[str, AnyTaskInfo]) -> dict[str, str]:
    """The digests of a plan, see `Plan.sources`. Built-in losses share one file."""
    losses = [info.loss for info in tasks.values() if info.loss.name not in BUILT_IN_LOSSES]
    return {
        f"optimizer:{optimizer.name}": optimizer.source_digest(),
        **{f"loss:{loss.name}": loss.source_digest() for loss in losses},
    }


def _source_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    changed = [name.partition(":") for name, digest in now.items() if before.get(name, digest) != digest]
    return [_source_change(kind, name) for kind, _, name in changed]


def _source_change(kind: str, name: str) -> str:
    return f"the {kind} {name!r} itself has changed since"


def _resolve_tasks(
    request: CompareRequest, stored: Mapping[str, PlanEntry]
) -> tuple[Resolved[AnyTaskInfo], Changes]:
    """Resolve tasks and data sets, see `_resolve_entries`. Also return the differences."""
    old_tasks, old_data = (
        {label: entry for label, entry in stored.items() if entry.is_data is is_data}
        for is_data in (False, True)
    )
    data = _with_stored_labels(request, old_data)
    both = (*old_tasks, *request.tasks), (*old_data, *data)
    if clash := sorted(set(both[0]).intersection(both[1])):
        raise UsageError(
            f"compare: {clash[0]!r} is a task and a data set; rename the file, or give the task a label, as "
            f"in my={clash[0]}."
        )
    data_options = dict.fromkeys(data, request.data_settings)
    changes: dict[str, Changes] = {}
    tasks: Resolved[AnyTaskInfo] = {}
    tasks |= _resolve_entries(
        "task", request.tasks, request.options, old_tasks, specs_module.find_task, changes
    )
    tasks |= _resolve_entries("data set", data, data_options, old_data, find_data_set, changes)
    return tasks, [change for task_changes in changes.values() for change in task_changes]


def _with_stored_labels(request: CompareRequest, stored: Mapping[str, PlanEntry]) -> dict[str, str]:
    """The files of data sets by label: a renamed file or a copy keeps the label of the data set in the plan.

    Raises:
        MissingSourceError: if a file does not exist.
        UsageError: if two files have the content of one data set of the plan.
    """
    if not stored:
        return dict(request.data)
    for file in request.data.values():
        # Before the files of the plan are read, whose errors name others. Path.exists raises for some names.
        if not file.startswith(PREFIX) and not os.path.exists(expand_user(file)):  # noqa: PTH110
            raise MissingSourceError(
                f"compare: {short_repr(file)[1:-1]}: no such file or directory; give the path of a data set."
            )
    is_missing = {label: not exists(Path(entry.spec)) for label, entry in stored.items()}
    candidates = sorted(stored, key=lambda label: not is_missing[label])
    files = {label: file for label, file in request.data.items() if label in stored}
    for label, file in request.data.items():
        if label in stored:
            continue
        same = (each for each in candidates if _has_content(file, request, stored[each], is_missing[each]))
        known = next(same, label)
        if known in files:
            raise UsageError(
                f"compare: {files[known]} and {file} are both the data set {known!r} of the comparison; "
                f"leave out one of them."
            )
        files[known] = file
    return files


def _has_content(file: str, request: CompareRequest, entry: PlanEntry, is_missing: bool) -> bool:
    """Whether a file is a data set of the plan. With other settings, a copy is another data set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these settings may be of another file
        try:
            now, _ = find_data_set(file, override_options(entry.options, request.data_settings))
        except ZooError:
            return False
    return now.source == entry.source and (is_missing or now.options == entry.options)


def _resolve_entries(
    kind: str,
    specs: Specs,
    options: specs_module.Options,
    stored: Mapping[str, PlanEntry],
    find: Callable[[str, Mapping[str, Any]], tuple[PlanEntry, X]],
    changes: dict[str, Changes],
) -> Resolved[X]:
    """Resolve the stored components, then the new ones. Add differences to ``changes`` by label."""
    resolved: Resolved[X] = {}
    for label in dict.fromkeys((*stored, *specs)):
        before = stored.get(label)
        spec = specs.get(label) or (before.spec if before else "")
        keeps = before is not None and (before.is_data or spec == before.name or is_file_spec(spec))
        chosen = override_options(before.options if before and keeps else {}, options.get(label, {}))
        try:
            resolved[label] = find(spec, chosen)
        except UnknownNameError:
            if label in specs or not before or before.is_data:  # of data, the loss is unknown
                raise
            raise specs_module.missing_component_error(kind, label, before.name) from None
        except MissingSourceError as error:
            is_named = label in specs if before and before.is_data else label in options
            if kind == "cell" or not before or is_named:
                raise
            new = [spec for name, spec in specs.items() if name not in stored]
            raise _missing_file_error(kind, label, before, new, error) from None
        if before:
            if before.is_data:
                now = resolved[label][0]
                check_unchanged(now.name, before.source, now.source)
            changes[label] = _entry_changes(kind, label, before, resolved[label][0])
    return resolved


def _missing_file_error(
    kind: str, label: str, entry: PlanEntry, new: Sequence[str], error: MissingSourceError
) -> MissingSourceError:
    """Make the error for a file that is not there, for example on another machine.

    Args:
        kind: The kind of the component.
        label: Its label.
        entry: Its entry in the plan.
        new: The files that the request adds.
        error: The error of the file.
    """
    if entry.is_data:
        advice = "name it with `data`; it may have another name"
        if new:
            listed, have = ", ".join(Path(file).name for file in new), "have" if len(new) > 1 else "has"
            advice = f"name the file with its content, since {listed} {have} other content"
    else:
        names = [
            key for key, value in entry.options.items() if isinstance(value, str) and value in str(error)
        ]
        option = f"{label}.{names[0] if names else 'OPTION'}"
        advice = f"name it, as in `zoo compare --out DIR --set {option}=FILE`"
    return MissingSourceError(
        f"compare: the {kind} {label!r} of the comparison cannot read its file. {error} If the file has "
        f"moved, {advice}."
    )


def _entry_changes(kind: str, label: str, before: PlanEntry, now: PlanEntry) -> Changes:
    if before.name != now.name and not before.is_data:  # the content of data is checked
        return [f"{kind} {label!r}: {before.name} -> {now.name}"]
    if before.options != now.options:
        has_same_examples = kind == "task" and before.source == now.source
        changed = changed_options(before.options, now.options, may_move=has_same_examples)
        if changed:
            return [
                f"{label}.{name}: {short_repr(before.options.get(name))} -> {short_repr(now.options[name])}"
                for name in changed
            ]
    if before.source != now.source:
        return [_source_change(kind, label)]
    return []


def _new_settings(request: CompareRequest, cells: Mapping[str, ModelInfo]) -> dict[str, Any]:
    """The settings of runs. All cells have as many layers as the first stack, if they are not given."""
    stacks = [len(cell.cells) for cell in cells.values() if cell.is_stack]
    settings = {**DEFAULTS, **({"layers": stacks[0]} if stacks else {}), **request.settings}
    if "schedule" in request.settings and "schedule_options" not in request.settings:
        settings["schedule_options"] = {}
    return settings


def _new_plan(
    request: CompareRequest,
    cells: Resolved[Any],
    tasks: Resolved[Any],
    settings: Mapping[str, Any],
    optimizer: Optimizer,
) -> Plan:
    """Make a plan from a request, with defaults for what it lacks."""
    return Plan(
        cells=_entries(cells),
        tasks=_entries(tasks),
        seeds=request.seeds or SEEDS,
        sizes=request.sizes or Sizes("params", (PARAMS,)),
        length=request.length or ("steps", STEPS),
        rates=request.rates or _default_grid(optimizer),
        sweep_steps=request.sweep_steps,
        sweep_rounds=_sweep_rounds(request),
        settings=settings,
        optimizer_spec=request.optimizer_spec,
    )


def _sweep_rounds(request: CompareRequest) -> int:
    """The rounds of a sweep; by default none if the rates or the lengths of its runs were given."""
    if request.sweep_rounds is not None:
        return request.sweep_rounds
    return SWEEP_ROUNDS if request.rates is None and request.sweep_steps is None else 0


def _extended_plan(
    request: CompareRequest,
    stored: Plan,
    cells: Resolved[Any],
    tasks: Resolved[Any],
    changed_cells: Collection[str],
) -> Plan:
    """Add new cells, tasks, sizes and seeds to a stored plan. Changed cells get new hidden sizes."""
    seeds = max(request.seeds or 0, stored.seeds)
    return dataclasses.replace(
        stored,
        cells=_entries(cells),
        tasks=_entries(tasks),
        sizes=stored.sizes.with_others(request.sizes.numbers if request.sizes else ()),
        run_sizes={
            group: run_size for group, run_size in stored.run_sizes.items() if group.cell not in changed_cells
        },
        seeds=seeds,
        optimizer_spec=request.optimizer_spec,
    )


def _entries(resolved: Resolved[Any]) -> dict[str, PlanEntry]:
    return {label: entry for label, (entry, _) in resolved.items()}


def _request_changes(request: CompareRequest, stored: Plan) -> Changes:
    pairs = [
        (name, getattr(request, name), getattr(stored, name))
        for name in ("length", "rates", "sweep_steps", "sweep_rounds")
    ]
    if request.sizes and request.sizes.kind != stored.sizes.kind:
        pairs.append(("size", request.sizes, stored.sizes))
    pairs += [(name, value, stored.settings[name]) for name, value in request.settings.items()]
    return [
        f"{name}: {_format_setting(before)} -> {_format_setting(requested)}"
        for name, requested, before in pairs
        if requested is not None and requested != before
    ]


def _format_setting(value: Any) -> str:
    if isinstance(value, Sizes):
        return f"{value.kind} {', '.join(f'{number}' for number in value.numbers)}"
    if isinstance(value, tuple) and isinstance(value[0], str):  # a length
        return f"{value[0]} {short_repr(value[1])}"
    return "default" if value is None else short_repr(value)


def _default_grid(optimizer: Optimizer) -> tuple[float, ...]:
    """Multiples of the optimizer's default learning rate, see `GRID`."""
    default = float(optimizer.options["lr"])
    return tuple(float(f"{factor * default:.6g}") for factor in GRID)


def _check_layers(layers: int, cells: Mapping[str, ModelInfo], *, is_given: bool, is_stored: bool) -> None:
    """Check that every stack has the number of layers of the comparison; raises `UsageError`."""
    stacks = {label: len(cell.cells) for label, cell in cells.items() if cell.is_stack}
    for label, count in stacks.items():
        if count == layers:
            continue
        source = f"layers is {layers}" if is_given else f"the comparison has {counted(layers, 'layer')}"
        if not is_given and not is_stored:
            source = f"the stack {next(iter(stacks))!r} has {layers} cells"
        raise UsageError(
            f"compare: {source} and the stack {label!r} has {count} cells; all cells of a comparison have "
            f"the same number of layers, so give stacks of this size{', or leave out `layers`' * is_given}."
        )


def _check_bidirectional(tasks: Mapping[str, AnyTaskInfo]) -> None:
    """Check that bidirectional layers can learn all tasks; raises `UsageError`."""
    for label, info in tasks.items():
        if reason := info.bidirectional_error:
            raise UsageError(
                f"compare: bidirectional is given with the task {label!r}, which {reason}, so no layer can "
                f"read it backwards; leave out `bidirectional` or the task."
            )


def _check_not_in_block(cells: Mapping[str, ModelInfo]) -> None:
    """Check that no layer has a block; raises `UsageError`."""
    for label, cell in cells.items():
        if cell.is_in_block:
            raise UsageError(
                f"compare: residual is given with the cell {label!r}, and the block of the cell adds its "
                f"input already; leave out `residual`, and use the modifier residual for cells without a "
                f"block, as in gru+residual."
            )


def _check_residual(plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo]) -> None:
    """Check that every model has a residual connection; raises `UsageError`."""
    for owner, stack in _stacks(plan, cells, tasks):
        check_residual(stack, f"compare: {owner}: ")


def _check_gradient(plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo]) -> None:
    """Check that every model has the online gradient, and memory for it; raises `UsageError`."""
    name, batch = plan.settings["gradient"], plan.settings["batch"] or KIND_DEFAULTS["task"].batch
    for info in tasks.values():
        info.check_gradient(name, batch)
    for owner, stack in _stacks(plan, cells, tasks):
        check_layers(stack, plan.settings["embedding"] is not None, f"compare: {name} of {owner}")
        carry_shapes(name, stack, batch)


def _stacks(
    plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo]
) -> Iterator[tuple[str, Stack]]:
    """The layers of every group, with the names of its cell and its task for errors."""
    for group in plan.groups():
        layers, hidden = cells[group.cell].of_layers, plan.run_sizes[group].hidden
        yield f"{group.cell} on {group.task}", _stack(layers, tasks[group.task], hidden, plan.settings)


def _check_budget(plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo]) -> None:
    """Check that each budget of parameters admits the smallest size of every new cell.

    Raises:
        UsageError: naming each cell that is too large, and the smallest possible budget.
    """
    if plan.sizes.kind != "params":
        return
    new: dict[int, list[RunGroup]] = {}
    for group in plan.groups():
        if group not in plan.run_sizes:
            new.setdefault(group.size, []).append(group)
    for budget, groups in sorted(new.items()):
        _check_one_budget(plan, budget, groups, cells, tasks)


def _check_one_budget(
    plan: Plan,
    budget: int,
    groups: Sequence[RunGroup],
    cells: Mapping[str, ModelInfo],
    tasks: Mapping[str, AnyTaskInfo],
) -> None:
    smallest: dict[str, int] = {}
    for task, cell, _ in groups:
        size = smallest_hidden_size(_counter(cells[cell].of_layers, tasks[task], plan.settings, []))
        if size is not None and size.parameters > (1 + TOLERANCE) * budget:
            smallest[f"{cell} on {task}"] = size.parameters
    if smallest:
        listed = ", ".join(f"{pair} has at least {count:,}" for pair, count in smallest.items())
        problem = f"compare: {listed} parameters, more than the {budget:,} of `params`"
        if any(group.size == budget for group in plan.run_sizes):  # of the stored plan, which keeps its sizes
            raise UsageError(
                f"{problem} that the comparison has; leave out the cell, or start another comparison with "
                f"larger sizes with another `out`."
            )
        embedding = plan.settings["embedding"]
        other = "" if embedding is None or plan.run_sizes else "a smaller `embedding`, "
        raise UsageError(
            f"{problem}; give `params={max(smallest.values())}` or more, {other}or leave out the cell"
            f"{' or this size' * (len(plan.sizes.numbers) > 1)}."
        )


def _run_sizes(
    plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo]
) -> dict[RunGroup, RunSize]:
    """Size and length of every group; those of the stored plan stay."""
    steps = int(plan.length[1]) if plan.length[0] == "steps" else None
    run_sizes: dict[RunGroup, RunSize] = {}
    for group in plan.groups():
        run_size = plan.run_sizes.get(group)
        if run_size is None:
            size = _hidden_size(plan, group, cells[group.cell].of_layers, tasks[group.task])
            run_size = RunSize(size.hidden, size.parameters, steps)
        run_sizes[group] = run_size
    return run_sizes


def _hidden_size(plan: Plan, group: RunGroup, cell: Layers, task: AnyTaskInfo) -> HiddenSize:
    """The requested hidden size, or the one with the number of parameters nearest to the budget."""
    number = group.size
    if plan.sizes.kind == "hidden":
        return HiddenSize(number, count_parameters(cell, task, number, plan.settings))
    errors: list[str] = []
    count = _counter(cell, task, plan.settings, errors)
    embedding = plan.settings["embedding"]
    has_exception = embedding is not None and task.category_inputs(embedding) is None
    size = nearest_hidden_size(number, count, [embedding] if has_exception else [])
    if size is None:
        reason = errors[-1] if errors else "it has fewer in all of them"
        raise UsageError(
            f"compare: {group.cell} on {group.task}: no hidden size up to {MAX_HIDDEN:,} has {number:,} "
            f"parameters: {reason}"
        )
    return size


def _check_patterns(
    plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo], optimizer: Optimizer
) -> None:
    """Check that constraints, penalties and parameter groups match parameters of every cell.

    Raises:
        UsageError: naming the cell without such a parameter; or if a text cannot be read.
        UnknownNameError: if a constraint or penalty is unknown.
    """
    settings = plan.settings
    regularisation = as_regularisation(
        optimizer,
        **{name: settings[name] for name in REGULARISATION_SETTINGS},
        base_hidden=settings["base_hidden"],
    )
    patterns = [
        (name, each.pattern)
        for name in REGULARISATION_SETTINGS
        for each in getattr(regularisation, name)
        if (name, each.pattern) != ("penalties", ACTIVITY)
    ]
    for group in plan.groups() if patterns else ():
        task, cell = group.task, group.cell
        hidden = plan.run_sizes[group].hidden
        names = _parameter_shapes(cells[cell].of_layers, tasks[task], hidden, settings)
        for name, pattern in patterns:
            matching_names(pattern, names, f"compare: {cell} on {task}: {name}")


def _check_base_hidden(plan: Plan, cells: Mapping[str, ModelInfo], tasks: Mapping[str, AnyTaskInfo]) -> None:
    """Check that every cell can have the hidden size for which the learning rates are.

    Raises:
        UsageError: naming the cell that cannot, or if the size is too large for the models.
    """
    base = plan.settings["base_hidden"]
    for group in plan.groups() if base is not None else ():
        check_base_hidden(base, plan.run_sizes[group].hidden)
        try:
            _stack(cells[group.cell].of_layers, tasks[group.task], base, plan.settings)
        except UsageError as error:
            raise UsageError(f"base_hidden is {base:,}: {error}") from error


def _counter(cell: Layers, task: AnyTaskInfo, settings: Mapping[str, Any], errors: list[str]) -> Count:
    """Make a function that counts parameters. It appends the error of an invalid size to ``errors``."""

    def count(hidden: int) -> int | None:
        try:
            return count_parameters(cell, task, hidden, settings)
        except UsageError as error:
            errors.append(str(error))
            return None

    return count


def count_parameters(cell: Layers, task: AnyTaskInfo, hidden: int, settings: Mapping[str, Any]) -> int:
    """Count the parameters of the layers and the readout for a task, given the settings of all runs.

    Raises:
        UsageError: if the size is invalid for the cell.
    """
    return ParameterLayout(_parameter_shapes(cell, task, hidden, settings)).size


def count_parts(cell: Layers, task: AnyTaskInfo, hidden: int, settings: Mapping[str, Any]) -> dict[str, int]:
    """Count the parameters of the cells, the blocks around them, the readout, and of an embedding."""
    parts = {"cell": 0, "block": 0, "readout": 0}
    for name, shape in _parameter_shapes(cell, task, hidden, settings).items():
        part = parameter_part(name)
        parts[part] = parts.get(part, 0) + math.prod(shape)
    return parts


def _parameter_shapes(
    cell: Layers, task: AnyTaskInfo, hidden: int, settings: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    size = settings["embedding"]
    embedding = embedding_shape(task.input_size, size, task.category_inputs(size))
    return model_shapes(_stack(cell, task, hidden, settings), task.output_size, embedding)


def _stack(cell: Layers, task: AnyTaskInfo, hidden: int, settings: Mapping[str, Any]) -> Stack:
    switches = {name: settings[name] for name in _SWITCHES}
    size = settings["embedding"]
    categories = task.category_inputs(size)
    inputs = size or task.input_size if categories is None else categories.embedded_size
    embedded = size is not None and categories is None
    return Stack(StackConfig(cell, inputs, hidden, settings["layers"], embedded=embedded, **switches))


_SWITCHES = ("bidirectional", "learned_state", "residual", "precision")
"""Settings of the layers, apart from their number."""

MAX_HIDDEN = 2**15
_MAX_GAP = 1024
"""Largest distance between consecutive valid hidden sizes, which heads, orders and periods must divide."""

Count = Callable[[int], "int | None"]
"""Parameters at a hidden size; None if the size is invalid. With few exceptions it grows with ``H``."""


@dataclass(frozen=True)
class HiddenSize:
    """A hidden size and its number of parameters.

    Args:
        hidden: ``H``.
        parameters: ``P``, of all layers and the readout.
    """

    hidden: int
    parameters: int


def nearest_hidden_size(budget: int, count: Count, exceptions: Sequence[int] = ()) -> HiddenSize | None:
    """Find the size whose number of parameters is nearest to a budget; the smaller of two equally near ones.

    Args:
        budget: Number of parameters.
        count: Parameters at each hidden size.
        exceptions: Sizes that may have fewer parameters than the size before. A block around a cell needs no
            projection of an embedding of its width.

    Returns:
        None if no size up to `MAX_HIDDEN` is valid, or all but exceptions have fewer parameters.
    """
    growing = functools.cache(lambda hidden: None if hidden in exceptions else count(hidden))
    sizes = [_first_valid([hidden], count) for hidden in exceptions]
    if above := _first_reaching(budget, growing):
        below = range(above.hidden - 1, max(0, above.hidden - 1 - _MAX_GAP), -1)
        sizes += [_first_valid(below, growing), above]
    valid = sorted(filter(None, sizes), key=lambda size: size.hidden)
    return min(valid, key=lambda size: abs(size.parameters - budget), default=None)


def smallest_hidden_size(count: Count) -> HiddenSize | None:
    """Find the smallest valid size, which has the fewest parameters; None if there is none."""
    return _next_size(1, functools.cache(count))


def _first_reaching(budget: int, count: Count) -> HiddenSize | None:
    """Find the smallest size with at least ``budget`` parameters, by bisection."""
    low, high = 1, 1
    while (size := _next_size(high, count)) is not None and size.parameters < budget:
        low, high = size.hidden + 1, 2 * size.hidden
        if size.hidden > MAX_HIDDEN:
            return None
    while low < high:
        middle = (low + high) // 2
        size = _next_size(middle, count)
        if size is not None and size.parameters < budget:
            low = size.hidden + 1
        else:
            high = middle
    return _next_size(low, count)


def _next_size(hidden: int, count: Count) -> HiddenSize | None:
    """Find the first valid size from ``hidden`` on."""
    return _first_valid(range(hidden, hidden + _MAX_GAP), count)


def _first_valid(candidates: Iterable[int], count: Count) -> HiddenSize | None:
    sizes = ((hidden, count(hidden)) for hidden in candidates)
    return next((HiddenSize(hidden, number) for hidden, number in sizes if number is not None), None)
