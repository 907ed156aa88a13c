"""The suites of laws, one for each kind of component: check one component, or parametrize tests."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zoo._lazy import require
from zoo.base import Block, Cell, Component, Constraint, Optimizer, Penalty, Sampler, Task
from zoo.base.loss import Loss
from zoo.base.names import with_article
from zoo.base.set_options import assign, component_target, loss_target
from zoo.errors import UsageError
from zoo.processes import available_processors
from zoo.registry import (
    find_loss,
    list_losses,
    load_class_file,
    load_component_file,
    named_loss,
    registry_of,
    resolve_cell,
    split_name,
)
from zoo.registry.hookspecs import KINDS
from zoo.registry.plugin_files import is_file_spec
from zoo.testing.report import Check, Outcome, Report, check_expected_failures, name_of, run_checks

if TYPE_CHECKING:
    import pytest

OnFail = Literal["raise", "collect"]
Callback = Callable[[Outcome], None]


@dataclass(frozen=True)
class CheckSuite:
    """The laws of one kind of component.

    Args:
        base: Base class of the kind.
        module: Module with the laws, imported at first use since it needs the testing extra.
        table: Name of the list in that module.
        preview: Module and name of a function. It takes a component and calls the kernels that the laws
            compile.
    """

    base: type[Component]
    module: str
    table: str
    preview: tuple[str, str] | None = None

    @property
    def kind(self) -> str:
        """``cell``, ``optimizer`` and so on."""
        return self.base.kind

    def checks(self) -> tuple[Check, ...]:
        """The check functions.

        Raises:
            UsageError: if Hypothesis is not installed, or Python runs without docstrings.
        """
        require("hypothesis", "zoo.testing", "testing")
        if sys.flags.optimize >= 2:  # laws test docstrings and have their names from them
            raise UsageError(
                "zoo.testing needs docstrings, which python -OO removes; run Python without -OO and "
                "PYTHONOPTIMIZE=2."
            )
        return tuple(getattr(importlib.import_module(self.module), self.table))

    def names(self) -> list[str]:
        """Names of all registered components."""
        return registry_of(self.base).list()

    def resolve(self, component: Any) -> Component:
        """The component that a name, ``"FILE.py:Class"``, a class or an instance denotes.

        Raises:
            UnknownNameError: if the name is unknown.
            UsageError: if it is not of this kind.
        """
        if self.base is Cell:
            return resolve_cell(component)
        if isinstance(component, str):
            cls = load_class_file(component, self.base) if is_file_spec(component) else None
            return cls() if cls else registry_of(self.base).get(component)
        if isinstance(component, type) and issubclass(component, self.base):
            return component()
        if isinstance(component, self.base):
            return component
        raise UsageError(
            f"{component!r} is not {with_article(self.kind)}; give a registered name, a class or an instance."
        )

    def with_options(self, component: Any, texts: Sequence[str]) -> Any:
        """Copy a component with other options.

        Args:
            component: The component.
            texts: Options ``NAME=VALUE``. The name of the component or its kind may precede NAME, with a dot.

        Raises:
            UsageError: if a text is not an assignment, or an option is unknown, invalid or set twice.
        """
        chosen = assign(texts, [component_target(self.kind, type(component))])[self.kind]
        return type(component)(**{**component.options, **chosen})

    def identify(self, component: Any) -> str:
        """The name, and the options where they are not the defaults."""
        changed = {k: v for k, v in component.options.items() if v != component.declared_options[k].default}
        resolved = ",".join(f"{name}={value}" for name, value in changed.items())
        return f"{component.name}({resolved})" if resolved else str(component.name)

    def check(
        self,
        component: Any,
        on_fail: OnFail,
        expected_failures: Mapping[str, str] | None,
        callback: Callback | None,
    ) -> Report:
        """Try every law on a component; see :func:`check_cell`."""
        return self.run(self.resolve(component), expected_failures, on_fail, callback)

    def run(
        self,
        component: Component,
        expected_failures: Mapping[str, str] | None,
        on_fail: OnFail,
        callback: Callback | None,
    ) -> Report:
        """Try every law on a component, while a second process compiles some of the kernels."""
        checks = self.checks()
        with self._second_compiler(component):
            return run_checks(component, checks, expected_failures, on_fail=on_fail, callback=callback)

    def _second_compiler(self, component: Component) -> contextlib.AbstractContextManager[None]:
        if self.preview is None:
            return contextlib.nullcontext()
        from zoo.compiler.second_compiler import second_compiler  # imports Numba

        module, name = self.preview
        call_kernels = getattr(importlib.import_module(module), name)
        return second_compiler(functools.partial(call_kernels, component), available_processors())


class LossSuite(CheckSuite):
    """The laws of losses, which are objects and not classes."""

    def names(self) -> list[str]:
        """Names of all registered losses."""
        return list_losses()

    def resolve(self, component: Any) -> Any:
        """The loss that a name, ``"huber:0.5"``, ``"FILE.py:NAME"`` or a loss denotes.

        Raises:
            UnknownNameError: if the name is unknown.
            UsageError: if it is not a loss.
        """
        if isinstance(component, str) and not is_file_spec(component):
            return named_loss(component)
        return find_loss(load_component_file(component) if isinstance(component, str) else component)

    def with_options(self, component: Any, texts: Sequence[str]) -> Any:
        """Copy a loss with other options.

        Raises:
            UsageError: if a text is not an assignment, or an option is unknown, invalid or set twice.
        """
        return component.with_options(**assign(texts, [loss_target(self.kind, component)])[self.kind])

    def identify(self, component: Any) -> str:
        """The name, and the options where they are not the defaults."""
        return str(component)


CELLS = CheckSuite(
    Cell, "zoo.testing.laws", "CELL_CHECKS", preview=("zoo.testing.laws.preview", "call_kernels")
)

BLOCKS = CheckSuite(Block, "zoo.testing.blocks", "BLOCK_CHECKS")

_LOSS: Any = Loss  # it has a kind, but is no class of components

LOSSES = LossSuite(_LOSS, "zoo.testing.losses", "LOSS_CHECKS")

OPTIMIZERS = CheckSuite(Optimizer, "zoo.testing.optimizers", "OPTIMIZER_CHECKS")

CONSTRAINTS = CheckSuite(Constraint, "zoo.testing.constraints", "CONSTRAINT_CHECKS")

PENALTIES = CheckSuite(Penalty, "zoo.testing.penalties", "PENALTY_CHECKS")

SAMPLERS = CheckSuite(Sampler, "zoo.testing.samplers", "SAMPLER_CHECKS")

TASKS = CheckSuite(Task, "zoo.testing.tasks", "TASK_CHECKS")

SUITES = {
    suite.kind: suite
    for suite in (CELLS, BLOCKS, CONSTRAINTS, LOSSES, OPTIMIZERS, PENALTIES, SAMPLERS, TASKS)
}


def parse_spec(spec: str) -> tuple[CheckSuite, str]:
    """Suite and component of ``vanilla``, ``path/to/file.py:MyClass``, ``optimizer:adam`` or ``task:adding``.

    Raises:
        UsageError: if a class in a file does not exist, or the component is of a kind without laws.
    """
    kind, colon, name = spec.partition(":")
    if colon and kind in KINDS:
        return _suite(kind, name, name), name
    if not is_file_spec(spec) or split_name(spec).is_composite:
        return CELLS, spec
    component = load_component_file(spec)
    return _suite(component.kind, component.name, spec), spec


_NO_LAWS = {
    "modifier": "check a cell with it, CELL+{spec}",
    "tracker": "try it with `zoo train --tracker {spec}`",
}
"""Advice for each kind of component without laws."""


def _suite(kind: str, name: str, spec: str) -> CheckSuite:
    if kind not in SUITES:
        raise UsageError(f"{kind} {name!r} has no laws of its own; {_NO_LAWS[kind].format(spec=spec)}.")
    return SUITES[kind]


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
        expected_failures: Reason for each check that is known to fail, by name; if it passes, that is a
            failure.
        callback: Called with each outcome.

    Returns:
        The outcome of each law; ``print(report)`` shows a table.

    Raises:
        AssertionError: if a law is broken and ``on_fail`` is ``"raise"``.
        UsageError: if the testing extra is not installed, or an expected failure names no check.
        UnknownNameError: if the name is unknown.
    """
    return CELLS.check(cell, on_fail, expected_failures, callback)


