"""Checking one member without pytest: ``zoo.testing.check_cell("vanilla")``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from zoo.contracts import Cell, Optimizer, Sampler, Task
from zoo.testing.kits import CELLS, OPTIMIZERS, SAMPLERS, TASKS
from zoo.testing.report import Outcome, Report, run_checks

OnFail = Literal["raise", "collect"]
Callback = Callable[[Outcome], None]


def check_cell(
    cell: str | type[Cell] | Cell,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a cell.

    >>> report = zoo.testing.check_cell("vanilla", on_fail="collect")
    >>> report.ok
    True

    Args:
        cell: A registered name, ``"FILE.py:Class"``, a class or a cell.
        on_fail: ``"raise"`` at the first broken law, or ``"collect"`` them all in the report.
        expected_failures: Name of a check to the reason why it is known to fail; to pass all the same is a
            failure.
        callback: Called with each outcome as it is known.

    Returns:
        What became of each law; ``print(report)`` shows a table.

    Raises:
        AssertionError: if a law is broken and ``on_fail`` is ``"raise"``: who, found, expected, and what it
            usually means.
        UsageError: if the testing extra is not installed, or an expected failure names no check.
        UnknownNameError: if no cell has the name.
    """
    return run_checks(
        CELLS.resolve(cell), CELLS.checks(), expected_failures, on_fail=on_fail, callback=callback
    )


def check_optimizer(
    optimizer: str | type[Optimizer] | Optimizer,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of an optimizer; as :func:`check_cell`."""
    member, checks = OPTIMIZERS.resolve(optimizer), OPTIMIZERS.checks()
    return run_checks(member, checks, expected_failures, on_fail=on_fail, callback=callback)


def check_sampler(
    sampler: str | type[Sampler] | Sampler,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a sampler; as :func:`check_cell`."""
    member, checks = SAMPLERS.resolve(sampler), SAMPLERS.checks()
    return run_checks(member, checks, expected_failures, on_fail=on_fail, callback=callback)


def check_task(
    task: str | type[Task] | Task,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a task; as :func:`check_cell`."""
    member, checks = TASKS.resolve(task), TASKS.checks()
    return run_checks(member, checks, expected_failures, on_fail=on_fail, callback=callback)
