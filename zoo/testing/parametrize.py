"""Parametrize pytest tests: one test for each component and law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo._lazy import require
from zoo.base import Cell, Component, Optimizer, Sampler, Task
from zoo.errors import UsageError
from zoo.testing.report import check_expected_failures, name_of
from zoo.testing.suites import CELLS, OPTIMIZERS, SAMPLERS, TASKS, CheckSuite

if TYPE_CHECKING:
    import pytest


def parametrize_cells(
    *cells: str | type[Cell] | Cell, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_cell(cell, check): check(cell)`` to make a test of each law of each cell.

    Their ids are like ``vanilla-check_shapes``.

    Args:
        *cells: Names, classes or cells; none means every registered cell, those of plugins included.
        expected_failures: Name of a check to the reason why it is known to fail; to pass all the same is a
            failure.

    Raises:
        UsageError: if there are no cells, an expected failure names an unknown check, or the testing extra is
            not installed.
        UnknownNameError: if no cell has a name given.
    """
    return _parametrize(CELLS, cells, expected_failures or {})


def parametrize_optimizers(
    *optimizers: str | type[Optimizer] | Optimizer, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_optimizer(optimizer, check): check(optimizer)``; as :func:`parametrize_cells`."""
    return _parametrize(OPTIMIZERS, optimizers, expected_failures or {})


def parametrize_samplers(
    *samplers: str | type[Sampler] | Sampler, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_sampler(sampler, check): check(sampler)``; as :func:`parametrize_cells`."""
    return _parametrize(SAMPLERS, samplers, expected_failures or {})


def parametrize_tasks(
    *tasks: str | type[Task] | Task, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_task(task, check): check(task)``; as :func:`parametrize_cells`."""
    return _parametrize(TASKS, tasks, expected_failures or {})


def _parametrize(
    suite: CheckSuite, components: tuple[Any, ...], expected_failures: Mapping[str, str]
) -> pytest.MarkDecorator:
    require("pytest", "zoo.testing", "testing")
    import pytest

    resolved = [suite.resolve(component) for component in components or suite.names()]
    if not resolved:
        raise UsageError(
            f"no {suite.kind} is registered, so there is nothing to test; `zoo plugins` may show why."
        )
    check_expected_failures(expected_failures, suite.checks())
    marks = {name: pytest.mark.xfail(reason=why, strict=True) for name, why in expected_failures.items()}
    cases = [
        pytest.param(
            component, check, id=f"{_id(component)}-{name_of(check)}", marks=marks.get(name_of(check), ())
        )
        for component in resolved
        for check in suite.checks()
    ]
    return pytest.mark.parametrize((suite.kind, "check"), cases)


def _id(component: Component) -> str:
    """The name, and the options where they are not the defaults."""
    changed = {k: v for k, v in component.options.items() if v != component.declared_options[k].default}
    resolved = ",".join(f"{name}={value}" for name, value in changed.items())
    return f"{component.name}({resolved})" if resolved else component.name