def check_block(
    block: str | type[Block] | Block,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a block; as :func:`check_cell`.

    The laws of cells are tried for the block around ``lstm``, a recurrence, and ``gla``, a mixer. One more
    law compares gradients around a cell of every kind, for example with complex states, spikes or noise.
    """
    return BLOCKS.check(block, on_fail, expected_failures, callback)


def check_constraint(
    constraint: str | type[Constraint] | Constraint,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a constraint; as :func:`check_cell`."""
    return CONSTRAINTS.check(constraint, on_fail, expected_failures, callback)


def check_loss(
    loss: str | Loss,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a loss; as :func:`check_cell`.

    >>> zoo.testing.check_loss("huber", on_fail="collect").ok
    True

    Args:
        loss: A registered name, ``"FILE.py:NAME"`` or a loss with its options chosen.
        on_fail: ``"raise"`` at the first broken law, or ``"collect"`` them all in the report.
        expected_failures: Reason for each check that is known to fail, by name.
        callback: Called with each outcome.

    Raises:
        AssertionError: if a law is broken and ``on_fail`` is ``"raise"``.
        UsageError: if it is not a loss, the testing extra is not installed, or an expected failure names no
            check.
        UnknownNameError: if the name is unknown.
    """
    return LOSSES.check(loss, on_fail, expected_failures, callback)


def check_optimizer(
    optimizer: str | type[Optimizer] | Optimizer,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of an optimizer; as :func:`check_cell`."""
    return OPTIMIZERS.check(optimizer, on_fail, expected_failures, callback)


def check_penalty(
    penalty: str | type[Penalty] | Penalty,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a penalty; as :func:`check_cell`."""
    return PENALTIES.check(penalty, on_fail, expected_failures, callback)


def check_sampler(
    sampler: str | type[Sampler] | Sampler,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a sampler; as :func:`check_cell`."""
    return SAMPLERS.check(sampler, on_fail, expected_failures, callback)


def check_task(
    task: str | type[Task] | Task,
    *,
    on_fail: OnFail = "raise",
    expected_failures: Mapping[str, str] | None = None,
    callback: Callback | None = None,
) -> Report:
    """Try every law of a task; as :func:`check_cell`."""
    return TASKS.check(task, on_fail, expected_failures, callback)


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


def parametrize_blocks(
    *blocks: str | type[Block] | Block, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_block(block, check): check(block)``; as :func:`parametrize_cells`."""
    return _parametrize(BLOCKS, blocks, expected_failures or {})


def parametrize_constraints(
    *constraints: str | type[Constraint] | Constraint, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_x(constraint, check): check(constraint)``; as :func:`parametrize_cells`."""
    return _parametrize(CONSTRAINTS, constraints, expected_failures or {})


def parametrize_losses(
    *losses: str | Loss, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_loss(loss, check): check(loss)``; as :func:`parametrize_cells`."""
    return _parametrize(LOSSES, losses, expected_failures or {})


def parametrize_optimizers(
    *optimizers: str | type[Optimizer] | Optimizer, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_optimizer(optimizer, check): check(optimizer)``; as :func:`parametrize_cells`."""
    return _parametrize(OPTIMIZERS, optimizers, expected_failures or {})


def parametrize_penalties(
    *penalties: str | type[Penalty] | Penalty, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate ``def test_penalty(penalty, check): check(penalty)``; as :func:`parametrize_cells`."""
    return _parametrize(PENALTIES, penalties, expected_failures or {})


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
        pytest.param(component, check, id=f"{name}-{name_of(check)}", marks=marks.get(name_of(check), ()))
        for component in resolved
        for name in [suite.identify(component)]
        for check in suite.checks()
    ]
    return pytest.mark.parametrize((suite.kind, "check"), cases)
