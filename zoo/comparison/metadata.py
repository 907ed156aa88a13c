"""Metadata of a comparison for ``results.json``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from zoo.bench.machine import machine_info
from zoo.comparison.command_line import command_line
from zoo.comparison.plan import Plan, nest_by_group
from zoo.comparison.resolve import ResolvedPlan, count_parts
from zoo.training.state import versions


def make_metadata(
    plan: Plan, resolved: ResolvedPlan, jobs: int | None, seconds: float, folder: Path
) -> dict[str, Any]:
    """Make the fields of ``results.json`` apart from the records.

    Args:
        plan: The plan with measured values.
        resolved: Its cells and tasks.
        jobs: Number of worker processes; None for another executor.
        seconds: Duration of this call.
        folder: Directory of the comparison.
    """
    now = datetime.now(timezone.utc)
    return {
        "command": command_line(plan, resolved, folder),
        "plan": plan.to_json(),
        "cells": {
            label: {
                "name": cell.name,
                "summary": cell.summary,
                "scope": cell.scope,
                "published": cell.is_published,
                "options": cell.options,
                "stated_options": cell.stated_options,
                "customary_options": cell.customary_options,
                "fixed_size_options": cell.fixed_size_options,
            }
            for label, cell in resolved.cells.items()
        },
        "tasks": {label: info.to_json() for label, info in resolved.tasks.items()},
        **parameter_parts(plan, resolved),
        "jobs": jobs,
        "wall_seconds": round(seconds, 3),
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine_info(),
        "versions": versions(),
    }


def parameter_parts(plan: Plan, resolved: ResolvedPlan) -> dict[str, Any]:
    """The parameters of cell, block and readout by task, cell and size, if a cell has a block."""
    if not any(cell.is_in_block for cell in resolved.cells.values()):
        return {}
    parts = {}
    for group in plan.groups():
        cell, task = resolved.cells[group.cell].of_layers, resolved.tasks[group.task]
        parts[group] = count_parts(cell, task, plan.run_sizes[group].hidden, plan.settings)
    return {"parameters": nest_by_group(parts)}
