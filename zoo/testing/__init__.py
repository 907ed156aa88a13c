"""The conformance kit: the laws that every cell, optimizer, sampler and task obeys, and ways to try them.

In a program, in tests, and in a process of its own, where a crash is a verdict and not the end::

    print(zoo.testing.check_cell("vanilla", on_fail="collect"))

    @zoo.testing.parametrize_cells(MyCell)  # pytest: one test for each law
    def test_cell(cell, check):
        check(cell)

    zoo.testing.check_in_child("my_cell.py:MyCell", timeout=120)

Needs the testing extra, ``pip install "recurrent-zoo[testing]"``; ``ZOO_TEST_EXAMPLES`` sets how many
examples Hypothesis chooses for a law and a kind of input, 5 by default.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.testing.child import check_in_child
    from zoo.testing.laws import CELL_CHECKS
    from zoo.testing.optimizers import OPTIMIZER_CHECKS
    from zoo.testing.parametrize import (
        parametrize_cells,
        parametrize_optimizers,
        parametrize_samplers,
        parametrize_tasks,
    )
    from zoo.testing.report import GradientWarning, Outcome, Report, run_checks
    from zoo.testing.samplers import SAMPLER_CHECKS
    from zoo.testing.suites import check_cell, check_optimizer, check_sampler, check_task
    from zoo.testing.tasks import TASK_CHECKS

# Lists of checks need NumPy, a compiler and the testing extra; a report needs none of them.
_HOMES = {
    "CELL_CHECKS": "laws",
    "GradientWarning": "report",
    "OPTIMIZER_CHECKS": "optimizers",
    "Outcome": "report",
    "Report": "report",
    "SAMPLER_CHECKS": "samplers",
    "TASK_CHECKS": "tasks",
    "check_cell": "suites",
    "check_in_child": "child",
    "check_optimizer": "suites",
    "check_sampler": "suites",
    "check_task": "suites",
    "parametrize_cells": "parametrize",
    "parametrize_optimizers": "parametrize",
    "parametrize_samplers": "parametrize",
    "parametrize_tasks": "parametrize",
    "run_checks": "report",
}

__all__ = [
    "CELL_CHECKS",
    "OPTIMIZER_CHECKS",
    "SAMPLER_CHECKS",
    "TASK_CHECKS",
    "GradientWarning",
    "Outcome",
    "Report",
    "check_cell",
    "check_in_child",
    "check_optimizer",
    "check_sampler",
    "check_task",
    "parametrize_cells",
    "parametrize_optimizers",
    "parametrize_samplers",
    "parametrize_tasks",
    "run_checks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
