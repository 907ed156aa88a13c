"""The kits, for cells, optimizers, samplers and tasks: who is checked, and by which laws.

Checking one member without pytest: ``zoo.testing.check_cell("vanilla")``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo._lazy import require
from zoo.base import Cell, Component, Optimizer, Sampler, Task
from zoo.base.names import MODIFIER_SEPARATOR
from zoo.errors import UsageError
from zoo.registry import load_class_file, registry_of, resolve_cell
from zoo.registry.plugin_files import is_file_spec
from zoo.testing.report import Check, Outcome, Report, run_checks


@dataclass(frozen=True)
class CheckSuite:
    """The laws of one kind of member.

    Args:
        contract: What its members derive from.
        home: Module that holds the laws; it is imported when they are asked for, since they need the testing
            extra.
        table: Name of the list in that module.
    """

    base: type[Component]
    home: str
    table: str

    @property
    def kind(self) -> str:
        """``cell``, ``optimizer``, ``sampler`` or ``task``."""
        return self.base.kind

    def checks(self) -> tuple[Check, ...]:
        """The check functions.

        Raises:
            UsageError: if Hypothesis is not installed.
        """
        require("hypothesis", "zoo.testing", "testing")
        return tuple(getattr(importlib.import_module(self.home), self.table))

    def names(self) -> list[str]:
        """Names of all registered members, third parties' included."""
        return registry_of(self.base).list()

    def resolve(self, member: Any) -> Component:
        """The member that a name, ``"FILE.py:Class"``, a class or an instance stands for.

        Raises:
            UnknownNameError: if no member has the name.
            UsageError: if it is nothing of this kind.
        """
        if self.base is Cell:
            return resolve_cell(member)
        if isinstance(member, str):
            cls = load_class_file(member, self.base) if is_file_spec(member) else None
            return cls() if cls else registry_of(self.base).get(member)
        if isinstance(member, type) and issubclass(member, self.base):
            return member()
        if isinstance(member, self.base):
            return member
        raise UsageError(f"{member!r} is not a {self.kind}; give a registered name, a class or an instance.")


CELLS = CheckSuite(Cell, "zoo.testing.laws", "CELL_CHECKS")

OPTIMIZERS = CheckSuite(Optimizer, "zoo.testing.optimizers", "OPTIMIZER_CHECKS")

SAMPLERS = CheckSuite(Sampler, "zoo.testing.samplers", "SAMPLER_CHECKS")

TASKS = CheckSuite(Task, "zoo.testing.tasks", "TASK_CHECKS")

SUITES = {kit.kind: kit for kit in (CELLS, OPTIMIZERS, SAMPLERS, TASKS)}


def parse_spec(spec: str) -> tuple[CheckSuite, str]:
    """Kit and member of ``vanilla``, ``path/to/file.py:MyClass``, ``optimizer:adam`` or ``task:copying``.

    Raises:
        UsageError: if a class in a file is of a kind that has no laws, or is not there.
    """
    kind, colon, name = spec.partition(":")
    if colon and kind in SUITES:
        return SUITES[kind], name
    if not is_file_spec(spec) or MODIFIER_SEPARATOR in spec.rpartition(":")[2]:
        return CELLS, spec
    cls = load_class_file(spec, Component)
    if cls.kind not in SUITES:
        raise UsageError(f"{cls.label()} has no laws of its own; those are of: {', '.join(SUITES)}.")
    return SUITES[cls.kind], spec


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
