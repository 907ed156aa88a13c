"""Facts in the results in addition to the runs: plan, cells, tasks, machine, versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from zoo.bench.machine import machine
from zoo.comparison.command import command
from zoo.comparison.jobs import Record
from zoo.comparison.plan import Plan
from zoo.comparison.problems import Problem
from zoo.comparison.settling import Comparands
from zoo.contracts import Cell
from zoo.training.progress import versions


def facts(plan: Plan, comparands: Comparands, jobs: int | None, seconds: float) -> dict[str, Any]:
    """Everything but the records.

    Args:
        plan: The plan, with what has been measured.
        comparands: Its cells and tasks.
        jobs: Processes at work; None if another engine was.
        seconds: For how long, this time.
    """
    now = datetime.now(timezone.utc)
    tasks = {label: problem.task for label, problem in comparands.problems.items()}
    return {
        "command": command(plan, {**comparands.cells, **tasks}),
        "plan": plan.to_json(),
        "cells": {label: _cell(cell) for label, cell in comparands.cells.items()},
        "tasks": {label: _task(problem) for label, problem in comparands.problems.items()},
        "jobs": jobs,
        "wall_seconds": round(seconds, 3),
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": versions(),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    """Name, summary and scope of a cell."""
    return {"name": cell.name, "summary": cell.summary(), "scope": cell.card.scope}


def _task(problem: Problem) -> dict[str, Any]:
    """What a task asks and who says when it is solved."""
    task = problem.task
    return {
        "name": task.name,
        "options": dict(task.options),
        "summary": task.summary(),
        "threshold_source": task.threshold_source,
        **problem.goal(),
    }


def in_order(records: Iterable[Record], plan: Plan) -> list[Record]:
    """Records by task, cell, rate and seed, in the order of the plan."""
    places = {pair: place for place, pair in enumerate(plan.pairs())}
    return sorted(
        records,
        key=lambda record: (places[record["task"], record["cell"]], record["lr"] or 0.0, record["seed"]),
    )
