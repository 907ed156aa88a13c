"""Listing, getting and registering members, and modifying cells; the first call loads the plugins."""

from __future__ import annotations

from typing import Any, TypeVar

from zoo.base import Cell, Component, Modifier, Optimizer, Sampler, Task, Tracker
from zoo.errors import UsageError
from zoo.registry import composite_names, loader
from zoo.registry.entry_points import PluginRecord
from zoo.registry.plugin_files import is_file_spec, load_cell_file, load_class_file
from zoo.registry.registry import Registry, check_component

M = TypeVar("M", bound=Component)
C = TypeVar("C", bound=type[Cell])
D = TypeVar("D", bound=type[Modifier])
O = TypeVar("O", bound=type[Optimizer])  # noqa: E741  # a type variable, read beside C and S
S = TypeVar("S", bound=type[Sampler])
K = TypeVar("K", bound=type[Task])
T = TypeVar("T", bound=type[Tracker])


def registry_of(contract: type[M]) -> Registry[M]:
    """The registry of ``Cell``, ``Optimizer``, ``Sampler`` or another contract, filled.

    Raises:
        PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
    """
    return loader.LOADER.registry(contract)


def plugins() -> tuple[PluginRecord, ...]:
    """What became of every plugin: the shipped ones, then the others by distribution, then files.

    Raises:
        PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
    """
    return loader.LOADER.plugins()


def list_cells(pattern: str = "*") -> list[str]:
    """Names of the registered cells, sorted.

    Args:
        pattern: Shell pattern for the name, ``"*lstm"``, or for family and name, ``"gated/*"``.
    """
    return registry_of(Cell).list(pattern)


def get_cell(name: str, /, **options: Any) -> Cell:
    """A registered cell with its options chosen, ``get_cell("leaky", leak=0.1)``.

    Modifiers follow the name of the cell, ``get_cell("lstm+zoneout", zoneout_p=0.1)``.

    Raises:
        UnknownNameError: if no cell, or no modifier, has the name.
        UsageError: for an unknown option, a value that is not allowed, or a modifier that makes no sense for
            the cell.
    """
    return composite_names.cell_class(name)(**options)


def register_cell(cls: C, *, override: bool = False) -> C:
    """Register a cell for this process; usable as a decorator. In a plugin, use the hook instead.

    Args:
        cls: A subclass of ``zoo.Cell``.
        override: Whether it may replace a cell of the same name.

    Raises:
        DefinitionError: if ``cls`` is no cell class.
        UsageError: if the name is taken.
    """
    loader.LOADER.register(Cell, cls, override)
    return cls


def resolve_cell(cell: str | type[Cell] | Cell, /, **options: Any) -> Cell:
    """The cell that a name, ``"FILE.py:Class"``, a class or an instance stands for.

    Args:
        cell: Any of the four.
        **options: Values for its options; none with an instance, which has chosen.

    Raises:
        UnknownNameError: if no cell has the name.
        UsageError: if it is none of the four, a file or class is missing, or an option does not fit.
        DefinitionError: if the class is no cell.
        PluginError: if the file cannot be imported.
    """
    if isinstance(cell, str):
        return load_cell_file(cell)(**options) if is_file_spec(cell) else get_cell(cell, **options)
    if isinstance(cell, (list, tuple)):
        raise UsageError(
            f"cell is a {type(cell).__name__} of {len(cell)}; expected one cell, which all layers have. Only "
            f"zoo.Recurrent and the layers made of it take a cell for each layer."
        )
    return _with_options(Cell, cell, options)


def _with_options(contract: type[M], member: type[M] | M, options: dict[str, Any]) -> M:
    """The member that a class and options, or an instance, which has chosen, stand for."""
    if isinstance(member, contract):
        if options:
            raise UsageError(
                f"{member!r} has its options already; found {', '.join(options)} besides. Give the class."
            )
        return member
    check_component(member, contract)
    return member(**options)  # type: ignore[operator]


def list_modifiers(pattern: str = "*") -> list[str]:
    """Names of the registered modifiers, sorted.

    Args:
        pattern: Shell pattern for the name or for ``family/name``.
    """
    return registry_of(Modifier).list(pattern)


def get_modifier(name: str, /, **options: Any) -> Modifier:
    """A registered modifier with its options chosen, ``get_modifier("zoneout", p=0.1)``.

    Raises:
        UnknownNameError: if no modifier has the name.
        UsageError: for an unknown option or a value that is not allowed.
    """
    return registry_of(Modifier).get(name, **options)


def register_modifier(cls: D, *, override: bool = False) -> D:
    """Register a modifier for this process; usable as a decorator. In a plugin, use the hook instead.

    Args:
        cls: A subclass of ``zoo.Modifier``.
        override: Whether it may replace a modifier of the same name.

    Raises:
        DefinitionError: if ``cls`` is no modifier class.
        UsageError: if the name is taken.
    """
    loader.LOADER.register(Modifier, cls, override)
    return cls


def modify(
    cell: str | type[Cell] | Cell, modifier: str | type[Modifier] | Modifier, /, **options: Any
) -> Cell:
    """A cell with a modifier: ``modify("lstm", "zoneout", p=0.1)`` is the cell ``lstm+zoneout``.

    Args:
        cell: Name of a cell, ``"FILE.py:Class"``, a class, or a cell with its options chosen.
        modifier: Name of a modifier, a class, or a modifier with its options chosen.
        **options: Options of the modifier; none with an instance, which has chosen.

    Raises:
        UnknownNameError: if no cell or modifier has the name.
        UsageError: if the modifier makes no sense for the cell, or an option does not fit.
        DefinitionError: if the equations of the cell cannot be read.
    """
    from zoo.modifiers.modified_cell import modified_class, prefixed

    base = resolve_cell(cell)
    if isinstance(modifier, str):
        chosen = get_modifier(modifier, **options)
    else:
        chosen = _with_options(Modifier, modifier, options)
    made = modified_class(type(base), type(chosen))
    named = {prefixed(type(chosen), name): value for name, value in chosen.options.items()}
    return made(**base.options, **named)


