"""Metadata of the results of a comparison: plan, cells, tasks, machine, versions, and the command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from zoo.base import Cell, Component, Optimizer
from zoo.bench.machine import machine_info
from zoo.comparison.plan import Plan, PlanEntry
from zoo.comparison.resolve import ResolvedPlan
from zoo.comparison.results import RunRecord
from zoo.comparison.specs import TaskInfo
from zoo.registry import registry_of
from zoo.training.config import Config
from zoo.training.state import versions


def make_metadata(plan: Plan, resolved: ResolvedPlan, jobs: int | None, seconds: float) -> dict[str, Any]:
    """Make the fields of ``results.json`` apart from the records.

    Args:
        plan: The plan with measured values.
        resolved: Its cells and tasks.
        jobs: Number of worker processes; None for another executor.
        seconds: Duration of this call.
    """
    now = datetime.now(timezone.utc)
    tasks = {label: info.task for label, info in resolved.tasks.items()}
    return {
        "command": command_line(plan, {**resolved.cells, **tasks}),
        "plan": plan.to_json(),
        "cells": {label: _cell(cell) for label, cell in resolved.cells.items()},
        "tasks": {label: _task(info) for label, info in resolved.tasks.items()},
        "jobs": jobs,
        "wall_seconds": round(seconds, 3),
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine_info(),
        "versions": versions(),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {"name": cell.name, "summary": cell.summary(), "scope": cell.card.scope}


def _task(info: TaskInfo) -> dict[str, Any]:
    task = info.task
    return {
        "name": task.name,
        "options": dict(task.options),
        "summary": task.summary(),
        "threshold_source": task.threshold_source,
        **info.goal(),
    }


def sort_records(records: Iterable[RunRecord], plan: Plan) -> list[RunRecord]:
    """Sort records by task and cell in the order of the plan, then by rate and seed."""
    order = {pair: index for index, pair in enumerate(plan.pairs())}
    return sorted(
        records,
        key=lambda record: (order[record.task, record.cell], record.lr or 0.0, record.seed or 0),
    )


_FLAG_NAMES = {"stop_when_solved": "--until-solved"}


def command_line(plan: Plan, components: Mapping[str, Component]) -> str:
    """Make the command line that reproduces a comparison, with defaults of ``zoo compare`` spelled out.

    Args:
        plan: The plan.
        components: Its cells and tasks by label.
    """
    (size, number), (length, amount) = plan.size, plan.length
    words = [
        "--cells",
        _label_list(plan.cells),
        "--tasks",
        _label_list(plan.tasks),
        "--seeds",
        str(plan.seeds),
    ]
    words += [f"--{size}", str(number), f"--{length}", f"{amount:g}"]
    words += ["--lr" if len(plan.rates) == 1 else "--lr-grid", ",".join(f"{rate:g}" for rate in plan.rates)]
    words += [] if plan.sweep_steps is None else ["--sweep-steps", str(plan.sweep_steps)]
    words += [*_setting_flags(plan.settings), *_set_flags(plan.settings, components)]
    return shlex.join(["zoo", "compare", *words])


def _label_list(entries: Mapping[str, PlanEntry]) -> str:
    return ",".join(
        label if label == entry.name else f"{label}={entry.name}" for label, entry in entries.items()
    )


def _setting_flags(settings: Mapping[str, Any]) -> Iterator[str]:
    """Flags of the settings that differ from their defaults."""
    for name, value in settings.items():
        if value != getattr(Config(), name) and not name.endswith("_options"):
            flag = _FLAG_NAMES.get(name, f"--{name.replace('_', '-')}")
            yield from (flag,) if value is True else (flag, f"{value}")


def _set_flags(settings: Mapping[str, Any], components: Mapping[str, Component]) -> Iterator[str]:
    """``--set`` flags of the options that differ from their defaults."""
    optimizer = registry_of(Optimizer).get(settings["optimizer"], **settings["optimizer_options"])
    for label, component in {**components, "optimizer": optimizer}.items():
        for name, option in component.declared_options.items():
            if component.options[name] != option.default:
                yield from ("--set", f"{label}.{name}={component.options[name]}")
    for name, value in settings["schedule_options"].items():
        yield from ("--set", f"schedule.{name}={value}")