def list_optimizers(pattern: str = "*") -> list[str]:
    """Names of the registered optimizers, sorted.

    Args:
        pattern: Shell pattern for the name or for ``family/name``.
    """
    return registry_of(Optimizer).list(pattern)


def get_optimizer(name: str, /, **options: Any) -> Optimizer:
    """A registered optimizer with its options chosen, ``get_optimizer("adam", lr=2e-3)``.

    Raises:
        UnknownNameError: if no optimizer has the name.
        UsageError: for an unknown option or a value that is not allowed.
    """
    return registry_of(Optimizer).get(name, **options)


def register_optimizer(cls: O, *, override: bool = False) -> O:
    """Register an optimizer for this process; usable as a decorator. In a plugin, use the hook instead.

    Args:
        cls: A subclass of ``zoo.Optimizer``.
        override: Whether it may replace an optimizer of the same name.

    Raises:
        DefinitionError: if ``cls`` is no optimizer class.
        UsageError: if the name is taken.
    """
    loader.LOADER.register(Optimizer, cls, override)
    return cls


def list_samplers(pattern: str = "*") -> list[str]:
    """Names of the registered samplers, sorted.

    Args:
        pattern: Shell pattern for the name or for ``family/name``.
    """
    return registry_of(Sampler).list(pattern)


def get_sampler(name: str, /, **options: Any) -> Sampler:
    """A registered sampler with its options chosen, ``get_sampler("top_k", k=40)``.

    Raises:
        UnknownNameError: if no sampler has the name.
        UsageError: for an unknown option or a value that is not allowed.
    """
    return registry_of(Sampler).get(name, **options)


def register_sampler(cls: S, *, override: bool = False) -> S:
    """Register a sampler for this process; usable as a decorator. In a plugin, use the hook instead.

    Args:
        cls: A subclass of ``zoo.Sampler``.
        override: Whether it may replace a sampler of the same name.

    Raises:
        DefinitionError: if ``cls`` is no sampler class.
        UsageError: if the name is taken.
    """
    loader.LOADER.register(Sampler, cls, override)
    return cls


def list_tasks(pattern: str = "*") -> list[str]:
    """Names of the registered tasks, sorted.

    Args:
        pattern: Shell pattern for the name or for ``family/name``.
    """
    return registry_of(Task).list(pattern)


def get_task(name: str, /, **options: Any) -> Task:
    """A registered task with its options chosen, ``get_task("copying", delay=100)``.

    Raises:
        UnknownNameError: if no task has the name.
        UsageError: for an unknown option or a value that is not allowed.
    """
    return registry_of(Task).get(name, **options)


def register_task(cls: K, *, override: bool = False) -> K:
    """Register a task for this process; usable as a decorator. In a plugin, use the hook instead.

    Args:
        cls: A subclass of ``zoo.Task``.
        override: Whether it may replace a task of the same name.

    Raises:
        DefinitionError: if ``cls`` is no task class.
        UsageError: if the name is taken.
    """
    loader.LOADER.register(Task, cls, override)
    return cls


def resolve_task(task: str | type[Task] | Task, /, **options: Any) -> Task:
    """The task that a name, ``"FILE.py:Class"``, a class or an instance stands for.

    Args:
        task: Any of the four.
        **options: Values for its options; none with an instance, which has chosen.

    Raises:
        UnknownNameError: if no task has the name.
        UsageError: if it is none of the four, a file or class is missing, or an option does not fit.
        DefinitionError: if the class is no task.
        PluginError: if the file cannot be imported.
    """
    if isinstance(task, str):
        return load_class_file(task, Task)(**options) if is_file_spec(task) else get_task(task, **options)
    return _with_options(Task, task, options)


def list_trackers(pattern: str = "*") -> list[str]:
    """Names of the registered trackers, sorted.

    Args:
        pattern: Shell pattern for the name or for ``family/name``.
    """
    return registry_of(Tracker).list(pattern)


def get_tracker(name: str, /, **options: Any) -> Tracker:
    """A registered tracker with its options chosen, ``get_tracker("tensorboard", dir="events")``.

    Raises:
        UnknownNameError: if no tracker has the name.
        UsageError: for an unknown option or a value that is not allowed.
    """
    return registry_of(Tracker).get(name, **options)


def register_tracker(cls: T, *, override: bool = False) -> T:
    """Register a tracker for this process; usable as a decorator. In a plugin, use the hook instead.

    Args:
        cls: A subclass of ``zoo.Tracker``.
        override: Whether it may replace a tracker of the same name.

    Raises:
        DefinitionError: if ``cls`` is no tracker class.
        UsageError: if the name is taken.
    """
    loader.LOADER.register(Tracker, cls, override)
    return cls


def resolve_tracker(tracker: str | type[Tracker] | Tracker, /, **options: Any) -> Tracker:
    """The tracker that a name, a class or an instance stands for.

    Args:
        tracker: Any of the three.
        **options: Values for its options; none with an instance, which has chosen.

    Raises:
        UnknownNameError: if no tracker has the name.
        UsageError: if an option does not fit.
        DefinitionError: if the class is no tracker.
    """
    if isinstance(tracker, str):
        return get_tracker(tracker, **options)
    return _with_options(Tracker, tracker, options)
